"""The queue: each job is claimed by one worker, ends once, and survives its worker."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from sfumato.studio import queue
from sfumato.studio.database import Sessions, writing
from sfumato.studio.tables import Job


def add(sessions: Sessions, account: str, **values: object) -> str:
    with writing(sessions) as session:
        return queue.submit(session, Job(**{"account": account, "kind": "paint", "asked": {}, **values})).id


def state(sessions: Sessions, job: str) -> Job:
    with sessions() as session:
        found = session.get(Job, job)
        assert found is not None
        return found


def test_jobs_are_claimed_in_order_and_quick_ones_first(sessions: Sessions, account: str) -> None:
    first, second, quick = add(sessions, account), add(sessions, account), add(sessions, account, quick=True)
    with sessions() as session:
        places = [queue.position(session, state(sessions, job)) for job in (first, second, quick)]
    assert places == [2, 3, 1]
    found = [queue.claim(sessions, "w", 10) for _ in range(4)]
    assert [job and job.id for job in found] == [quick, first, second, None]
    assert found[0] is not None
    assert (found[0].state, found[0].worker, found[0].attempts) == ("running", "w", 1)


def test_single_jobs_go_before_those_of_a_batch(sessions: Sessions, account: str) -> None:
    batch = [add(sessions, account, batch="b") for _ in range(2)]
    single = add(sessions, account)
    with sessions() as session:
        assert [queue.position(session, state(sessions, job)) for job in (single, *batch)] == [1, 2, 3]
    found = [queue.claim(sessions, "w", 10) for _ in range(3)]
    assert [job and job.id for job in found] == [single, *batch]


def test_a_quick_worker_takes_quick_jobs_only(sessions: Sessions, account: str) -> None:
    add(sessions, account)
    assert queue.claim(sessions, "w", 10, quick_only=True) is None
    quick = add(sessions, account, quick=True)
    job = queue.claim(sessions, "w", 10, quick_only=True)
    assert job is not None
    assert job.id == quick


def test_many_workers_claim_each_job_once(sessions: Sessions, account: str) -> None:
    jobs = [add(sessions, account) for _ in range(60)]
    claimed: list[str] = []
    problems: list[BaseException] = []

    def work(name: str) -> None:
        try:
            while (job := queue.claim(sessions, name, 60)) is not None:
                claimed.append(job.id)
                with writing(sessions) as session:
                    assert queue.finish(session, job.id, name, "done", {"worker": name})
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert Counter(claimed) == Counter(jobs)
    assert {state(sessions, job).state for job in jobs} == {"done"}


def test_a_lost_lease_is_claimed_again_and_the_late_worker_is_told(sessions: Sessions, account: str) -> None:
    job = add(sessions, account)
    assert queue.claim(sessions, "slow", 0.05) is not None
    assert queue.renew(sessions, job, "slow", 0.05, 0.5, "painting") == "go"
    assert (state(sessions, job).progress, state(sessions, job).doing) == (0.5, "painting")
    time.sleep(0.1)
    again = queue.claim(sessions, "other", 10)
    assert again is not None
    assert (again.id, again.attempts, again.progress) == (job, 2, 0.0)
    assert queue.renew(sessions, job, "slow", 10) == "lost"
    with writing(sessions) as session:
        assert not queue.finish(session, job, "slow", "done", {})
        assert queue.finish(session, job, "other", "done", {"picture": "p"})
        assert not queue.finish(session, job, "other", "failed", error="twice")
    assert (state(sessions, job).state, state(sessions, job).result) == ("done", {"picture": "p"})


def test_a_job_that_kills_its_workers_fails(sessions: Sessions, account: str) -> None:
    job, other = add(sessions, account), add(sessions, account)
    for i in range(queue.ATTEMPTS):
        found = queue.claim(sessions, f"w{i}", -1)
        assert found is not None
        assert found.id == job
    found = queue.claim(sessions, "w", 10)
    assert found is not None
    assert found.id == other
    assert state(sessions, job).state == "failed"
    assert "3 times" in str(state(sessions, job).error)


def test_cancel(sessions: Sessions, account: str) -> None:
    waiting, running = add(sessions, account), add(sessions, account, quick=True)
    assert queue.claim(sessions, "w", 10) is not None
    with writing(sessions) as session:
        assert not queue.cancel(session, "0" * 32, waiting)  # of another account
        assert queue.cancel(session, account, waiting)
        assert queue.cancel(session, account, running)
    assert state(sessions, waiting).state == "cancelled"
    assert state(sessions, running).state == "running"
    assert queue.is_cancelled(sessions, running)
    assert queue.renew(sessions, running, "w", 10) == "cancel"
    with writing(sessions) as session:
        assert queue.finish(session, running, "w", "cancelled")
        assert not queue.cancel(session, account, running)
    assert state(sessions, running).state == "cancelled"


def test_a_cancelled_job_of_a_dead_worker_ends(sessions: Sessions, account: str) -> None:
    job = add(sessions, account)
    assert queue.claim(sessions, "dead", -1) is not None
    with writing(sessions) as session:
        assert queue.cancel(session, account, job)
    assert queue.claim(sessions, "w", 10) is None
    assert state(sessions, job).state == "cancelled"


def test_cancel_the_rest_but_not_the_running_one(sessions: Sessions, account: str) -> None:
    jobs = [add(sessions, account, batch="b") for _ in range(3)]
    assert queue.claim(sessions, "w", 10) is not None
    other = add(sessions, account)
    with writing(sessions) as session:
        assert queue.cancel_all(session, account, batch="b", running=False) == 2
    assert [state(sessions, job).state for job in (*jobs, other)] == ["running", "cancelled", "cancelled", "queued"]
    with writing(sessions) as session:
        assert queue.cancel_all(session, account) == 2


def test_a_newer_job_replaces_those_of_its_slot(sessions: Sessions, account: str) -> None:
    old = add(sessions, account, slot="photo", quick=True)
    assert queue.claim(sessions, "w", 10) is not None
    older, new = add(sessions, account, slot="photo"), add(sessions, account, slot="photo")
    assert state(sessions, old).cancel
    assert [state(sessions, job).state for job in (older, new)] == ["cancelled", "queued"]


def test_retry_makes_a_new_job(sessions: Sessions, account: str) -> None:
    job = add(sessions, account, asked={"photo": "p"}, batch="b")
    with writing(sessions) as session:
        assert queue.retry(session, account, job) is None  # it still waits
        queue.cancel(session, account, job)
        again = queue.retry(session, account, job)
        assert again is not None
    assert (again.id != job, again.asked, again.batch, again.state) == (True, {"photo": "p"}, "b", "queued")
    assert state(sessions, job).batch is None


def test_a_released_job_waits_again(sessions: Sessions, account: str) -> None:
    job = add(sessions, account)
    assert queue.claim(sessions, "w", 10) is not None
    queue.release(sessions, job, "w")
    assert (state(sessions, job).state, state(sessions, job).attempts) == ("queued", 0)
    assert queue.claim(sessions, "w", 10) is not None


@pytest.mark.parametrize("ended", ["done", "failed", "cancelled"])
def test_an_ended_job_has_no_place(sessions: Sessions, account: str, ended: str) -> None:
    job = add(sessions, account, state=ended)
    with sessions() as session:
        assert queue.position(session, state(sessions, job)) is None
    assert queue.claim(sessions, "w", 10) is None


def test_places_are_those_in_which_jobs_are_claimed(sessions: Sessions, account: str) -> None:
    jobs = [add(sessions, account, quick=i % 3 == 0, batch="b" if i % 2 else None) for i in range(9)]
    with sessions() as session:
        places = queue.places(session, jobs)
    claimed = [queue.claim(sessions, "w", 10) for _ in jobs]
    assert sorted(places, key=places.__getitem__) == [job.id for job in claimed if job is not None]
    assert sorted(places.values()) == list(range(1, 10))
