"""What Sfumato writes says nothing of who made it, where and on which machine: each file is searched byte by byte.

A person with a telling name, home folder and host works through the commands, always with absolute paths. Then every
file that they could pass on is unpacked and searched. What must name folders, since it is there to be resumed or
replayed by the same person, is listed in `KEPT_AT_HOME`, as in docs/privacy.md.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artefact_bytes import told
from sfumato.image import to_uint8
from support import run, save_scenes, save_works, scene

USER, HOST, MACHINE = "ada-zeppelin", "node-quokka-17", "5f0c1d2e3b4a59687706f5e4d3c2b1a0"
#: Files that name folders of their user, because a command reads them again; nobody is told to pass them on.
KEPT_AT_HOME = {"config.json"}


class Desk:
    """A person's home: photos, paintings, and what they made of them.

    Attributes:
        home: their home folder; its path is a secret.
        out: what they made.
        secrets: what no file may tell, by name.
    """

    def __init__(self, base: Path) -> None:
        self.home = base / f"home-{USER}"
        self.out = self.home / "made"
        self.temporary = base / "scratch-space-of-ada"
        for folder in (self.home, self.out, self.temporary):
            folder.mkdir()
        save_scenes(self.home / "photos", 2, 1)
        save_works(self.home / "paintings", 0, 3)
        self.photo, self.painting = self.home / "photos" / "0.png", self.home / "paintings" / "work-0-0.png"
        self.secrets = {
            "user": USER,
            "home": str(self.home),
            "host": HOST,
            "machine id": MACHINE,
            "temporary folder": str(self.temporary),
            "sources": str(Path(__file__).resolve().parents[1]),
            "python": sys.prefix,
            "the tests' folder": str(base),
        }
        real = {"real host": socket.gethostname(), "real home": os.path.expanduser("~"), "kernel": platform.release()}
        real |= {"real machine id": _read("/etc/machine-id"), "boot id": _read("/proc/sys/kernel/random/boot_id")}
        self.secrets |= {name: value for name, value in real.items() if len(value) > 6}

    def check(self, *folders: Path) -> set[str]:
        """Search all files of folders; return the endings of those that were searched."""
        paths = [path for folder in folders or (self.out,) for path in folder.rglob("*") if path.is_file()]
        paths = [path for path in paths if path.name not in KEPT_AT_HOME]
        assert paths
        leaks = {str(path.relative_to(self.home)): found for path in paths if (found := told(path, self.secrets))}
        assert leaks == {}
        return {path.suffix for path in paths}


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(made.home))
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(made.temporary))
    for name in ("HOSTNAME", "COMPUTERNAME"):
        monkeypatch.setenv(name, HOST)
    monkeypatch.setenv("MACHINE_ID", MACHINE)
    for variable in ("XDG_DATA_HOME", "SFUMATO_PERSONAL", "SFUMATO_STYLES", "APPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)  # a container has no right to another name
    monkeypatch.setattr(platform, "node", lambda: HOST)
    monkeypatch.chdir(made.home)
    return made


def do(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_search_finds_what_is_packed(desk: Desk, tmp_path: Path) -> None:
    """The search itself: a home folder in compressed text, in a ZIP file, in base64 and in UTF-16 is found."""
    import base64
    import gzip
    import io
    import zipfile

    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", f"made in {desk.home}", zip=True)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("a.png", file.getvalue())
    page = b'<img src="data:image/png;base64,' + base64.b64encode(file.getvalue()) + b'">'
    tags = f"x{desk.home}".encode("utf-16-le")
    path = tmp_path / "found"
    for content in (file.getvalue(), archive.getvalue(), gzip.compress(archive.getvalue()), page, tags):
        path.write_bytes(content)
        assert {"user", "home"} <= set(told(path, desk.secrets))
    path.write_bytes(json.dumps({"path": "elsewhere"}).encode())
    assert told(path, desk.secrets) == []


def test_pictures_in_all_formats_with_their_recipes(desk: Desk) -> None:
    for suffix in ("png", "jpg", "webp", "tiff"):
        do("stylize", desk.photo, "--style", desk.painting, "--quality", "draft", "-o", desk.out / f"a.{suffix}")
    mask = desk.home / "mask.png"
    Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 48, 1).repeat(72, 0)).save(mask)
    do("stylize", desk.photo, "--style", "monet", "--mask", mask, "--quality", "standard", "-o", desk.out / "b.png")
    do("stylize", desk.photo, "--style", "monet", "--auto", "--quality", "draft", "-o", desk.out / "auto.png")
    do("stylize", desk.home / "photos", "--style", "monet", "--quality", "draft", "-o", desk.out / "many")
    do("finish", desk.out / "a.png", "--contrast", "0.2", "--upscale", "2", "-o", desk.out / "finished.jpg")
    do("replay", desk.out / "a.png", desk.home / "photos" / "1.png", "-o", desk.out / "again.png")
    do("styles", "--sheet", desk.photo, "-o", desk.out / "sheet.png")
    do("explain", desk.out / "a.png", "--photo", desk.photo, "-o", desk.out / "explained.png")
    do("lut", "--style", desk.painting, "-o", desk.out / "look.cube")
    assert desk.check() == {".png", ".jpg", ".webp", ".tiff", ".cube"}


def test_reports_and_pages(desk: Desk) -> None:
    judged = desk.home / "judged"
    judged.mkdir()
    for number in range(2):
        to = judged / f"{number}__work-0-{number}.png"
        do("stylize", desk.home / "photos" / f"{number}.png", "--style", "monet", "--quality", "draft", "-o", to)
    folders = ("--content", desk.home / "photos", "--style", desk.home / "paintings")
    do("evaluate", *folders, "--stylized", judged, "--suite", "quick", "--report", desk.out / "report")
    do("compare", *folders, f"one={judged}", f"two={judged}", "--blind", desk.out / "blind.html")
    assert {".html", ".json"} <= desk.check()


def test_styles_and_what_is_learnt_of_a_person(desk: Desk) -> None:
    do("styles", "add", "garden", desk.painting)
    do("personal", "new", "anna", "--like", desk.home / "paintings", "--rights", "own")
    do("personal", "export", "anna", "-o", desk.out / "anna.sfumato")
    do("personal", "export", "anna", "--private", "-o", desk.out / "private.sfumato")
    do("stylize", desk.photo, "--style", "anna", "-o", desk.out / "a.png")
    do("stylize", desk.photo, "--style", desk.out / "private.sfumato", "-o", desk.out / "b.png")
    [own] = desk.home.rglob("garden.safetensors")
    assert told(own, desk.secrets) == []
    assert desk.check() == {".sfumato", ".png"}


def test_the_records_of_a_batch(desk: Desk) -> None:
    (desk.home / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run(
        "batch", desk.home / "photos", desk.out / "batch", "--style", "monet", "--quality", "draft", "--workers", 1
    )
    assert result.exit_code == 3, result.stderr
    assert "broken.png" in (desk.out / "batch" / "batch-report" / "failures.csv").read_text()
    card = json.loads((desk.out / "batch" / "batch-report" / "run.json").read_text())
    assert (card["source"], card["target"]) == ("photos", "batch")
    line = json.loads((desk.out / "batch" / "batch-report" / "manifest.jsonl").read_text().splitlines()[0])
    assert line["worker"] == 1
    assert desk.check() >= {".png", ".json", ".jsonl", ".csv"}


def test_copies_of_a_training_set(desk: Desk) -> None:
    photos, out = desk.home / "photos", desk.out / "copies"
    image = {"id": 1, "file_name": min(path.name for path in photos.iterdir())}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    (desk.home / "coco.json").write_text(json.dumps({"images": [image], "annotations": [box], "categories": []}))
    options = ("--quality", "draft", "--workers", 1, "--coco", desk.home / "coco.json", "--masks", photos)
    do("augment", photos, "-o", out, "--styles", photos, *options)
    assert (out / "augmentation.csv").read_text().count("photos/") == 1
    assert desk.check() >= {".csv", ".json", ".jsonl"}


def test_textures_and_models(desk: Desk) -> None:
    from texture_models import document, glb, image

    made, blob = document([image(scene(64, 64, 0))])
    (desk.home / "model.glb").write_bytes(glb(made, blob))
    do("texture", desk.home / "model.glb", "--style", "monet", "--quality", "draft", "-o", desk.out / "model.glb")
    (desk.home / "maps").mkdir()
    Image.fromarray(to_uint8(scene(64, 64, 1))).save(desk.home / "maps" / "wall_basecolor.png")
    do("texture", desk.home / "maps", "--style", "monet", "--quality", "draft", "-o", desk.out / "maps")
    assert desk.check() == {".glb", ".png"}


def test_videos_and_their_tags(desk: Desk) -> None:
    from video_clips import write_clip

    clip = write_clip(desk.home / "clip.mp4", times=range(3))
    for name in ("a.mp4", "b.webm", "c.mkv", "d.mov"):
        codec = ("--codec", "h264") if name == "d.mov" else ()
        do("video", clip, "--style", desk.painting, *codec, "-o", desk.out / name)
    assert desk.check() == {".mp4", ".webm", ".mkv", ".mov"}


@pytest.mark.slow
def test_runs_checkpoints_and_exported_models(desk: Desk) -> None:
    pytest.importorskip("torch")
    save_works(desk.home / "paintings", 0, 8)
    save_scenes(desk.home / "train", 8, 3)
    phase = "phases=[{steps=2,batch=2,crop=32,thumbnails=[32],zoom_crops=0}]"
    do(
        *("train", "--content", desk.home / "train", "--style", desk.home / "paintings", "--recipe", "tiny"),
        *("--device", "cpu", "--set", phase, "--set", "log_every=1", "--out", desk.out / "run"),
    )
    do("export", desk.out / "run", "-o", desk.out / "model")
    assert (desk.out / "run" / "config.json").is_file()
    assert desk.check() >= {".safetensors", ".jsonl", ".json", ".onnx", ".png"}


def test_what_is_downloaded_from_studio(desk: Desk, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    from sfumato.studio.database import migrate
    from studio_api import drawn, paint, service, working
    from studio_data import wait_for_job

    database = f"sqlite:///{desk.home / 'studio.db'}"
    migrate(database)
    with service(desk.home / "studio", database) as studio, working(studio):
        client = studio.client
        sent = {}
        for seed, kind in ((0, "photo"), (1, "style")):
            answer = client.post(
                "/api/v1/pictures", files={"file": ("garden.png", drawn(seed, 96, 72))}, data={"kind": kind}
            )
            sent[kind] = answer.json()["id"]
        job = client.post("/api/v1/jobs", json=paint(sent["photo"], options={"quality": "draft"}))
        assert job.status_code in (200, 201, 202), job.text
        assert wait_for_job(studio.studio.sessions, job.json()["id"]).state == "done"
        learn = client.post("/api/v1/jobs", json={"kind": "learn", "taste": "me", "liked": [sent["style"]]})
        assert wait_for_job(studio.studio.sessions, learn.json()["id"]).state == "done"
        [found] = client.get("/api/v1/pictures", params={"kind": "result"}).json()["items"]
        downloads: dict[str, tuple[str, dict[str, Any]]] = {
            "result.png": (found["file"], {"download": True}),
            "result.jpg": (found["file"], {"format": "jpeg"}),
            "result.webp": (found["file"], {"format": "webp"}),
            "thumb.webp": (f"/api/v1/pictures/{found['id']}/thumb", {}),
            "picture.json": (f"/api/v1/pictures/{found['id']}", {}),
            "job.json": (f"/api/v1/jobs/{job.json()['id']}", {}),
            "taste.json": ("/api/v1/tastes/me", {}),
            "taste.sfumato": ("/api/v1/tastes/me/file", {}),
        }
        for name, (address, values) in downloads.items():
            answer = client.get(address, params=values)
            assert answer.status_code == 200, (name, answer.text)
            head = "\n".join(f"{key}: {value}" for key, value in answer.headers.items()).encode()
            (desk.out / name).write_bytes(answer.content)
            (desk.out / f"{name}.headers").write_bytes(head)
    assert desk.check() == {".png", ".jpg", ".webp", ".json", ".sfumato", ".headers"}
