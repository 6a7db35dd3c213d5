"""Taking in uploads: each is decoded in a child process and written as a new file.

So nothing of it reaches a browser or a painter but its pixels, and the few facts that `metadata` names. The same
processes write stored pictures in other formats, for downloads.
"""

from __future__ import annotations

import queue
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sfumato import limits
from sfumato.errors import InputError, SfumatoError, needs_extra
from sfumato.studio.child import Child, limit_memory
from sfumato.studio.settings import Settings
from sfumato.text import short

_SECONDS = 60.0  # for one upload
_MAX_VIDEO = 2**40  # bytes; the setting is checked before
_ADVICE = "; make it smaller, or raise --max-pixels if you trust it"  # of the command line


@dataclass(frozen=True)
class Taken:
    """An upload after decoding. Its files lie in the folder that was given to `Intake.take`.

    Attributes:
        file: PNG with exactly the pixels of the upload, in sRGB and upright.
        thumb: WebP.
        small: a copy of a large picture, from which drafts are painted (`FileStore.put`).
        width, height: in pixels.
        media_type: of ``file``.
        recipe: in the upload, if Sfumato made it; not checked.
        original: SHA-256 of the upload in hex.
        remark: a sentence on parts of the upload that were not read.
        measures: of a video: ``seconds`` and frames per second, ``rate``.
    """

    file: Path
    thumb: Path
    small: Path | None
    width: int
    height: int
    media_type: str
    recipe: dict[str, Any] | None
    original: str
    remark: str | None
    measures: dict[str, Any] | None = None


class Intake:
    """Child processes that decode uploads; safe to use from several threads.

    Args:
        settings: limits of uploads.
        processes: uploads that are decoded at a time; others wait.
    """

    def __init__(self, settings: Settings, processes: int = 2) -> None:
        self._settings = settings
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(processes):
            self._idle.put(None)

    def warm_up(self) -> None:
        """Start one process before the first upload."""
        with self._child(_SECONDS) as child:
            child.pipe.send(None)
            child.pipe.recv()

    def take(self, source: Path, folder: Path, name: str) -> Taken:
        """Decode an upload.

        Args:
            source: the uploaded file.
            folder: where the new files are written; it belongs to the caller.
            name: of the upload, for errors.

        Raises:
            InputError: it is no picture, damaged, too large, or takes too much time or memory.
            OutputError: the disk is full.
        """
        return self._taken("take", source, folder, name, self._settings.upload_bytes)

    def take_video(self, source: Path, folder: Path, name: str) -> Taken:
        """Check a video, by decoding its first frame; its file stays as it is.

        Arguments and errors are those of `take`.

        Raises:
            MissingExtraError: the extra ``video`` is not installed.
        """
        with needs_extra("video", "Painting videos"):
            import av  # noqa: F401 - here, since a child cannot answer with this error
        return self._taken("take_video", source, folder, name, self._settings.video_bytes)

    def _taken(self, what: str, source: Path, folder: Path, name: str, most: int) -> Taken:
        shown = short(name)
        size = source.stat().st_size
        if size > most:
            raise InputError(
                f"{shown} has {size / 2**20:.0f} MiB, more than the limit of {most / 2**20:.0f}; make it smaller"
            )
        found = self._do(what, source, folder, shown)
        assert isinstance(found, Taken), "that is what a child answers"
        return found

    def convert(self, source: Path, target: Path, name: str) -> None:
        """Write a stored picture in the format of the suffix of ``target``, with its recipe.

        Raises:
            InputError: the picture is damaged or too large.
            OutputError: the disk is full.
        """
        self._do("convert", source, target, short(name))

    def _do(self, what: str, source: Path, target: Path, name: str) -> Taken | None:
        """Have a child do something.

        Raises:
            SfumatoError: it could not; the sentence has the name in place of the source's path.
        """
        with self._child(_SECONDS) as child:
            found = self._ask(child, (what, source, target), name)
        if isinstance(found, tuple):  # the child refused it, and goes on with the next
            kind, sentence = found
            raise kind(sentence.replace(str(source), name).replace(_ADVICE, "; make it smaller"))
        return found

    def close(self) -> None:
        """End all processes; a call of `take` after this starts a new one."""
        with suppress(queue.Empty):
            while True:
                if (child := self._idle.get_nowait()) is not None:
                    child.end()

    def _ask(
        self, child: Child, asked: tuple[str, Path, Path], name: str
    ) -> Taken | tuple[type[SfumatoError], str] | None:
        """Return a child's answer.

        Raises:
            InputError: there is none: it crashed, or took too much time or memory.
        """
        try:
            child.pipe.send(asked)
            end = time.monotonic() + _SECONDS
            while not child.pipe.poll(0.2):
                if time.monotonic() > end:
                    raise InputError(f"{name} took more than {_SECONDS:.0f} s to read; save it again, or smaller")
                if child.memory > self._settings.job_bytes:
                    raise InputError(f"{name} does not fit into memory; make it smaller")
            found: Taken | tuple[type[SfumatoError], str] | None = child.pipe.recv()
        except (EOFError, OSError) as problem:
            raise InputError(
                f"{name} made its decoder crash, so it is damaged; save it again with another program"
            ) from problem
        return found

    @contextmanager
    def _child(self, patience: float) -> Iterator[Child]:
        """Provide an idle process; one in which the block failed is ended, and replaced by the next call."""
        try:
            child = self._idle.get(timeout=patience)
        except queue.Empty:
            raise InputError("too many pictures are being read at once; try again in a minute") from None
        try:
            if child is None or not child.is_alive:
                child = Child(_serve, self._settings.pixels, self._settings.job_bytes)
            yield child
        except BaseException:
            if child is not None:
                child.end()
            child = None
            raise
        finally:
            self._idle.put(child)


def _serve(pipe: Connection, pixels: int, job_bytes: int) -> None:
    """Decode uploads in the child until the parent ends."""
    from sfumato.image import read_photo  # noqa: F401 - loads NumPy and Pillow before the first upload

    limits.set_max_pixels(pixels)
    limit_memory(job_bytes)
    warnings.filterwarnings("ignore", module=r"PIL\b")  # about damaged metadata; the log holds lines of JSON only
    while True:
        asked = pipe.recv()
        if asked is None:
            pipe.send(None)
            continue
        what, source, target = asked
        found: Taken | tuple[type[SfumatoError], str] | None
        try:
            found = None
            if what == "take":
                found = _take(source, target)
            elif what == "take_video":
                found = _take_video(source, target)
            else:
                _convert(source, target)
        except SfumatoError as problem:
            found = type(problem), str(problem)
        except MemoryError:
            found = InputError, f"{source} does not fit into memory; make it smaller"
        pipe.send(found)


def _take(source: Path, folder: Path) -> Taken:
    """Decode one upload, and write its files."""
    from sfumato.image import picture_digest, read_photo, write_working_copy
    from sfumato.inference.inputs import SMALLEST_SIDE
    from sfumato.studio.thumbs import write_small, write_thumb

    original, photo = picture_digest(source), read_photo(source)
    if max(photo.height, photo.width) < SMALLEST_SIDE:
        raise InputError(
            f"{source} has {photo.width} x {photo.height} pixels, and {SMALLEST_SIDE} or more on a side are needed; "
            "choose a larger picture"
        )
    file, thumb, small = (folder / name for name in ("picture.png", "thumb.webp", "small.png"))
    write_working_copy(photo, file)
    write_thumb(photo, thumb)
    has_small = write_small(photo, small)
    return Taken(
        file,
        thumb,
        small if has_small else None,
        photo.width,
        photo.height,
        "image/png",
        photo.metadata.recipe,
        original,
        photo.remark,
    )


def _convert(source: Path, target: Path) -> None:
    from sfumato.image import read_photo, write_photo

    write_photo(read_photo(source), target)


def _take_video(source: Path, folder: Path) -> Taken:
    """Decode the first frame of a video, and write it as a thumbnail."""
    from sfumato.files import digest
    from sfumato.studio.thumbs import write_thumb
    from sfumato.studio.work.video import first_frame

    facts, photo = first_frame(source)
    thumb = folder / "thumb.webp"
    write_thumb(photo, thumb)
    measures = {"seconds": facts.length, "rate": round(float(facts.rate), 3)}
    kind, original = _video_type(source), digest(source, _MAX_VIDEO)
    return Taken(source, thumb, None, photo.width, photo.height, kind, None, original, None, measures)


def _video_type(source: Path) -> str:
    """Return the media type of a video by its first bytes."""
    with source.open("rb") as file:
        head = file.read(64)
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:10] == b"qt" else "video/mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head else "video/x-matroska"
    return "application/octet-stream"
