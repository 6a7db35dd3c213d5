"""Who gets in, what they may do, and that nobody sees what belongs to somebody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from sfumato.studio import passwords, queue
from sfumato.studio.access import OneTimeToken, Throttles
from sfumato.studio.database import writing
from sfumato.studio.problems import RefusedError
from sfumato.studio.tables import Account, ApiKey, Audit, Job, Login, Picture, now
from studio_api import PASSWORD, Service, add_account, do_job, drawn, listening, paint, service, upload

HOME = "studio.example.org"


@pytest.fixture
def studio(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", sqlite_url) as found:
        yield found


@pytest.fixture
def team(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", database_url, HOME) as found:
        yield found


def log_in(client: httpx2.Client, **body: str) -> httpx2.Response:
    return client.post("/api/v1/session", json=body)


# ---- logging in ------------------------------------------------------------------------------------------------------


def test_the_link_works_once_and_is_stored_as_a_hash(studio: Service) -> None:
    token = studio.studio.token.renew()
    assert token not in str(vars(studio.studio.token))
    assert token not in repr(studio.studio)
    visitor = studio.visitor()
    assert log_in(visitor, token=token + "x").status_code == 401
    assert log_in(visitor, token=token).status_code == 200
    assert visitor.get("/api/v1/me").json()["local"] is True
    again = log_in(studio.visitor(), token=token)
    assert (again.status_code, again.json()["code"]) == (401, "not_logged_in")
    assert "works once" in again.json()["detail"]


def test_a_new_link_ends_the_old_one() -> None:
    found = OneTimeToken()
    assert not found.use("")
    old, new = found.renew(), found.renew()
    assert not found.use(old)
    assert [found.use(new), found.use(new)] == [True, False]


def test_the_cookie_is_out_of_reach_of_scripts_and_other_pages(studio: Service) -> None:
    plain = log_in(studio.visitor(), token=studio.studio.token.renew()).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=2592000"):
        assert part in plain
    assert "Secure" not in plain
    secret = plain.partition("=")[2].partition(";")[0]
    with studio.studio.sessions() as session:
        assert all(secret not in login.id for login in session.scalars(select(Login)))


def test_behind_https_the_cookie_is_secure(team: Service) -> None:
    add_account(team.studio, "anna")
    visitor = team.visitor()
    visitor.base_url = httpx2.URL(f"https://{HOME}")
    answer = log_in(visitor, name="anna", password=PASSWORD)
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"]


def test_on_a_network_the_link_is_worth_nothing(team: Service) -> None:
    assert log_in(team.visitor(), token=team.studio.token.renew()).status_code == 401


def test_wrong_names_and_passwords_are_told_apart_by_nobody(team: Service) -> None:
    add_account(team.studio, "anna")
    with writing(team.studio.sessions) as session:
        session.add(Account(name="off", password=passwords.hash_password(PASSWORD), disabled=True))
        session.add(Account(name="nopass"))
    answers, times = set(), []
    for name, password in (("anna", "x"), ("nobody", PASSWORD), ("off", PASSWORD), ("nopass", ""), ("nopass", "x")):
        began = time.perf_counter()
        answer = log_in(team.visitor(), name=name, password=password)
        times.append(time.perf_counter() - began)
        answers.add((answer.status_code, answer.text))
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    assert min(times) > 0.005  # a hash was computed each time
    good = log_in(team.visitor(), name="Anna", password=PASSWORD)
    assert (good.status_code, good.json()["name"], good.json()["local"]) == (200, "anna", False)
    for body in ({}, {"name": "anna"}, {"token": "x", "name": "anna", "password": "x"}):
        assert log_in(team.visitor(), **body).status_code == 422


def test_guessing_is_slowed_down_by_name_and_by_address(team: Service) -> None:
    add_account(team.studio, "anna")
    team.studio.throttles.names.rate = team.studio.throttles.addresses.rate = 0.001
    by_name = [log_in(team.visitor(), name="anna", password="x").status_code for _ in range(11)]
    assert by_name == [401] * 10 + [429]
    assert log_in(team.visitor(), name="anna", password=PASSWORD).status_code == 429
    last = [log_in(team.visitor(), name=f"n{i}", password="x") for i in range(10)][-1]
    assert (last.status_code, last.json()["code"]) == (429, "too_many")
    assert int(last.headers["retry-after"]) >= 1


def test_a_flood_of_logins_takes_no_more_memory_than_two() -> None:
    with passwords._turn(), passwords._turn():
        results: list[int] = []

        def attempt() -> None:
            try:
                passwords.check_password("x", None)
            except RefusedError as problem:
                results.append(problem.status)
            else:
                results.append(200)

        threads = [threading.Thread(target=attempt) for _ in range(20)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert results == [429] * 12  # eight wait for their turn
    for thread in threads:
        thread.join()
    assert results[12:] == [200] * 8


def test_an_account_that_calls_too_often_is_told_when_to_come_back(studio: Service) -> None:
    calls = studio.studio.throttles.calls
    calls.burst, calls.rate = 5, 0.5
    answers = [studio.client.get("/api/v1/me") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "2"


def test_throttles_refill_and_forget() -> None:
    buckets = Throttles().names
    buckets.rate = 50
    for _ in range(10):
        buckets.take("a", "slow down")
    with pytest.raises(RefusedError, match="slow down"):
        buckets.take("a", "slow down")
    buckets.take("b", "slow down")
    time.sleep(0.05)
    buckets.take("a", "slow down")
    for i in range(10_100):
        buckets.take(str(i), "slow down")
    assert len(buckets._levels) == 10_000


def test_logging_out_ends_the_cookie(studio: Service) -> None:
    visitor = studio.visitor()
    log_in(visitor, token=studio.studio.token.renew())
    cookie = visitor.cookies["sfumato"]
    assert visitor.delete("/api/v1/session").status_code == 204
    assert "sfumato" not in visitor.cookies
    stolen = studio.visitor()
    stolen.cookies.set("sfumato", cookie)
    assert stolen.get("/api/v1/me").status_code == 401


def test_a_login_ends_after_its_time_and_with_its_account(team: Service) -> None:
    anna, ben = team.person("anna"), team.person("ben")
    with writing(team.studio.sessions) as session:
        login = session.scalars(select(Login).join(Account).where(Account.name == "anna")).one()
        login.expires = now() - timedelta(seconds=1)
        session.scalars(select(Account).where(Account.name == "ben")).one().disabled = True
    assert anna.get("/api/v1/me").status_code == 401
    assert ben.get("/api/v1/me").status_code == 401


def test_a_password_is_changed_and_other_logins_end(team: Service) -> None:
    anna, other = team.person("anna"), team.visitor()
    log_in(other, name="anna", password=PASSWORD)
    change = {"old": PASSWORD, "new": "another-long-phrase"}
    assert anna.put("/api/v1/me/password", json={**change, "old": "x"}).status_code == 422
    assert anna.put("/api/v1/me/password", json={**change, "new": "short"}).status_code == 422
    assert anna.put("/api/v1/me/password", json=change).status_code == 204
    assert anna.get("/api/v1/me").status_code == 200
    assert other.get("/api/v1/me").status_code == 401
    assert log_in(team.visitor(), name="anna", password="another-long-phrase").status_code == 200


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_has_scopes_and_is_revoked(team: Service) -> None:
    anna = team.person("anna")
    made = anna.post("/api/v1/keys", json={"label": "shop", "scopes": ["read"]}).json()
    assert made["key"].startswith("sfu_")
    listed = anna.get("/api/v1/keys").json()
    assert [key["label"] for key in listed] == ["shop"]
    assert made["key"] not in str(listed)
    with team.studio.sessions() as session:
        assert made["key"] not in str([vars(key) for key in session.scalars(select(ApiKey))])
    program = team.visitor()
    program.headers["Authorization"] = f"Bearer {made['key']}"
    assert program.get("/api/v1/me").json()["name"] == "anna"
    assert anna.get("/api/v1/keys").json()[0]["used"] is not None
    denied = program.post("/api/v1/jobs/cancel", json={})
    assert (denied.status_code, denied.json()["detail"]) == (
        403,
        "the key lacks the scope write; make one with it under Account",
    )
    assert program.post("/api/v1/keys", json={"label": "more", "scopes": ["read"]}).status_code == 403
    assert program.put("/api/v1/me/password", json={"old": "x", "new": "y" * 12}).status_code == 403
    assert program.delete("/api/v1/me").status_code == 403
    assert program.delete("/api/v1/session").status_code == 422
    assert anna.delete(f"/api/v1/keys/{made['id']}").status_code == 204
    assert program.get("/api/v1/me").status_code == 401
    assert anna.delete(f"/api/v1/keys/{made['id']}").status_code == 404


def test_the_scope_admin_is_for_admins_only_and_ends_with_the_role(team: Service) -> None:
    anna, root = team.person("anna"), team.person("root", "admin")
    other = team.person("other", "admin")
    asked = {"label": "x", "scopes": ["admin"]}
    assert anna.post("/api/v1/keys", json=asked).status_code == 403
    program = team.program(root, "admin", "read")
    assert program.get("/api/v1/accounts").status_code == 200
    root_id = root.get("/api/v1/me").json()["id"]
    assert other.patch(f"/api/v1/accounts/{root_id}", json={"role": "member"}).status_code == 200
    assert program.get("/api/v1/accounts").status_code == 403
    assert program.get("/api/v1/me").status_code == 200


def test_a_wrong_key_is_refused_even_beside_a_good_cookie(studio: Service) -> None:
    for header in ("Bearer sfu_wrong", "Bearer " + "x" * 5000, "Bearer \u00e9"):
        answer = studio.client.get("/api/v1/me", headers={b"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401, header[:20]
    studio.visitor()
    cookie = studio.visitor()
    cookie.cookies.set("sfumato", "x" * 3000)
    assert cookie.get("/api/v1/me").status_code == 401


def test_without_a_login_every_address_is_closed(studio: Service) -> None:
    open_to_all = {"/api/v1/session", "/health", "/ready", "/metrics"}
    visitor = studio.visitor()
    paths = studio.client.get("/api/v1/openapi.json").json()["paths"]
    seen = 0
    for path, methods in paths.items():
        for method in methods:
            if path in open_to_all and method != "delete":
                continue
            full = path.replace("{sha}", "0" * 64).replace("{name}", "monet").replace("{taste}", "me")
            full = full.replace("{", "").replace("}", "") if "{" not in full else _filled(full)
            body: Any = {"json": {}} if method in ("post", "put", "patch") else {}
            assert visitor.request(method, full, **body).status_code == 401, (method, path)
            seen += 1
    assert seen > 40


def _filled(path: str) -> str:
    return "/".join("0" * 32 if part.startswith("{") else part for part in path.split("/"))


# ---- other accounts --------------------------------------------------------------------------------------------------


def test_nothing_of_another_account_is_seen_or_changed(team: Service) -> None:
    anna, ben = team.person("anna"), team.person("ben")
    photo = upload(anna)
    path = f"/api/v1/pictures/{photo['id']}"
    job = anna.post("/api/v1/jobs", json=paint(photo["id"])).json()
    picture = do_job(team.studio, drawn(4))
    assert picture is not None
    batch = anna.post("/api/v1/batches", json={"photos": [photo["id"]], "styles": [[{"style": "monet"}]]}).json()
    style = anna.post("/api/v1/styles", json={"name": "x", "pictures": [{"picture": photo["id"]}]}).json()
    key = anna.post("/api/v1/keys", json={"label": "x", "scopes": ["read"]}).json()
    own = upload(ben, 2)["id"]
    denied = [
        ben.get(path),
        ben.get(f"{path}/file"),
        ben.get(f"{path}/thumb"),
        ben.patch(path, json={"star": True}),
        ben.delete(path),
        ben.get(f"/api/v1/jobs/{job['id']}"),
        ben.post(f"/api/v1/jobs/{job['id']}/cancel"),
        ben.post(f"/api/v1/jobs/{job['id']}/retry"),
        ben.get(f"/api/v1/batches/{batch['batch']}"),
        ben.post(f"/api/v1/batches/{batch['batch']}/cancel"),
        ben.post(f"/api/v1/batches/{batch['batch']}/retry"),
        ben.get(f"/api/v1/batches/{batch['batch']}/zip"),
        ben.delete(f"/api/v1/styles/{style['id']}"),
        ben.delete(f"/api/v1/keys/{key['id']}"),
        ben.post("/api/v1/jobs", json=paint(photo["id"])),
        ben.post("/api/v1/jobs", json=paint(own, styles=[{"style": style["ref"]}])),
        ben.post("/api/v1/jobs", json=paint(own, styles=[{"style": "monet", "mask": photo["id"]}])),
        ben.post("/api/v1/jobs", json={"kind": "paint", "photo": own, "recipe_of": picture.id}),
        ben.post("/api/v1/jobs", json={"kind": "learn", "taste": "me", "liked": [photo["id"]]}),
        ben.post("/api/v1/jobs", json={"kind": "finish", "picture": photo["id"], "contrast": 1}),
        ben.post("/api/v1/styles", json={"name": "x", "pictures": [{"picture": photo["id"]}]}),
        ben.post("/api/v1/batches", json={"photos": [photo["id"]], "styles": [[{"style": "monet"}]]}),
        ben.post("/api/v1/votes", json={"left": photo["id"], "right": own, "choice": "left", "seconds": 1}),
    ]
    assert [answer.status_code for answer in denied] == [404] * len(denied)
    assert [each["id"] for each in ben.get("/api/v1/pictures").json()["items"]] == [own]
    assert ben.get("/api/v1/jobs").json()["items"] == []
    assert ben.get("/api/v1/styles").json()["own"] == []
    assert ben.get("/api/v1/keys").json() == []
    assert ben.post("/api/v1/jobs/cancel", json={}).json() == {"count": 0}
    assert ben.delete("/api/v1/trash").json() == {"count": 0}
    assert anna.get(f"{path}/file").status_code == 200
    assert anna.get(f"/api/v1/batches/{batch['batch']}").json()["counts"]["queued"] == 1


def test_one_key_of_two_accounts_is_no_repetition(team: Service) -> None:
    anna, ben = team.person("anna"), team.person("ben")
    headers = {"Idempotency-Key": "same"}
    one = anna.post("/api/v1/jobs", json=paint(upload(anna)["id"]), headers=headers)
    two = ben.post("/api/v1/jobs", json=paint(upload(ben)["id"]), headers=headers)
    assert (one.status_code, two.status_code) == (202, 202)
    assert one.json()["id"] != two.json()["id"]


# ---- admins ----------------------------------------------------------------------------------------------------------


def test_members_may_not_manage(team: Service) -> None:
    anna = team.person("anna")
    for method, path in (
        ("GET", "/accounts"),
        ("POST", "/accounts"),
        ("GET", "/audit"),
        ("DELETE", f"/accounts/{'0' * 32}"),
    ):
        answer = anna.request(method, f"/api/v1{path}", json={"name": "x", "password": "y" * 12})
        assert (answer.status_code, answer.json()["detail"]) == (403, "only an admin may do this")


def test_admins_manage_accounts(team: Service) -> None:
    root = team.person("root", "admin")
    made = root.post("/api/v1/accounts", json={"name": "ben", "password": PASSWORD, "quota": 1000})
    assert (made.status_code, made.json()["role"], made.json()["quota"]) == (201, "member", 1000)
    assert root.post("/api/v1/accounts", json={"name": "ben", "password": PASSWORD}).status_code == 409
    assert root.post("/api/v1/accounts", json={"name": "A B", "password": PASSWORD}).status_code == 422
    assert root.post("/api/v1/accounts", json={"name": "x", "password": "short"}).status_code == 422
    path = f"/api/v1/accounts/{made.json()['id']}"
    ben = team.visitor()
    assert log_in(ben, name="ben", password=PASSWORD).json()["quota"] == 1000
    assert root.patch(path, json={"quota": None}).json()["quota"] is None
    assert root.patch(path, json={"role": None}).status_code == 422
    assert ben.get("/api/v1/me").status_code == 200
    assert root.patch(path, json={"disabled": True}).json()["disabled"] is True
    assert ben.get("/api/v1/me").status_code == 401
    assert [each["name"] for each in root.get("/api/v1/accounts").json()] == ["ben", "root"]
    assert root.get(path).json()["used"] == 0
    assert root.delete(path).status_code == 204
    assert root.get(path).status_code == 404
    own = f"/api/v1/accounts/{root.get('/api/v1/me').json()['id']}"
    assert root.delete(own).status_code == 409
    assert root.patch(own, json={"role": "member"}).status_code == 409
    assert root.patch(own, json={"disabled": True}).status_code == 409
    assert root.delete("/api/v1/me").status_code == 409


def test_the_audit_log_tells_who_did_what(team: Service) -> None:
    root, anna = team.person("root", "admin"), team.person("anna")
    log_in(team.visitor(), name="anna", password="wrong")
    picture = upload(anna, name="secret.png")["id"]
    anna.delete(f"/api/v1/pictures/{picture}")
    key = anna.post("/api/v1/keys", json={"label": "secret", "scopes": ["read"]}).json()["id"]
    anna.delete(f"/api/v1/keys/{key}")
    anna.get("/api/v1/votes/file")
    made = root.post("/api/v1/accounts", json={"name": "ben", "password": PASSWORD}).json()["id"]
    root.patch(f"/api/v1/accounts/{made}", json={"quota": 1})
    root.delete(f"/api/v1/accounts/{made}")
    page = root.get("/api/v1/audit").json()
    lines = [(line["action"], line["object"]) for line in reversed(page["items"])]
    assert lines == [
        ("login", None),
        ("login", None),
        ("login.failed", None),
        ("picture.delete", picture),
        ("key.make", key),
        ("key.revoke", key),
        ("export", None),
        ("account.make", made),
        ("account.change", made),
        ("account.delete", made),
    ]
    assert page["next"] is None
    assert "secret" not in str(page)
    assert root.get("/api/v1/audit", params={"before": page["items"][2]["id"]}).json()["items"] == page["items"][3:]


def test_who_deletes_their_account_leaves_nothing(team: Service, tmp_path: Path) -> None:
    anna, ben = team.person("anna"), team.person("ben")
    account = anna.get("/api/v1/me").json()["id"]
    photo = upload(anna)["id"]
    upload(ben, 2)
    anna.post("/api/v1/jobs", json=paint(photo))
    personal = team.studio.settings.personal(account) / "me"
    personal.mkdir(parents=True)
    (personal / "record.json").write_text("{}")
    assert anna.delete("/api/v1/me").status_code == 204
    assert anna.get("/api/v1/me").status_code == 401
    with team.studio.sessions() as session:
        assert session.get(Account, account) is None
        for column in (Picture.account, Job.account, Login.account, ApiKey.account):
            assert account not in set(session.scalars(select(column)))
        assert account in {row.account for row in session.scalars(select(Audit))}
    left = {path.name for path in (tmp_path / "data").rglob("*")}
    assert account not in left
    assert len(ben.get("/api/v1/pictures").json()["items"]) == 1


def test_on_ones_own_machine_the_account_stays_empty(studio: Service) -> None:
    upload(studio.client)
    studio.client.post("/api/v1/keys", json={"label": "x", "scopes": ["read"]})
    assert studio.client.delete("/api/v1/me").status_code == 204
    me = studio.client.get("/api/v1/me").json()
    assert (me["used"], me["role"]) == (0, "admin")
    assert studio.client.get("/api/v1/pictures").json()["items"] == []
    assert studio.client.get("/api/v1/keys").json() == []
    upload(studio.client)


# ---- events ----------------------------------------------------------------------------------------------------------


def test_events_follow_jobs_and_end_with_the_login(tmp_path: Path, database_url: str) -> None:
    with listening(tmp_path / "data", database_url) as (address, studio):
        base = f"http://{address[0]}:{address[1]}"
        with httpx2.Client(base_url=base) as client, httpx2.Client(base_url=base) as second:
            log_in(client, token=studio.token.renew())
            second.cookies = client.cookies
            photo = upload(client)["id"]
            with second.stream("GET", "/api/v1/events") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                assert stream.headers["cache-control"] == "no-cache"
                lines = (line for line in stream.iter_lines() if line.startswith(("event:", "data:")))
                assert [next(lines), next(lines)] == ["event: ready", "data: {}"]
                job = client.post("/api/v1/jobs", json=paint(photo)).json()["id"]
                assert next(lines) == "event: job"
                assert job in next(lines)
                do_job(studio, drawn(1))
                states = []
                while (line := next(lines)) != "event: pictures":
                    states += [state for state in ("running", "done") if f'"state":"{state}"' in line]
                assert states[-1] == "done"
                client.patch(f"/api/v1/pictures/{photo}", json={"star": True})
                assert [next(lines), next(lines), next(lines)] == ["data: {}", "event: pictures", "data: {}"]
                assert client.delete("/api/v1/session").status_code == 204
                assert list(lines) == []
            assert second.get("/api/v1/events").status_code == 401


def test_streams_of_an_account_are_few(tmp_path: Path, sqlite_url: str) -> None:
    with (
        listening(tmp_path / "data", sqlite_url) as (address, studio),
        httpx2.Client(base_url=f"http://{address[0]}:{address[1]}") as client,
    ):
        log_in(client, token=studio.token.renew())
        open_streams = []
        for _ in range(12):
            stream = client.stream("GET", "/api/v1/events")
            assert stream.__enter__().status_code == 200
            open_streams.append(stream)
        refused = client.get("/api/v1/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        for stream in open_streams:
            stream.__exit__(None, None, None)
        end = time.monotonic() + 5
        while client.post("/api/v1/jobs/cancel", json={}).is_success and studio.hub._streams:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_an_event_of_a_job_has_its_place_in_the_queue(studio: Service) -> None:
    photo = upload(studio.client)["id"]
    for _ in range(3):
        studio.client.post("/api/v1/jobs", json=paint(photo))
    begun = now() - timedelta(seconds=5)
    hub = studio.studio.hub
    hub._streams = {_Listener(studio.client.get("/api/v1/me").json()["id"])}  # type: ignore[arg-type]
    assert [job.position for _, job in hub._changes(begun)] == [1, 2, 3]
    assert hub._changes(begun) == []
    queue.claim(studio.studio.sessions, "test", 60)
    assert [(job.state, job.position) for _, job in hub._changes(begun)] == [
        ("running", None),
        ("queued", 1),
        ("queued", 2),
    ]
    assert hub._changes(begun) == []
    hub._streams = set()


class _Listener:
    def __init__(self, account: str) -> None:
        self.account = account
