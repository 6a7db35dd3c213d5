"""Paint the pictures of docs/gallery.md, into docs/gallery.

usage: build_gallery.py

Every built-in style on four photos, ramps of strength and stroke, and a room in six styles: 160 pictures, some ten
minutes on two cores. Each is kept in out/gallery when it is painted, and painted again only where it is not there, so
that a stopped run goes on. Delete out/gallery to paint all of them anew.

Three photos are those of examples/demo.py. The fourth is a start of a Falcon 9 (SpaceX, public domain), which lies in
scikit-image's wheel too. The room is drawn by tools/drawn_room.py.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from drawn_room import drawn_room

from sfumato import Style, Stylizer
from sfumato.assets import style_names, style_pictures
from sfumato.image import Picture, read_image, thumbnail, write_image
from sfumato.sheet import contact_sheet, gallery

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))
from demo import sample_photos  # noqa: E402

PAINTED, MADE = ROOT / "out" / "gallery", ROOT / "docs" / "gallery"
#: Shorter side of a painted photo, and longer side of a picture on a sheet, in pixels.
SIDE, CELL = 160, 240
ROOM_SIDE, ROOM_CELL = 360, 480
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
RAMPS = {"strength": (0.0, 0.25, 0.5, 0.75, 1.0), "stroke": (0.5, 0.7, 1.0, 1.4, 2.0)}
RAMP_OF = (("chelsea", "starry-night"), ("coffee", "great-wave"))
ROOM_STYLES = ("cezanne", "cafe-terrace", "rembrandt", "grande-jatte", "the-scream", "red-blue-yellow")


@dataclass(frozen=True)
class Job:
    """One picture to paint: the options that are not at their defaults are in its file's name."""

    photo: str
    style: str
    strength: float = 1.0
    stroke: float = 1.0

    @property
    def file(self) -> Path:
        return PAINTED / f"{self.photo}-{self.style}-{self.strength:g}-{self.stroke:g}.png"


def photos() -> dict[str, Picture]:
    """The photos, small, and the room, by name."""
    files = sample_photos()
    files["rocket"] = files["coffee"].with_name("rocket.jpg")
    room = PAINTED / "room.png"
    if not room.exists():
        write_image(drawn_room(ROOM_SIDE * 3 // 2, ROOM_SIDE), room)
    return {**{name: thumbnail(read_image(files[name]), SIDE) for name in PHOTOS}, "room": read_image(room)}


def ramp(name: str, photo: str, style: str) -> list[Job]:
    """A row of pictures that differ in the option ``name`` alone."""
    return [Job(photo, style, **{name: value}) for value in RAMPS[name]]


def jobs() -> list[Job]:
    """All pictures of the gallery, those of a style together."""
    found = [Job(photo, style) for style in style_names() for photo in PHOTOS]
    found += [Job("room", style) for style in ROOM_STYLES]
    found += [job for name in RAMPS for photo, style in RAMP_OF for job in ramp(name, photo, style)]
    return list(dict.fromkeys(found))


def paint(work: list[Job]) -> None:
    """Paint what is not there yet."""
    stylizer, pictures = Stylizer(), photos()
    for number, job in enumerate(work, 1):
        if not job.file.exists():
            painted = stylizer(pictures[job.photo], Style.named(job.style), strength=job.strength, stroke=job.stroke)
            write_image(painted, job.file)
            print(f"{number} of {len(work)}: {job.file.name}", flush=True)


def sheets() -> dict[str, Picture]:
    """The pictures of docs/gallery by name: a row for each style, and the ramps and the room."""
    pictures = photos()
    shown = {**pictures, "room": thumbnail(pictures["room"], SIDE)}
    made = {"photos": contact_sheet([list(shown.values())], [""], list(shown), CELL)}
    for style in style_names():
        row = [read_image(style_pictures(style)[0]), *(read_image(Job(photo, style).file) for photo in PHOTOS)]
        made[style] = contact_sheet([row], [""], ["a picture of the style", *PHOTOS], CELL)
    for name, values in RAMPS.items():
        rows = [[read_image(job.file) for job in ramp(name, *of)] for of in RAMP_OF]
        columns = [f"{name} {value:g}" for value in values]
        made[f"ramp-{name}"] = contact_sheet(rows, [style for _, style in RAMP_OF], columns, CELL)
    made["room"] = gallery([read_image(Job("room", style).file) for style in ROOM_STYLES], ROOM_STYLES, ROOM_CELL)
    return made


def main() -> None:
    paint(jobs())
    MADE.mkdir(exist_ok=True)
    for name, sheet in sheets().items():
        write_image(sheet, MADE / f"{name}.webp", quality=80)


if __name__ == "__main__":
    main()
