"""The page that paints in the browser, built once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser import browser as chromium
from sfumato.locks import locked
from web_site import WEB, run


@pytest.fixture(scope="session")
def npm() -> str:
    """Node's npm, with the packages of web/package-lock.json installed."""
    found = shutil.which("npm")
    if found is None or shutil.which("node") is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs npm")
    with locked(WEB / "node_modules.lock", waiting=lambda: None):
        installed, wanted = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
            run(found, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        run("node", "build.mjs", "model", "--if-older")
    return found


@pytest.fixture(scope="session")
def site(npm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, built."""
    folder = tmp_path_factory.mktemp("site")
    run("node", "build.mjs", "site", folder)
    return folder


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for pages of tests, with the package in `src` and its files in `sfumato`."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "src").symlink_to(site / "src")
    (folder / "sfumato").symlink_to(site / "model")
    return folder


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A Chromium without a window."""
    with chromium() as found:
        yield found
