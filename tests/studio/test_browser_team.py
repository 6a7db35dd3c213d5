"""A team's Studio in a real browser: people log in by name and password, and an admin looks after the accounts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import PATIENCE, Desk, House, expect

pytestmark = pytest.mark.slow
PASSWORD, OTHER = "correct horse battery", "an even longer pass phrase"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[str]:
    """The address of a Studio with the account of an admin, anna."""
    studio = [sys.executable, "-m", "sfumato", "studio"]
    data = ["--data", str(tmp_path / "data")]
    subprocess.run(
        [*studio, "account", "add", "anna", *data], input=f"{PASSWORD}\n", text=True, check=True, capture_output=True
    )
    command = [*studio, *data, "--port", "0", "--workers", "0", "--allow-network", "localhost"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert told.startswith("Studio serves localhost on port "), told
        yield f"http://localhost:{told.split('port ')[1].split(';')[0]}"
    finally:
        process.terminate()
        process.communicate()


def log_in(desk: Desk, name: str, password: str) -> None:
    desk.page.get_by_label(desk.t("app.name"), exact=True).fill(name)
    desk.page.get_by_label(desk.t("app.password"), exact=True).fill(password)
    desk.button("app.log_in").click()


def test_people_log_in_and_look_after_their_accounts(house: House, team: str) -> None:
    with house.desk(logged_in=False, expected=["status of 4(01|03|22)"], base=team) as desk:
        page = desk.page
        page.goto("/")
        log_in(desk, "anna", "not her password")
        expect(page.get_by_role("alert")).to_be_visible()
        log_in(desk, "anna", PASSWORD)
        expect(page.get_by_role("navigation")).to_be_visible(timeout=PATIENCE)

        # Another password: a wrong one of before is told in one sentence.
        desk.go("account")
        old, new = (page.get_by_label(desk.t(f"acc.password_{each}"), exact=True) for each in ("old", "new"))
        for given in (OTHER, PASSWORD):
            old.fill(given)
            new.fill(OTHER)
            desk.button("acc.password_change").click()
            if given == OTHER:
                expect(page.get_by_role("alert")).to_be_visible()
        desk.says(desk.t("acc.password_changed"))

        # Another account, which may not do what admins do.
        desk.button("acc.new_account").click()
        dialog = page.get_by_role("dialog", name=desk.t("acc.new_account"))
        dialog.get_by_label(desk.t("acc.account_name")).fill("ben")
        dialog.get_by_label(desk.t("acc.password"), exact=True).fill(PASSWORD)
        desk.button("acc.save", dialog).click()
        expect(dialog).to_be_hidden()
        expect(desk.button("acc.change_of", name="ben")).to_be_visible()
        desk.button("acc.log_out").click()
        log_in(desk, "ben", PASSWORD)
        desk.go("account")
        expect(page.get_by_role("heading", name=desk.t("acc.keys"))).to_be_visible()
        expect(page.get_by_role("heading", name=desk.t("acc.accounts"))).to_have_count(0)
        desk.button("acc.log_out").click()

        # The admin sees what was done, and deletes the account.
        log_in(desk, "anna", OTHER)
        desk.go("account")
        page.get_by_text(desk.t("acc.audit"), exact=True).click()
        expect(page.get_by_text(desk.t("acc.did_account.password")).first).to_be_visible()
        desk.menu(desk.t("acc.change_of", name="ben"), desk.t("acc.remove"))
        desk.button("acc.remove", page.get_by_role("dialog")).click()
        expect(desk.button("acc.change_of", name="ben")).to_have_count(0)
