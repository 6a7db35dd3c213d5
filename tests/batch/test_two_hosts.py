"""Two hosts paint one folder together; they are network namespaces, and the test is skipped where those are refused."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from batch_work import manifest
from sfumato.image import read_photo, write_image
from support import scene
from two_hosts import NoNamespacesError, start_dask, two_hosts


@pytest.mark.slow
def test_two_hosts_do_one_folder_together(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    (tmp_path / "in").mkdir()
    for number in range(60):
        write_image(scene(160, 160, number), tmp_path / "in" / f"{number:02d}.jpg")
    try:
        with two_hosts() as (one, two):
            engine = start_dask((one, two), tmp_path / "log")
            time.sleep(8)  # until both workers are there
            command = [sys.executable, "-m", "sfumato", "batch", str(tmp_path / "in"), str(tmp_path / "out")]
            done = one.run(*command, "--style", "monet", "--quality", "draft", "--engine", engine, "--json")
            names = {one.name, two.name}
    except NoNamespacesError as problem:
        pytest.skip(f"no network namespaces here: {problem}")
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(line["target"] for line in lines) == {f"{number:02d}.jpg": 1 for number in range(60)}
    assert {line["status"] for line in lines} == {"painted"}
    told = re.findall(r"worker (\d+) was (\S+):\d+", done.stderr)
    host_of = {int(number): host for number, host in told}
    hosts = Counter(host_of[line["worker"]] for line in manifest(tmp_path / "out" / "batch-report"))
    assert set(hosts) == names
    assert min(hosts.values()) >= 15
    for line in lines:
        read_photo(tmp_path / "out" / line["target"])
