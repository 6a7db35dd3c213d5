"""Requests made from the service's own description: whatever they hold, the answer is one that it describes."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from sfumato.studio.access import digest_of
from sfumato.studio.buckets import Buckets
from sfumato.studio.database import writing
from sfumato.studio.tables import Account, ApiKey, Job, Login
from studio_api import URL, Service, do_job, drawn, paint, service, upload

#: These end the caller's own login or account, or never end.
_LEFT_OUT = ("log_out", "delete_me", "stream_events")
_EACH = 62  # requests of each operation, valid and invalid ones
_NOT_SENT = 0


@pytest.fixture
def studio(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", sqlite_url, most_queued=10**6) as found:
        never = Buckets(burst=1e12, rate=1e12)
        found.studio.throttles.calls = found.studio.throttles.addresses = found.studio.throttles.names = never
        yield found


def known_ids(studio: Service) -> dict[str, list[str]]:
    """Ids that exist, by the name of the parameter, so that requests reach what lies behind a 404."""
    client = studio.client
    photo = upload(client, 1)["id"]
    job = client.post("/api/v1/jobs", json=paint(photo)).json()["id"]
    do_job(studio.studio, drawn(3))
    batch = client.post("/api/v1/batches", json={"photos": [photo], "styles": [[{"style": "monet"}]]}).json()["batch"]
    style = client.post("/api/v1/styles", json={"name": "mine", "pictures": [{"picture": photo}]}).json()["id"]
    return {"picture": [photo], "job": [job], "batch": [batch], "style": [style], "name": ["monet", "me"]}


def described(studio: Service) -> Any:
    """The description of the service, in which ids in paths and bodies are at times those that exist."""
    ids = known_ids(studio)
    found = with_known(copy.deepcopy(studio.client.get("/api/v1/openapi.json").json()), ids)
    for operations in found["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path" and parameter["name"] in ids:
                    parameter["schema"] = {"anyOf": [{"enum": ids[parameter["name"]]}, parameter["schema"]]}
    return found


def with_known(schema: Any, ids: dict[str, list[str]]) -> Any:
    """A schema in which the ids of pictures and the names of styles are at times those that exist."""
    if isinstance(schema, list):
        return [with_known(each, ids) for each in schema]
    if not isinstance(schema, dict):
        return schema
    pattern = schema.get("pattern", "")
    if isinstance(pattern, str) and pattern == "^[0-9a-f]{32}$":
        return {"anyOf": [{"enum": ids["picture"]}, schema]}
    if isinstance(pattern, str) and "own:" in pattern:
        return {"anyOf": [{"enum": ["monet", f"own:{ids['style'][0]}"]}, schema]}
    return {name: with_known(each, ids) for name, each in schema.items()}


def credentials(studio: Service) -> dict[str, str]:
    """A key of an admin, made in the database, since requests may revoke it."""
    secret = "sfu_test-of-the-description"
    with writing(studio.studio.sessions) as session:
        account = session.query(Account).filter(Account.name == "local").one()
        account.disabled, account.role = False, "admin"
        if session.query(ApiKey).filter(ApiKey.digest == digest_of(secret)).one_or_none() is None:
            scopes = ["read", "write", "admin"]
            session.add(ApiKey(account=account.id, label="test", digest=digest_of(secret), scopes=scopes))
        session.query(Job).delete()
        session.query(Login).delete()
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_meets_a_bug(studio: Service, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(described(studio))
    answers: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation: Any = cast(Any, result).ok()
        if operation.definition.raw["operationId"] not in _LEFT_OUT:
            ask_many(studio, operation, mode, answers)
    assert answers.total() > 2_000
    assert answers[_NOT_SENT] < answers.total() / 4
    assert {200, 201, 202, 404, 409, 422} <= answers.keys() or mode is GenerationMode.NEGATIVE


def ask_many(studio: Service, operation: Any, mode: GenerationMode, answers: Counter[int]) -> None:
    """Send requests of one operation, and count the answers."""
    headers = credentials(studio)

    @seed(1)
    @settings(max_examples=_EACH, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=URL, headers={**(case.headers or {}), **headers})
        sent.pop("cookies", None)
        if isinstance(sent.get("data"), bytes | str):
            sent["content"] = sent.pop("data")
        try:
            request = studio.client.build_request(**sent)
        except (ValueError, TypeError, httpx2.InvalidURL):
            answers[_NOT_SENT] += 1  # no client can send it
            return
        answer = studio.client.send(request)
        answers[answer.status_code] += 1
        assert answer.status_code < 500 or answer.status_code in (501, 503, 507), answer.text
        if answer.status_code >= 400:
            assert set(answer.json()) == {"detail", "code"}, answer.text

    with suppress(Unsatisfiable):  # nothing can be wrong in a request without parameters
        ask()
