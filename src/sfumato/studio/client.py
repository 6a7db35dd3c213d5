"""A client of Studio's service in Python.

::

    with Client("http://127.0.0.1:7333", key="sfu_...") as studio:
        photo = studio.upload("photo.jpg")
        picture = studio.paint(photo.id, "monet", strength=0.8)
        studio.download(picture.id, "painted.png")
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from sfumato.errors import InputError, OutputError, SfumatoError, UsageError, first_line
from sfumato.files import atomic_file
from sfumato.studio.schemas import JobView, PictureView, Styles

Progress = Callable[[float, str], object]
#: Environment variable that holds the key.
KEY = "SFUMATO_STUDIO_KEY"
_LOOK = 0.2  # seconds between two looks at a job
_AGAIN = (429, 502, 503, 504)  # statuses after which the same request may succeed
_TRIES = 6


class Client:
    """Talks to a Studio. A request that met a busy or restarting server is sent again, without doing anything twice.

    Args:
        url: of the Studio.
        key: made on its page under Account, or by ``sfumato studio key``; by default ``$SFUMATO_STUDIO_KEY``.
        timeout: seconds to wait for an answer.

    Raises:
        UsageError: there is no key.
    """

    def __init__(self, url: str = "http://127.0.0.1:7333", key: str | None = None, timeout: float = 60.0) -> None:
        key = key or os.environ.get(KEY, "")
        if not key:
            raise UsageError(f"a key is needed: make one in Studio under Account, and give it as key or in {KEY}")
        self._http = httpx2.Client(
            base_url=f"{url.rstrip('/')}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=timeout
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(
        self, path: str | os.PathLike[str], kind: Literal["photo", "style", "mask", "video"] = "photo"
    ) -> PictureView:
        """Upload the file of a picture or a video.

        Raises:
            InputError: the file cannot be read, or Studio refused it.
            SfumatoError: as :meth:`request`.
        """
        path = Path(path)
        where, fields = ("/videos", {}) if kind == "video" else ("/pictures", {"kind": kind})
        try:
            file = path.open("rb")
        except OSError as problem:
            raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
        with file:
            files = {"file": (path.name, file, "application/octet-stream")}
            return PictureView.model_validate(self.request("POST", where, files=files, data=fields, headers=_once()))

    def styles(self) -> Styles:
        """Return the styles that one can paint with."""
        return Styles.model_validate(self.request("GET", "/styles"))

    def make_style(self, name: str, pictures: Sequence[str]) -> str:
        """Make a style from uploaded pictures, by their ids, and return its reference."""
        asked = {"name": name, "pictures": [{"picture": picture} for picture in pictures]}
        return str(self.request("POST", "/styles", json=asked)["ref"])

    def paint(
        self,
        photo: str,
        style: str | Mapping[str, float],
        *,
        format: Literal["png", "jpeg", "webp"] = "png",
        progress: Progress | None = None,
        **options: Any,
    ) -> PictureView:
        """Paint an uploaded photo, wait, and return the result.

        Args:
            photo: its id.
            style: reference of a style, or weights by reference, which are blended.
            format: of the result's file.
            progress: is called with the completed share and the next step; if it raises, the job is cancelled.
            **options: strength, stroke, color, quality and seed, as `sfumato.PaintOptions` has them.

        Raises:
            SfumatoError: as :meth:`wait`.
        """
        asked = {"kind": "paint", "photo": photo, "styles": _parts(style), "options": options, "format": format}
        job = self.submit(asked)
        return self.picture((self.wait(job.id, progress).result or {})["picture"])

    def paint_video(
        self,
        video: str,
        style: str | Mapping[str, float],
        *,
        max_size: int = 0,
        steady: float | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> PictureView:
        """Paint an uploaded video, wait, and return the painted one.

        Args:
            video: its id.
            style: as in :meth:`paint`.
            max_size: pixels to which the longer side is shrunk; 0 keeps it.
            steady: from 0, each frame by itself, to 1; ``None``: Sfumato's own choice.
            progress: as in :meth:`paint`.
            **options: strength, stroke, color, quality (``"draft"`` or ``"standard"``) and seed.

        Raises:
            SfumatoError: as :meth:`wait`.
        """
        asked = {"kind": "video", "video": video, "styles": _parts(style), "options": options}
        job = self.submit({**asked, "max_size": max_size, "steady": steady})
        return self.picture((self.wait(job.id, progress).result or {})["picture"])

    def submit(self, request: Mapping[str, Any]) -> JobView:
        """Submit a job of any kind, as the API's documentation describes it, and return it."""
        return JobView.model_validate(self.request("POST", "/jobs", json=request, headers=_once()))

    def job(self, job: str) -> JobView:
        """Return a job as it is now."""
        return JobView.model_validate(self.request("GET", f"/jobs/{job}"))

    def wait(self, job: str, progress: Progress | None = None) -> JobView:
        """Wait until a job is done, and return it.

        Raises:
            SfumatoError: it failed, with the sentence that says why, or was cancelled; or as :meth:`request`.
        """
        try:
            told = None
            while (found := self.job(job)).state in ("queued", "running"):
                now = round(found.progress, 3), found.doing or found.state
                if progress is not None and now != told:
                    progress(*now)
                told = now
                time.sleep(_LOOK)
        except BaseException:
            self.cancel(job)
            raise
        if found.state == "failed":
            raise SfumatoError(found.error or "the job failed")
        if found.state == "cancelled":
            raise SfumatoError("the job was cancelled")
        if progress is not None:
            progress(1.0, "done")
        return found

    def cancel(self, job: str) -> None:
        """Cancel a job; one that has ended stays as it is."""
        self.request("POST", f"/jobs/{job}/cancel", allowed=(409,))

    def picture(self, picture: str) -> PictureView:
        """Return what Studio knows of a picture."""
        return PictureView.model_validate(self.request("GET", f"/pictures/{picture}"))

    def pictures(self, **query: Any) -> list[PictureView]:
        """Return pictures, newest first, at most 60: ``kind``, ``query``, ``star``, ``collection``, ``before``."""
        found = self.request("GET", "/pictures", params=query)["items"]
        return [PictureView.model_validate(each) for each in found]

    def download(self, picture: str, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the file of a picture or a video; it appears whole or not at all.

        Raises:
            OutputError: the file cannot be written, or exists and must not be replaced.
            SfumatoError: as :meth:`request`.
        """
        with atomic_file(path, overwrite) as file:
            try:
                with self._http.stream("GET", f"/pictures/{picture}/file") as answer:
                    if answer.is_error:
                        answer.read()
                        raise _error(answer)
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
            except httpx2.TransportError as problem:
                raise OutputError(f"the download ended early ({first_line(problem)}); try again") from problem

    def delete(self, picture: str) -> None:
        """Delete a picture and its bytes."""
        self.request("DELETE", f"/pictures/{picture}")

    def request(self, method: str, path: str, allowed: Sequence[int] = (), **options: Any) -> Any:
        """Send a request, and return the answer's JSON, or None where it has none.

        Args:
            method: of HTTP.
            path: below ``/api/v1``.
            allowed: statuses that are no error.
            **options: as `httpx2.Client.request` takes them.

        Raises:
            InputError: Studio refused the request's content.
            UsageError: the key or the address is wrong, or there is no such thing.
            OutputError: Studio's disk or the quota is full.
            SfumatoError: Studio cannot be reached, is too busy, or failed.
        """
        repeatable = method != "POST" or "headers" in options  # with an idempotency key
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1 or not repeatable
            wait = min(0.2 * 2**attempt, 5.0)
            try:
                answer = self._http.request(method, path, **options)
            except httpx2.TransportError as problem:
                if last:
                    raise SfumatoError(
                        f"cannot reach Studio at {self._http.base_url.host}:{self._http.base_url.port} "
                        f"({first_line(problem)}); is sfumato studio running?"
                    ) from problem
            else:
                if answer.status_code not in _AGAIN or last:
                    break
                told = answer.headers.get("Retry-After", "")
                wait = min(float(told), 30.0) if told.isdecimal() else wait
            time.sleep(wait)
        if answer.is_error and answer.status_code not in allowed:
            raise _error(answer)
        return answer.json() if answer.content else None


def _parts(style: str | Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a style, or a blend of styles, as the service takes it."""
    weights = {style: 1.0} if isinstance(style, str) else style
    return [{"style": ref, "weight": weight} for ref, weight in weights.items()]


def _once() -> dict[str, str]:
    """Return the header by which a repeated request is recognised."""
    return {"Idempotency-Key": uuid.uuid4().hex}


def _error(answer: httpx2.Response) -> SfumatoError:
    """Return the error of an answer, with the service's own sentence."""
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"Studio answered {answer.status_code} {answer.reason_phrase}"
    kinds: dict[int, type[SfumatoError]] = {413: InputError, 415: InputError, 422: InputError, 507: OutputError}
    usage = 400 <= answer.status_code < 500
    return kinds.get(answer.status_code, UsageError if usage else SfumatoError)(detail)
