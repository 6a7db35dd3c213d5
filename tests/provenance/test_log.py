"""The log: every line that is removed, changed, added or cut off is found, and no line is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

import sealing  # noqa: F401  (skips without the extra)
from sfumato.errors import InputError, OutputError
from sfumato.provenance.keys import Keys
from sfumato.provenance.log import Entry, SealLog, read_log

COUNT = 12


def entry(number: int) -> Entry:
    return Entry(f"{number:016x}", f"{number:064x}", None if number % 2 else f"{number:064x}", "ab" * 32)


@pytest.fixture
def log(tmp_path: Path) -> SealLog:
    made = SealLog(Keys.open(tmp_path))
    for number in range(COUNT):
        assert made.append(entry(number)) is None
    return made


def lines(log: SealLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def both(log: SealLog) -> tuple[list[Entry], list[str]]:
    """The entries of a log, and its problems."""
    found = read_log(log.path.parent)
    assert found is not None
    return found.entries, found.problems


def test_whole(log: SealLog) -> None:
    entries, problems = both(log)
    assert problems == []
    assert [(each.id, each.pixels) for each in entries] == [(entry(n).id, entry(n).pixels) for n in range(COUNT)]
    assert all(each.time.endswith("Z") for each in entries)
    assert oct(log.path.stat().st_mode)[-3:] == "600"


def test_every_removed_line_is_found(log: SealLog) -> None:
    whole = lines(log)
    for number in range(COUNT):
        log.path.write_bytes(b"".join(whole[:number] + whole[number + 1 :]))
        assert both(log)[1], number


def test_every_cut_end_is_found(log: SealLog) -> None:
    whole = lines(log)
    for number in range(COUNT):
        log.path.write_bytes(b"".join(whole[:number]))
        assert any("missing at the end" in problem for problem in both(log)[1])
        with pytest.raises(OutputError, match="missing at its end; restore it"):
            log.append(entry(99))
        with pytest.raises(OutputError, match="missing at its end"):
            log.check()
    log.path.unlink()
    assert both(log) == ([], [f"lines are missing at the end: it has 0, but had {COUNT}"])


def test_every_changed_byte_is_found(log: SealLog) -> None:
    whole = log.path.read_bytes()
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1
        log.path.write_bytes(bytes(changed))
        assert both(log)[1], at
        with pytest.raises(OutputError, match=r"line \d+ (is damaged|does not follow|is not the one)"):
            log.check()  # nothing is sealed onto it
    log.path.write_bytes(whole)
    log.check()


def test_every_swap_and_copy_is_found(log: SealLog) -> None:
    whole = lines(log)
    for number in range(COUNT - 1):
        swapped = [*whole[:number], whole[number + 1], whole[number], *whole[number + 2 :]]
        log.path.write_bytes(b"".join(swapped))
        assert both(log)[1]
        with pytest.raises(OutputError, match=r"does not follow|is not the one"):
            log.check()
        log.path.write_bytes(b"".join([*whole[: number + 1], *whole[number:]]))
        assert both(log)[1]


def test_a_forged_line_is_found(log: SealLog, tmp_path: Path) -> None:
    other = SealLog(Keys.open(tmp_path / "other"))
    for number in range(COUNT + 1):
        other.append(entry(number))
    whole, theirs = lines(log), lines(other)
    log.path.write_bytes(b"".join(theirs[:COUNT]))
    assert len(both(log)[1]) >= COUNT
    forged = json.loads(whole[3])
    forged["file"] = "ff" * 32
    packed = json.dumps(forged, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    log.path.write_bytes(b"".join([*whole[:3], packed, *whole[4:]]))
    entries, problems = both(log)
    assert problems[0] == "line 4 was changed: its signature does not fit"
    assert "ff" * 32 not in {each.file for each in entries}
    log.path.write_bytes(b"".join([*whole, theirs[COUNT]]))
    assert both(log)[1] == [f"line {COUNT + 1} was changed: its signature does not fit"]
    with pytest.raises(OutputError, match=f"line {COUNT + 1} was changed"):
        log.append(entry(99))


def test_an_unfinished_line_is_removed_with_a_word(log: SealLog) -> None:
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + whole.splitlines()[0][:50])
    found = read_log(log.path.parent)
    assert found is not None
    assert (len(found.entries), found.problems, found.is_torn) == (COUNT, [], True)
    said = log.append(entry(COUNT))
    assert said is not None
    assert said.startswith("an unfinished line of 50 bytes")
    entries, problems = both(log)
    assert problems == []
    assert len(entries) == COUNT + 1


def test_a_line_that_the_head_does_not_know_is_kept(log: SealLog, tmp_path: Path) -> None:
    """The process was killed after the line was written, and before the head was."""
    head = (tmp_path / "keys" / "head.json").read_bytes()
    log.append(entry(COUNT))
    (tmp_path / "keys" / "head.json").write_bytes(head)
    assert both(log)[1] == []
    assert log.append(entry(COUNT + 1)) is None
    entries, problems = both(log)
    assert (len(entries), problems) == (COUNT + 2, [])


def test_a_log_that_was_put_back_is_found(log: SealLog) -> None:
    """Cut, and filled again with lines of the same key: the head knows another last line."""
    before = lines(log)
    head = log._head_path.read_bytes()
    log.path.write_bytes(b"".join(before[:5]))
    log._head_path.unlink()
    for number in range(50, 50 + COUNT - 5):
        log.append(entry(number))
    log._head_path.write_bytes(head)
    assert both(log)[1] == [f"line {COUNT} is not the one that was written"]


def test_a_damaged_head_is_told(log: SealLog) -> None:
    log._head_path.write_text('{"lines": "many"}')
    entries, problems = both(log)
    assert (len(entries), problems) == (
        COUNT,
        ["its end, which keys/head.json states, is not known, since that file is damaged"],
    )
    with pytest.raises(InputError, match=r"head\.json .*; restore it from a backup, or move log\.jsonl and"):
        log.check()


def _append(folder: str, first: int) -> None:
    log = SealLog(Keys.open(Path(folder)))
    for number in range(first, first + 20):
        log.append(entry(number))


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    log = SealLog(Keys.open(tmp_path))
    context = multiprocessing.get_context("spawn")
    writers: list[Any] = [context.Process(target=_append, args=(str(tmp_path), 100 * n)) for n in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0] * 4
    entries, problems = both(log)
    assert problems == []
    assert sorted(int(each.id, 16) for each in entries) == sorted(100 * n + i for n in range(4) for i in range(20))


def test_an_unwritable_log_is_one_sentence(log: SealLog) -> None:
    log.path.unlink()
    os.mkdir(log.path)
    with pytest.raises((OutputError, InputError), match=r"log\.jsonl"):
        log.append(entry(1))
