"""``sfumato finish``: change the size, the colours and the sharpness of paintings and photos."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import FileFormat, FileQuality, Threads
from sfumato.cli.output import check_no_terminal, say_error
from sfumato.cli.pictures import Pictures
from sfumato.cli.sealing import Provenance, open_seal
from sfumato.errors import SfumatoError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfumato.image import Photo
    from sfumato.inference.jobs import Job
    from sfumato.inference.retouch import Finish
    from sfumato.provenance.seal import Seal


def finish(
    pictures: Annotated[
        list[str], typer.Argument(metavar="PICTURE|DIR|GLOB|-", help="Pictures to finish.", show_default=False)
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH|DIR|-",
            help="The picture to write; a folder for several. \\[default: beside each, as NAME-finished]",
            show_default=False,
        ),
    ] = None,
    brightness: Annotated[float, typer.Option(help="-1 (dark) to 1 (light); black and white stay.")] = 0.0,
    contrast: Annotated[float, typer.Option(help="-1 (low) to 1 (high).")] = 0.0,
    saturation: Annotated[float, typer.Option(help="-1 (grey) to 1 (vivid).")] = 0.0,
    warmth: Annotated[float, typer.Option(help="-1 (bluish) to 1 (golden).")] = 0.0,
    sharpen: Annotated[float, typer.Option(help="Amount of sharpening, 0 to 2.")] = 0.0,
    radius: Annotated[
        float, typer.Option(metavar="PX", help="With --sharpen: radius of the details to sharpen, 0.3 to 5.")
    ] = 1.0,
    threshold: Annotated[float, typer.Option(help="With --sharpen: ignore weaker details, 0 to 0.2.")] = 0.01,
    upscale: Annotated[int, typer.Option(help="Scale factor, 1 or 2.")] = 1,
    format: FileFormat = None,
    file_quality: FileQuality = 92,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing pictures.")] = False,
    provenance: Provenance = False,
    threads: Threads = None,
    _max_pixels: MaxPixels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each picture.")] = False,
) -> None:
    """Finish pictures: change size, colours and sharpness, in this order."""
    from sfumato.checks import check_range
    from sfumato.inference.jobs import left_out, plan
    from sfumato.inference.retouch import Finish

    try:
        wanted = Finish(brightness, contrast, saturation, warmth, sharpen, radius, threshold, upscale)
    except UsageError as problem:  # it begins with the name of the attribute, which is also that of the option
        raise UsageError(f"--{problem}") from problem
    check_range(file_quality, 1, 100, "--file-quality")
    if threads is not None:
        check_range(threads, 1, 10_000, "--threads")
    if wanted.is_nothing:
        raise UsageError(
            "there is nothing to change; give --brightness, --contrast, --saturation, --warmth, --sharpen or "
            "--upscale 2"
        )
    jobs, is_batch = plan(pictures, out, "finished", format and format.value, "finish")
    if jobs[0].target is None:
        check_no_terminal()
    seal = open_seal(provenance)
    finishing = Finishing(wanted, threads, format and format.value, file_quality, overwrite, as_json, seal)
    finishing.all(jobs, is_batch, left_out(pictures))


class Finishing(Pictures):
    """Pictures that are all finished with the same settings.

    Args:
        finish: the settings.
        threads: CPU threads; ``None`` is one per core.
        format: as for `Pictures`, like the arguments after it.
        quality: the quality of JPEG and WebP.
        overwrite: whether existing pictures are replaced.
        as_json: whether each result is printed as a line of JSON.
        seal: seals what is written; ``None``: nothing is sealed.
    """

    doing, done = "finishing", "finished"

    def __init__(
        self,
        finish: Finish,
        threads: int | None,
        format: str | None,
        quality: int,
        overwrite: bool,
        as_json: bool,
        seal: Seal | None = None,
    ) -> None:
        super().__init__(format, quality, overwrite, as_json, seal)
        self.finish, self.threads = finish, threads

    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        """Return the finished picture; its recipe is that of the photo with this finish added."""
        from dataclasses import replace

        from sfumato.errors import InputError

        finish = replace(self.finish, picture=digest)
        recipe, why = finish.what_is_carried(photo.metadata)
        if why is not None:
            say_error(f"{name}: its recipe is not copied to the result, because {why}")
        photo = replace(photo, metadata=replace(photo.metadata, recipe=recipe))
        try:
            with self.bar() as progress:
                return finish(photo, self.threads, progress)
        except InputError as problem:
            raise InputError(f"cannot finish {name}: {problem}") from problem

    def _write(self, picture: Photo, job: Job, format: str | None) -> Sequence[str]:
        """Write a picture; a remark says that the credentials of the one before it are lost, if nothing is sealed."""
        from sfumato.image import has_credentials

        content = b""
        if self.seal is None and job.photo is not None and job.photo.is_file():  # a pipe is read only once
            with suppress(OSError):  # it was deleted meanwhile
                content = job.photo.read_bytes()
        remarks = super()._write(picture, job, format)  # it may replace the photo
        if not has_credentials(content):
            return remarks
        return (
            *remarks,
            "the content credentials of the original are not in it, since they do not fit changed pixels; "
            "--provenance writes new ones",
        )

    def is_ours(self, found: dict[str, object], job: Job, digest: str) -> bool:
        """Whether the recipe is that of the photo with this finish added."""
        from dataclasses import replace

        from sfumato.image import read_recipe
        from sfumato.metadata import Metadata

        try:
            before = None if job.photo is None else read_recipe(job.photo)
        except SfumatoError:  # `make` ignores a damaged recipe too
            before = None
        finish = replace(self.finish, picture=digest)
        carried, _ = finish.what_is_carried(Metadata(recipe=before))
        return found == finish.added_to(carried)

    def made_of(self, found: dict[str, object]) -> object:
        """Return the hash of the picture that the last finish was applied to."""
        finishes = found.get("finish")
        last = finishes[-1] if isinstance(finishes, list) and finishes else None
        return last.get("picture") if isinstance(last, dict) else None
