"""What commands share that make a picture of each of many: the jobs one by one, and the telling of how they went."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from sfumato.cli.output import say, say_json, standard_input, standard_output
from sfumato.errors import InputError, OutputError, SfumatoError

if TYPE_CHECKING:
    from sfumato.image import LeftOut, Photo
    from sfumato.inference.batch import Job


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

    @abstractmethod
    def make(self, photo: Photo, name: str) -> Photo:
        """The picture, with its recipe; ``name`` is what errors call the photo."""

    @abstractmethod
    def is_ours(self, found: dict[str, object] | None, job: Job) -> bool:
        """Whether the recipe found in a picture that is there is the one that this job would give it."""

    def told(self, picture: Photo) -> dict[str, Any]:
        """What else there is to say of a picture; a sentence as ``why``."""
        return {}

    def all(self, jobs: list[Job], is_batch: bool, left_out: Sequence[LeftOut] = ()) -> None:
        """Do every job; in a batch a bad photo does not stop the others. It is named at the end, and so is what was
        left out of folders from the beginning."""
        from sfumato.cli.progress import counted
        from sfumato.image import told

        if not is_batch:
            for job in jobs:
                self._tell(self._within_memory(job, False))
            return
        failed: list[SfumatoError] = []
        unheard: list[OutputError | BrokenPipeError] = []  # of a full stdout: the pictures are what was asked for
        done = skipped = 0
        bar = counted()
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
                        self._tell(outcome)
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
        for line in told(left_out):
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
        if job.target is not None and os.path.exists(job.target) and not self.overwrite:
            if not is_batch:
                raise OutputError(f"{job.target} is there already; add --overwrite to replace it")
            if not self.is_ours(_recipe(job.target), job):
                raise OutputError(f"{job.target} is there already, made otherwise; add --overwrite to replace it")
            return {**outcome, "status": "skipped"}
        photo = read_photo(job.photo or standard_input())
        picture = self.make(photo, str(job.photo or "-"))
        format = (self.format or "png") if job.target is None else None
        write_photo(picture, job.target or standard_output(), format, self.quality)
        outcome |= {"width": picture.width, "height": picture.height, "seconds": round(perf_counter() - began, 3)}
        outcome |= {"remark": photo.remark} if photo.remark else {}
        return outcome | self.told(picture)

    def _tell(self, outcome: dict[str, Any]) -> None:
        if self.as_json:
            # To stderr where the picture itself goes to stdout.
            say_json(outcome, err=outcome["output"] == "-")
        elif outcome["status"] == "done" and outcome["output"] != "-":
            size = f"{outcome['width']} x {outcome['height']}"
            say(f"{outcome['output']}  {size}  {outcome['seconds']:.2f} s")
            for said in (outcome.get("remark"), outcome.get("why")):
                if said:
                    say(f"  {said}")


def _recipe(target: Path) -> dict[str, object] | None:
    from sfumato.image import read_recipe

    try:
        return read_recipe(target)
    except SfumatoError:
        return None
