"""A whole batch: find equal photos, paint, and record what became of each photo."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sfumato.batch.jobs import Job, Plan
from sfumato.batch.outcomes import Outcome, failed
from sfumato.batch.painter import Spec, hash_photos, paint_jobs
from sfumato.batch.records import Counts, Records
from sfumato.batch.running import Engine, Lost, Stop, run
from sfumato.errors import InputError, first_line


@dataclass(frozen=True)
class State:
    """How far a batch is.

    Attributes:
        doing: ``comparing`` or ``painting``.
        done: photos (or shards) that are done.
        of: all of them.
        counts: of outcomes.
        notice: a sentence on the workers; empty if there is none.
    """

    doing: str
    done: int
    of: int
    counts: Counts
    notice: str = ""


Progress = Callable[[State], None]


def paint_batch(
    plan: Plan,
    run_id: str,
    engine: Engine,
    records: Records,
    stop: Stop | None = None,
    progress: Progress = lambda _: None,
) -> Iterator[Outcome]:
    """Paint all jobs, and yield the outcome of each photo when it has been recorded.

    Photos with equal bytes are painted once. Only photos of equal size are compared, by their SHA-256.

    Args:
        plan: the jobs.
        run_id: of the spec, which the engine's workers hold.
        engine: the workers.
        records: of the run.
        stop: ends the run early when it is set.
        progress: is called at least twice a second.

    Raises:
        OutputError: the engine cannot be reached any more, or the records cannot be written.
    """
    jobs = _without_twins(plan, run_id, engine, records.counts, stop, progress)
    done, total = 0, sum(1 + len(job.copies) for job in jobs)
    flushed = 0.0

    def tick() -> None:
        nonlocal flushed
        progress(State("painting", done, total, records.counts, engine.notice()))
        if time.monotonic() > flushed + 1:
            records.flush()
            flushed = time.monotonic()

    for job, value in run(jobs, engine, paint_jobs, run_id, stop=stop, tick=tick):
        outcomes = _lost(job, value) if isinstance(value, Lost) else value
        done += 1 + len(job.copies)
        for outcome in outcomes:
            records.add(outcome)
            yield outcome
    tick()


def _lost(job: Job, lost: Lost[Job]) -> list[Outcome]:
    error = (
        f"{job.photo}: its worker was lost {lost.times} times while it was painted ({first_line(lost.error)}); it may "
        "not fit into memory, so start fewer workers or make it smaller"
    )
    wanted = [(job.photo, job.target), *job.copies]
    return [replace(failed(photo, target, error, InputError.exit_code), worker="") for photo, target in wanted]


def _without_twins(
    plan: Plan, run_id: str, engine: Engine, counts: Counts, stop: Stop | None, progress: Progress
) -> list[Job]:
    """Return the jobs, in which photos of equal bytes, style and format are one job."""
    by_size: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    for place, (job, size) in enumerate(zip(plan.jobs, plan.sizes, strict=True)):
        if size is not None and not plan.is_shards:
            by_size[size, job.style, PurePosixPath(job.target).suffix].append(place)
    doubtful = [places for places in by_size.values() if len(places) > 1]
    names = list(dict.fromkeys(plan.jobs[place].photo for places in doubtful for place in places))
    if not names:
        return plan.jobs
    hashes: dict[str, str] = {}

    def tick() -> None:
        progress(State("comparing", len(hashes), len(names), counts, engine.notice()))

    for name, sha256 in run(names, engine, hash_photos, run_id, stop=stop, tick=tick):
        hashes[name] = "" if isinstance(sha256, Lost) else sha256
    first: dict[tuple[str, str, str], int] = {}
    twins: dict[int, list[int]] = {}
    for places in doubtful:
        for place in places:
            job = plan.jobs[place]
            sha256 = hashes.get(job.photo, "")
            if sha256:
                leader = first.setdefault((sha256, job.style, PurePosixPath(job.target).suffix), place)
                if leader != place:
                    twins.setdefault(leader, []).append(place)
    followers = {place for each in twins.values() for place in each}
    return [
        replace(job, copies=_pairs(plan.jobs, twins[place])) if place in twins else job
        for place, job in enumerate(plan.jobs)
        if place not in followers
    ]


def _pairs(jobs: Sequence[Job], places: Sequence[int]) -> tuple[tuple[str, str], ...]:
    return tuple((jobs[place].photo, jobs[place].target) for place in places)


def with_recipes(spec: Spec) -> Spec:
    """Return the spec with the hash of each style's recipe, which workers check against their own.

    Raises:
        SfumatoError: a style or an option does not fit the model.
    """
    from sfumato.batch.painter import recipe_digest

    stylizer = spec.stylizer()
    return replace(spec, recipes={name: recipe_digest(spec.pipeline(name, stylizer)) for name in spec.styles})
