"""What commands share that make a picture of each of many: the jobs one by one, and the telling of how they went."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from sfumato.cli.output import say, say_json, standard_input, standard_output
from sfumato.errors import InputError, OutputError, SfumatoError

if TYPE_CHECKING:
    from sfumato.image import LeftOut, Photo
    from sfumato.inference.batch import Job
    from sfumato.inference.pipeline import Pipeline
    from sfumato.inference.progress import Progress


class Format(StrEnum):
    png = "png"
    jpg = "jpg"
    webp = "webp"
    tiff = "tiff"


class Pictures(ABC):
    """Jobs that are all done alike; a command says what is done to a photo.

    Args:
        format: of what is written; ``None`` goes by its name.
        quality: of JPEG and WebP.
        overwrite: whether pictures that are there are replaced.
        as_json: whether each is told as a line of JSON.
    """

    doing: ClassVar[str]  # as in "painting", and, when done, as in "3 painted"
    done: ClassVar[str]

    def __init__(self, format: str | None, quality: int, overwrite: bool, as_json: bool) -> None:
        self.format, self.quality, self.overwrite = format, quality, overwrite
        self.as_json = as_json
        self.is_batch = False

    @abstractmethod
    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        """The picture, with its recipe; ``name`` is what errors call the photo, ``digest`` its file's SHA-256."""

    @abstractmethod
    def is_ours(self, found: dict[str, object], job: Job, digest: str) -> bool:
        """Whether the recipe found in a picture that is there is the one that this job would give it."""

    @abstractmethod
    def made_of(self, found: dict[str, object]) -> object:
        """The hash of the file that a picture was made of, as its recipe tells it; None where it does not."""

    def extra_fields(self, picture: Photo) -> dict[str, Any]:
        """What else there is to say of a picture; a sentence as ``why``."""
        return {}

    def bar(self) -> AbstractContextManager[Progress | None]:
        """Of one picture; many have one bar together."""
        from sfumato.cli.progress import one_picture

        return nullcontext() if self.is_batch else one_picture(self.doing)

    def all(self, jobs: list[Job], is_batch: bool, left_out: Sequence[LeftOut] = ()) -> None:
        """Do every job; in a batch a bad photo does not stop the others. It is named at the end, and so is what was
        left out of folders from the beginning."""
        from sfumato.cli.progress import count_bar
        from sfumato.image import describe_left_out

        self.is_batch = is_batch
        if not is_batch:
            for job in jobs:
                self._print(self._within_memory(job, False))
            return
        failed: list[SfumatoError] = []
        unheard: list[OutputError | BrokenPipeError] = []  # of a full stdout: the pictures are what was asked for
        done = skipped = 0
        bar = count_bar()
        talk = bar.console
        task = bar.add_task(self.doing, total=len(jobs))
        try:
            with bar:
                for job in jobs:
                    bar.update(task, description=job.photo.name if job.photo else "-")
                    try:
                        outcome = self._within_memory(job, True)
                    except SfumatoError as problem:
                        failed.append(problem)
                        outcome = {"photo": str(job.photo), "output": None, "status": "failed"}
                        outcome |= {"error": str(problem), "exit_code": problem.exit_code}
                    done += outcome["status"] == "done"
                    skipped += outcome["status"] == "skipped"
                    try:
                        self._print(outcome)
                    except (OutputError, BrokenPipeError) as problem:
                        unheard.append(problem)
                    bar.advance(task)
        except KeyboardInterrupt:
            left = len(jobs) - done - skipped - len(failed)
            talk.print(f"stopped with {left} photos left; the same command goes on with them")
            raise
        parts = [f"{done} {self.done}", *([f"{skipped} were there"] if skipped else [])]
        talk.print(", ".join([*parts, *([f"{len(failed)} failed:"] if failed else [])]))
        for failure in failed:
            talk.print(f"  {failure}", soft_wrap=True)
        if left_out:
            talk.print(f"left out: {len(left_out)}")
        for line in describe_left_out(left_out):
            talk.print(f"  {line}", soft_wrap=True)
        if failed:
            raise typer.Exit(failed[0].exit_code)
        if unheard:
            raise unheard[0]

    def _within_memory(self, job: Job, is_batch: bool) -> dict[str, Any]:
        """As `_one`; a photo that the memory does not suffice for is a bad photo like any other."""
        try:
            return self._one(job, is_batch)
        except MemoryError as problem:
            raise InputError(
                f"{job.photo or 'the photo'} does not fit into memory; make it smaller, or close other programs"
            ) from problem

    def _one(self, job: Job, is_batch: bool) -> dict[str, Any]:
        from time import perf_counter

        from sfumato.image import read_photo, write_photo

        began = perf_counter()
        outcome: dict[str, Any] = {"photo": str(job.photo or "-"), "output": str(job.target or "-"), "status": "done"}
        digest = self._digest(job.photo)
        if self._is_done(job, is_batch, digest):
            return {**outcome, "status": "skipped"}
        photo = read_photo(job.photo or standard_input())
        picture = self.make(photo, str(job.photo or "-"), digest)
        format = (self.format or "png") if job.target is None else None
        try:
            write_photo(picture, job.target or standard_output(), format, self.quality, self.overwrite)
        except OutputError as problem:
            if isinstance(problem.__cause__, FileExistsError) and self._is_done(job, is_batch, digest):
                return {**outcome, "status": "skipped"}  # another command, of the same photos, was faster
            raise
        outcome |= {"width": picture.width, "height": picture.height, "seconds": round(perf_counter() - began, 3)}
        outcome |= {"remark": photo.remark} if photo.remark else {}
        return outcome | self.extra_fields(picture)

    def _is_done(self, job: Job, is_batch: bool, digest: str) -> bool:
        """Whether the picture is there, as this job would make it.

        Raises:
            OutputError: there is another, which is not to be replaced.
        """
        target = job.target
        if target is None or self.overwrite or not os.path.lexists(target):
            return False
        mend = "add --overwrite to replace it"
        if not is_batch:
            raise OutputError(f"{target} is there already; {mend}")
        found = _recipe(target)
        if found is not None and self.made_of(found) not in (None, digest):
            raise OutputError(
                f"{target} is there already, {self.done} from another picture than {job.photo} now is (another of the "
                f"same name, or it has changed since); {mend}, or give another -o"
            )
        if found is None or not digest or not self.is_ours(found, job, digest):
            raise OutputError(f"{target} is there already, made otherwise; {mend}")
        return True

    def _digest(self, photo: Path | None) -> str:
        """SHA-256 of the file, before it is read; empty where it is none, or one that no picture can be."""
        from sfumato.image import picture_digest

        try:
            return "" if photo is None else picture_digest(photo)
        except InputError:  # which is told when it is read
            return ""

    def _print(self, outcome: dict[str, Any]) -> None:
        if self.as_json:
            # To stderr where the picture itself goes to stdout.
            say_json(outcome, err=outcome["output"] == "-")
        elif outcome["status"] == "done" and outcome["output"] != "-":
            size = f"{outcome['width']} x {outcome['height']}"
            say(f"{outcome['output']}  {size}  {outcome['seconds']:.2f} s")
            for message in (outcome.get("remark"), outcome.get("why")):
                if message:
                    say(f"  {message}")


class PaintedPictures(Pictures):
    """Photos painted by one pipeline, as `sfumato stylize` and `sfumato replay` do it."""

    doing, done = "painting", "painted"

    def __init__(self, pipeline: Pipeline, format: str | None, overwrite: bool, as_json: bool) -> None:
        super().__init__(format, pipeline.recipe.file_quality, overwrite, as_json)
        self.pipeline = pipeline

    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        with self.bar() as progress:
            return self.pipeline(photo, progress=progress, name=name, photo_sha256=digest).picture

    def extra_fields(self, picture: Photo) -> dict[str, Any]:
        recipe = picture.metadata.recipe or {}
        guidance = recipe.get("guidance")
        if not isinstance(guidance, dict):
            return {}
        chosen = {key: recipe[key] for key in ("strength", "stroke", "seed")}
        return chosen | {key: guidance[key] for key in ("why", "measured") if key in guidance}

    def is_ours(self, found: dict[str, object], job: Job, digest: str) -> bool:
        return self.pipeline.would_make(found, digest)

    def made_of(self, found: dict[str, object]) -> object:
        return found.get("photo_sha256")


def _recipe(target: Path) -> dict[str, object] | None:
    from sfumato.image import read_recipe

    try:
        return read_recipe(target)
    except SfumatoError:
        return None
