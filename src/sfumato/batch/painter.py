"""The worker's side of a batch: paints jobs, and returns what became of them as values.

Errors are values too, so that no engine repeats a job because its photo is bad. A picture that exists as this batch
would paint it is not painted again: the recipe in it holds the SHA-256 of its photo and all options. A worker that is
killed at any moment therefore leaves nothing to repair.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from time import perf_counter
from typing import Any

from sfumato import assets, limits
from sfumato.batch.jobs import SHARD, Job
from sfumato.batch.outcomes import Outcome, Status, explain, failed, worker_name
from sfumato.batch.places import Place
from sfumato.batch.shards import paint_shard
from sfumato.errors import InputError, ModelError, OutputError, SfumatoError
from sfumato.image import read_photo, read_recipe
from sfumato.inference.masks import Mask
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.retouch import UNPAINTED
from sfumato.inference.style import PersonalStyle, Style
from sfumato.inference.stylizer import Stylizer
from sfumato.provenance.credentials import has_seal
from sfumato.provenance.seal import Seal


@dataclass(frozen=True)
class Spec:
    """What all jobs of a batch have in common; it is sent once to each worker.

    Attributes:
        source, target: as `places.Place` takes them.
        styles: by a row's text; ``""`` has the styles of the command.
        options: how photos are painted.
        others: further arguments of `Pipeline`.
        masks: of the styles.
        model: folder of an exported model, which workers must see; None: the one that ships with Sfumato.
        threads: CPU threads of a worker.
        device: as `Stylizer` takes it.
        overwrite: whether files that Sfumato did not paint are replaced.
        skips_results: whether photos that Sfumato painted are passed over.
        max_pixels: the limit of pixels of a photo.
        provenance: folder of the keys and the log that seal what is painted, which workers must see; None: nothing is
            sealed.
        shard_format: format of the pictures in shards, such as ``png``; None: by the photo's name.
        recipes: SHA-256 of the recipe of each of the styles. A worker whose own differ, since it has another version of
            Sfumato or of the model, refuses to paint.
        strengths: of those of the styles that are not painted with the strength of the options.
    """

    source: str
    target: str
    styles: Mapping[str, Sequence[Style | PersonalStyle]]
    options: PaintOptions
    others: Mapping[str, Any] = field(default_factory=dict)
    masks: Sequence[Mask] = ()
    model: str | None = None
    threads: int = 1
    device: str = "auto"
    overwrite: bool = False
    skips_results: bool = False
    max_pixels: int = limits.MAX_PIXELS
    provenance: str | None = None
    shard_format: str | None = None
    recipes: Mapping[str, str] = field(default_factory=dict)
    strengths: Mapping[str, float] = field(default_factory=dict)

    def stylizer(self) -> Stylizer:
        """Return the stylizer of this process."""
        return Stylizer(self.model, self.threads, self.device)

    def pipeline(self, style: str, stylizer: Stylizer) -> Pipeline:
        """Return the pipeline of one of the styles."""
        styles = [_here(each) for each in self.styles[style]]
        options = replace(self.options, strength=self.strengths.get(style, self.options.strength))
        return Pipeline(styles, options, masks=self.masks, stylizer=stylizer, **self.others)

    def packed(self) -> tuple[str, bytes]:
        """Return an id of this run, and the spec as bytes (pickle)."""
        return secrets.token_hex(16), pickle.dumps(self)


def recipe_digest(pipeline: Pipeline) -> str:
    """Return the SHA-256, in hex, of what a pipeline's pictures have in common."""
    asked = None if pipeline.selection is None else pipeline.selection.asked(pipeline.recipe)
    return hashlib.sha256(json.dumps([pipeline.recipe.to_json(), asked], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Painted:
    """The bytes of a result, and sentences on what could not be done."""

    content: bytes
    remarks: tuple[str, ...] = ()


class Painter:
    """Paints the jobs of a spec in this process; the model is loaded once.

    Args:
        spec: of the batch.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.source, self.target = Place(spec.source), Place(spec.target)
        self._pipelines: dict[str, Pipeline] = {}

    @cached_property
    def _stylizer(self) -> Stylizer:
        return self.spec.stylizer()

    @cached_property
    def _seal(self) -> Seal | None:
        folder = self.spec.provenance
        return None if folder is None else Seal.open(Path(folder), create=False)

    def paint(self, job: Job) -> list[Outcome]:
        """Paint a photo or a shard; return one outcome for each photo. It raises no exception."""
        began = perf_counter()
        make = paint_shard if job.target.endswith(SHARD) else _paint_file
        try:
            return make(self, job)
        except Exception as problem:
            error, code = explain(problem, job.photo)
            seconds = perf_counter() - began
            wanted = [(job.photo, job.target), *job.copies]
            return [failed(photo, target, error, code, seconds) for photo, target in wanted]

    def pipeline(self, style: str) -> Pipeline:
        """Return the pipeline of one of the spec's styles.

        Raises:
            ModelError: it would not paint as that of the process that started the batch.
        """
        if style not in self._pipelines:
            limits.set_max_pixels(self.spec.max_pixels)
            made = self.spec.pipeline(style, self._stylizer)
            if recipe_digest(made) != self.spec.recipes[style]:
                raise ModelError(
                    f"the worker {worker_name()} has Sfumato {made.recipe.version} and the model "
                    f"{made.recipe.model_sha256[:12]}, and would paint otherwise; install there what started the batch"
                )
            self._pipelines[style] = made
        return self._pipelines[style]

    def key(self, style: str, photo_sha256: str) -> str:
        """Return the SHA-256, in hex, of a photo's bytes together with the recipe."""
        return hashlib.sha256(f"{photo_sha256} {self.spec.recipes[style]}".encode()).hexdigest()

    def make(self, content: bytes, name: str, style: str, photo_sha256: str, suffix: str) -> Painted | None:
        """Paint the bytes of a photo; return the result, or None for a photo that is a result of Sfumato's own.

        Raises:
            SfumatoError: as `Pipeline` raises them.
        """
        pipeline = self.pipeline(style)
        try:
            photo = read_photo(content)
        except InputError as problem:
            raise InputError(str(problem).replace("cannot read the bytes", f"cannot read {name}", 1)) from problem
        recipe = photo.metadata.recipe
        if self.spec.skips_results and recipe is not None and recipe.get("kind") != UNPAINTED:
            return None
        result = pipeline(photo, name=name, photo_sha256=photo_sha256)
        if self._seal is not None:
            sealed = self._seal.seal_photo(result.picture, suffix, result.recipe.file_quality, content)
            return Painted(sealed.content, sealed.remarks)
        buffer = io.BytesIO()
        result.save(buffer, suffix)
        return Painted(buffer.getvalue())

    def would_make(self, content: bytes, recipe: Mapping[str, Any], style: str, photo_sha256: str) -> bool:
        """Return whether an existing result is as it would be painted, and sealed if results are sealed."""
        is_sealed = self.spec.provenance is None or has_seal(content)
        return is_sealed and self.pipeline(style).would_make(recipe, photo_sha256)


def _paint_file(painter: Painter, job: Job) -> list[Outcome]:
    """Paint a photo and write it under its target and those of its copies."""
    began = perf_counter()
    source, target = painter.source, painter.target
    name = source.address(job.photo)
    content = source.read(job.photo, limits.max_file_bytes(painter.spec.max_pixels))
    photo_sha256 = hashlib.sha256(content).hexdigest()
    wanted = [(job.photo, job.target), *job.copies]
    found = {made: _existing(painter, made, job.style, photo_sha256) for _, made in wanted}
    result = next((each for each in found.values() if each), None)
    status: Status = "copied"
    remarks: tuple[str, ...] = ()
    if result is None:
        painted = painter.make(content, name, job.style, photo_sha256, PurePosixPath(job.target).suffix)
        status = "painted"
        if painted is not None:
            result, remarks = painted.content, painted.remarks
    if result is None:
        return [Outcome(photo, made, "result", photo_sha256, worker=worker_name()) for photo, made in wanted]
    sha256, key = hashlib.sha256(result).hexdigest(), painter.key(job.style, photo_sha256)
    outcomes = []
    for photo, made in wanted:
        state: Status = "present"
        if not found[made]:
            target.write(made, result)
            state, status = status, "copied"
        own = found[made] or result
        seconds, began = perf_counter() - began, perf_counter()
        digest = sha256 if own is result else hashlib.sha256(own).hexdigest()
        outcome = Outcome(photo, made, state, photo_sha256, digest, key, len(own), seconds, worker_name())
        told = () if state == "present" else remarks
        outcomes.append(replace(outcome, replaced=found[made] == b"", remarks=told))
    return outcomes


def _existing(painter: Painter, name: str, style: str, photo_sha256: str) -> bytes | None:
    """Return the content of an existing result if it is the one that would be painted.

    Returns:
        ``b""`` where a file is there that is to be replaced, and None where there is none.

    Raises:
        OutputError: a file that Sfumato did not paint has that name, and may not be replaced.
    """
    target = painter.target
    if not target.exists(name):
        return None
    try:
        content = target.read(name, limits.max_file_bytes(painter.spec.max_pixels))
        recipe = read_recipe(content)
    except InputError:
        content, recipe = b"", None
    if recipe is None:
        if painter.spec.overwrite:
            return b""
        raise OutputError(
            f"{target.address(name)} already exists and was not painted by Sfumato; add --overwrite to replace it"
        )
    return content if painter.would_make(content, recipe, style, photo_sha256) else b""


def _here(style: Style | PersonalStyle) -> Style | PersonalStyle:
    """Return a style with the files of built-in pictures as they lie on this machine."""
    if isinstance(style, PersonalStyle) or not style.pictures:
        return style
    files = {entry.sha256: assets.picture_path(entry) for entry in assets.ledger()}
    pictures = [
        replace(each, source=files.get(each.sha256, each.source)) if isinstance(each.source, Path) else each
        for each in style.pictures
    ]
    return Style(style.name, style.code, style.about, pictures)


# ---- what engines call -----------------------------------------------------------------------------------------------

_MAX_SPECS = 8  # of batches that one worker of a cluster may have at the same time
_specs: dict[str, bytes] = {}


def install(run_id: str, content: bytes) -> None:
    """Store the spec of a run in this process."""
    _specs[run_id] = content
    for old in list(_specs)[:-_MAX_SPECS]:
        del _specs[old]


@lru_cache(maxsize=_MAX_SPECS)
def _painter(run_id: str) -> Painter:
    return Painter(pickle.loads(_specs[run_id]))


def paint_jobs(run_id: str, jobs: Sequence[Job]) -> list[list[Outcome]]:
    """Paint jobs of a run; return the outcomes of each."""
    painter = _painter(run_id)
    return [painter.paint(job) for job in jobs]


def hash_photos(run_id: str, names: Sequence[str]) -> list[str]:
    """Return the SHA-256 of photos in hex; empty for one that cannot be read."""
    painter = _painter(run_id)
    limit = limits.max_file_bytes(painter.spec.max_pixels)
    found = []
    for name in names:
        try:
            found.append(hashlib.sha256(painter.source.read(name, limit)).hexdigest())
        except SfumatoError:  # painting it will tell the error
            found.append("")
    return found
