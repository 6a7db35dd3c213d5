"""Opening of video files with PyAV, with limits for untrusted files, and errors in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.errors import InputError, first_line, needs_extra
from sfumato.image.formats import kind_of
from sfumato.limits import check_size, max_pixels
from sfumato.text import short

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: Formats of files that are read. Others are refused: playlists and lists of files (HLS, DASH, concat) make FFmpeg open
#: files and addresses that the text names, and raw streams and rare formats have the least tested readers.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,nut,ivf,mxf,h264,hevc,obu,dv"
)
#: Kinds of picture that begin as MP4 does (`kind_of`).
PICTURES = ("HEIC", "AVIF")
_NAMES = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg, WMV, GIF"


def load_av() -> Any:
    """Return PyAV's module.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("SVT_LOG", "1")  # otherwise SVT-AV1 prints 22 lines for each file
    with needs_extra("video", "Painting videos"):
        import av
    av.logging.set_level(None)  # its messages about damaged files would go to stderr
    return av


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """Open a video file for reading.

    Raises:
        InputError: it does not exist, is not a video that is read, or is damaged at its start.
        MissingExtraError: PyAV is not installed.
    """
    av = load_av()
    shown = short(str(path))
    _check_file(Path(path), shown)
    try:
        # `file:` keeps FFmpeg from taking a name such as "a:b" for a protocol.
        container = av.open(
            f"file:{os.path.abspath(path)}",
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            options={"max_pixels": str(max_pixels())},  # of a frame, whatever the header says
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError) as problem:
        raise InputError(f"cannot read {shown}: {_why_closed(Path(path), problem)}") from problem
    with container:
        yield container


def _check_file(path: Path, shown: str) -> None:
    try:
        if os.path.isdir(path):
            raise InputError(f"cannot read {shown}: it is a folder; name a video file")
        if not os.path.isfile(path):
            reason = "it is not a regular file" if os.path.exists(path) else "there is no such file"
            raise InputError(f"cannot read {shown}: {reason}; name a video file")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"cannot read {shown}: it is empty")
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the name
        reason = getattr(problem, "strerror", None) or first_line(problem)
        raise InputError(f"cannot read {shown}: {reason}") from problem


def _why_closed(path: Path, problem: Exception) -> str:
    """Return why FFmpeg could not open a file, and what to do."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] == b"ftyp" and kind_of(head) not in PICTURES:
        return (
            "its index (moov) is missing, so nothing can be decoded: the file was cut short, or is still being written"
        )
    if kind_of(head) in PICTURES or head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*")):
        return "it is a picture; paint pictures with sfumato stylize"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP is a picture format; paint pictures with sfumato stylize, and save an animation as GIF or WebM"
    return f"it is not a video, or not in a format that is read ({_NAMES}) (FFmpeg says: {_words(problem)})"


def _words(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or first_line(problem)


def video_stream(container: InputContainer, shown: str) -> VideoStream:
    """Return the stream to paint: the first one that is not a cover picture.

    Raises:
        InputError: there is none, its codec is unknown, or its size is beyond the limits.
    """
    from av.stream import Disposition

    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        has_sound = " (only sound)" if container.streams.audio else ""
        raise InputError(f"{shown} contains no video{has_sound}; name another file")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(f"{shown} has a video in a codec that FFmpeg cannot decode; convert it to H.264 or VP9 first")
    check_frame_size(stream.codec_context.width, stream.codec_context.height, shown)
    return stream


def check_frame_size(width: int, height: int, shown: str) -> None:
    """Check the size of a video's frames.

    Raises:
        InputError: there is no pixel, or the size is beyond the limits of pictures.
    """
    if width < 1 or height < 1:
        raise InputError(f"{shown} says that its frames have {width} x {height} pixels; the file is damaged")
    check_size(width, height, max_pixels(), shown)
