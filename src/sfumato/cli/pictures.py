"""The common part of commands that turn many pictures into others: run the jobs one by one, and report the results."""

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
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.image import LeftOut, Photo
    from sfumato.inference.jobs import Job
    from sfumato.inference.pipeline import Pipeline
    from sfumato.inference.progress import Progress
    from sfumato.provenance.seal import Seal


class Format(StrEnum):
    """The choices of ``--format``."""

    png = "png"
    jpg = "jpg"
    webp = "webp"
    tiff = "tiff"


class Pictures(ABC):
    """Jobs that all run with the same settings; a subclass says what happens to a photo.

    Args:
        format: the format of the written files; ``None`` derives it from the file's name.
        quality: the quality of JPEG and WebP, 1 to 100.
        overwrite: whether existing pictures are replaced.
        as_json: whether each result is printed as a line of JSON.
        seal: seals what is written; ``None``: nothing is sealed.
    """

    doing: ClassVar[str]  # for the progress bar, such as "painting"
    done: ClassVar[str]  # for the summary, such as "painted" in "3 painted"

    def __init__(
        self, format: str | None, quality: int, overwrite: bool, as_json: bool, seal: Seal | None = None
    ) -> None:
        self.format, self.quality, self.overwrite = format, quality, overwrite
        self.as_json, self.seal = as_json, seal
        self.is_batch = False

    @abstractmethod
    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        """Return the picture, with its recipe.

        Args:
            photo: the photo to work on.
            name: the photo's name in errors.
            digest: the SHA-256 of the photo's file, in hex.
        """

    @abstractmethod
    def is_ours(self, found: dict[str, object], job: Job, digest: str) -> bool:
        """Whether the recipe ``found`` in an existing picture is the one that this job would write."""

    @abstractmethod
    def made_of(self, found: dict[str, object]) -> object:
        """Return the hash of the photo that a picture was made from, according to its recipe; None if it has none."""

    def extra_fields(self, _picture: Photo) -> dict[str, Any]:
        """Return extra fields for the JSON line; the field ``why``, a sentence, is printed as text too."""
        return {}

    def bar(self) -> AbstractContextManager[Progress | None]:
        """Return the progress bar of one picture; a batch has none, because it has one bar for all pictures."""
        from sfumato.cli.progress import one_picture

        return nullcontext() if self.is_batch else one_picture(self.doing)

    def all(self, jobs: list[Job], is_batch: bool, left_out: Sequence[LeftOut] = ()) -> None:
        """Run every job. In a batch, a photo that fails does not stop the others.

        Args:
            jobs: the photos and the files to write.
            is_batch: whether the command was given several photos, or a folder or pattern.
            left_out: files in the folders that are not pictures; they are listed at the end, as are failed photos.

        Raises:
            SfumatoError: the job failed, where it is not part of a batch.
            OutputError: stdout could not be written; the pictures are written all the same.
            typer.Exit: a photo of a batch failed; its error has been printed.
        """
        from sfumato.cli.progress import count_bar
        from sfumato.image import describe_left_out

        self.is_batch = is_batch
        if not is_batch:
            for job in jobs:
                self._print(self._within_memory(job, False))
            return
        failed: list[SfumatoError] = []
        unprinted: list[OutputError | BrokenPipeError] = []  # raised at the end: the pictures matter more than stdout
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
                        unprinted.append(problem)
                    bar.advance(task)
        except KeyboardInterrupt:
            left = len(jobs) - done - skipped - len(failed)
            talk.print(f"stopped with {counted(left, 'photo')} left; run the same command again to go on")
            raise
        parts = [f"{done} {self.done}", *([f"{skipped} already existed"] if skipped else [])]
        talk.print(", ".join([*parts, *([f"{len(failed)} failed:"] if failed else [])]))
        for failure in failed:
            talk.print(f"  {failure}", soft_wrap=True)
        if left_out:
            talk.print(f"left out: {len(left_out)}")
        for line in describe_left_out(left_out):
            talk.print(f"  {line}", soft_wrap=True)
        if failed:
            raise typer.Exit(failed[0].exit_code)
        if unprinted:
            raise unprinted[0]

    def _within_memory(self, job: Job, is_batch: bool) -> dict[str, Any]:
        """Run a job; a photo that does not fit into memory raises an InputError, like any other unusable photo."""
        try:
            return self._run(job, is_batch)
        except MemoryError as problem:
            raise InputError(
                f"{job.photo or 'the photo'} does not fit into memory; make it smaller, or close other programs"
            ) from problem

    def _run(self, job: Job, is_batch: bool) -> dict[str, Any]:
        """Read the photo, make its picture and write it; return the fields of the JSON line."""
        from time import perf_counter

        from sfumato.image import photo_digest, read_photo

        began = perf_counter()
        outcome: dict[str, Any] = {"photo": str(job.photo or "-"), "output": str(job.target or "-"), "status": "done"}
        digest = photo_digest(job.photo)
        if self._is_done(job, is_batch, digest):
            return {**outcome, "status": "skipped"}
        photo = read_photo(job.photo or standard_input())
        picture = self.make(photo, str(job.photo or "-"), digest)
        format = (self.format or "png") if job.target is None else None
        try:
            remarks = self._write(picture, job, format)
        except OutputError as problem:
            if isinstance(problem.__cause__, FileExistsError) and self._is_done(job, is_batch, digest):
                return {**outcome, "status": "skipped"}  # another command with the same photos was faster
            raise
        outcome |= {"width": picture.width, "height": picture.height, "seconds": round(perf_counter() - began, 3)}
        remarks = [each for each in (photo.remark, *remarks) if each]
        outcome |= {"remark": "; ".join(remarks)} if remarks else {}
        return outcome | self.extra_fields(picture)

    def _write(self, picture: Photo, job: Job, format: str | None) -> Sequence[str]:
        """Write a picture; return sentences on what could not be done."""
        from sfumato.image import write_photo

        target = job.target or standard_output()
        if self.seal is not None:
            return self.seal.write_photo(picture, target, format, self.quality, self.overwrite, job.photo)
        write_photo(picture, target, format, self.quality, self.overwrite)
        return ()

    def _is_done(self, job: Job, is_batch: bool, digest: str) -> bool:
        """Whether the picture already exists, exactly as this job would make it.

        Raises:
            OutputError: another file exists there, and may not be replaced.
        """
        target = job.target
        if target is None or self.overwrite or not os.path.lexists(target):
            return False
        advice = "add --overwrite to replace it"
        if not is_batch:
            raise OutputError(f"{target} already exists; {advice}")
        found = _read_recipe(target)
        if found is not None and self.made_of(found) not in (None, digest):
            raise OutputError(
                f"{target} already exists, {self.done} from another picture than {job.photo} now is (another of the "
                f"same name, or it has changed since); {advice}, or give another -o"
            )
        if found is None or not digest or not self.is_ours(found, job, digest):
            raise OutputError(f"{target} already exists and was made with other settings; {advice}")
        return True

    def _print(self, outcome: dict[str, Any]) -> None:
        if self.as_json:
            # To stderr if the picture itself goes to stdout.
            say_json(outcome, err=outcome["output"] == "-")
        elif outcome["status"] == "done" and outcome["output"] != "-":
            size = f"{outcome['width']} x {outcome['height']}"
            say(f"{outcome['output']}  {size}  {outcome['seconds']:.2f} s")
            for message in (outcome.get("remark"), outcome.get("why")):
                if message:
                    say(f"  {message}")


class PaintedPictures(Pictures):
    """Photos that one pipeline paints, for `sfumato stylize` and `sfumato replay`."""

    doing, done = "painting", "painted"

    def __init__(
        self, pipeline: Pipeline, format: str | None, overwrite: bool, as_json: bool, seal: Seal | None = None
    ) -> None:
        super().__init__(format, pipeline.recipe.file_quality, overwrite, as_json, seal)
        self.pipeline = pipeline

    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        """Return the painted photo."""
        with self.bar() as progress:
            return self.pipeline(photo, progress=progress, name=name, photo_sha256=digest).picture

    def extra_fields(self, picture: Photo) -> dict[str, Any]:
        """Return the settings that guidance chose, why, and the measures."""
        recipe = picture.metadata.recipe or {}
        guidance = recipe.get("guidance")
        if not isinstance(guidance, dict):
            return {}
        chosen = {key: recipe[key] for key in ("strength", "stroke", "seed")}
        return chosen | {key: guidance[key] for key in ("why", "measured") if key in guidance}

    def is_ours(self, found: dict[str, object], _job: Job, digest: str) -> bool:
        """Whether the pipeline would write the same recipe for this photo."""
        return self.pipeline.would_make(found, digest)

    def made_of(self, found: dict[str, object]) -> object:
        """Return the hash of the photo that was painted."""
        return found.get("photo_sha256")


def _read_recipe(target: Path) -> dict[str, object] | None:
    from sfumato.image import read_recipe

    try:
        return read_recipe(target)
    except SfumatoError:
        return None
