"""Rows of a batch; and what processes tell each other, in two real ones over gloo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sfumato.parallel import (
    WHOLE,
    Rows,
    any_of,
    average,
    average_gradients,
    averages,
    broadcast_from_main,
    from_main,
    is_main,
    wait_for_all,
)

TWO = """
import os
import sys
import torch
import torch.distributed as dist
from sfumato.errors import TrainingError
from sfumato import parallel as p

me, file = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{file}", rank=me, world_size=2)
rows = p.Rows(me, 2)
whole = torch.arange(12.0).reshape(6, 2)
assert torch.equal(rows.gather(rows.pick(whole)), whole)
assert torch.equal(rows.others(rows.pick(whole)), p.Rows(1 - me, 2).pick(whole))
assert not rows.gather(rows.pick(whole).requires_grad_()).requires_grad
weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.ones(1))]
weights[0].grad, weights[1].grad = torch.full((3,), float(me)), torch.full((2, 2), 10.0 * me)
p.average_gradients(weights)
assert torch.equal(weights[0].grad, torch.full((3,), 0.5))
assert torch.equal(weights[1].grad, torch.full((2, 2), 5.0))
assert weights[2].grad is None
assert p.averages({"b": torch.tensor(me + 1.0), "a": torch.tensor(4.0)}) == {"a": 4, "b": 1.5}
assert p.any_of(me == 1, torch.device("cpu")) and not p.any_of(False, torch.device("cpu"))
assert p.is_main() == (me == 0)
assert p.from_main(lambda: {"from": me}) == {"from": 0}
mine = torch.full((2, 3), float(me)).T
p.broadcast_from_main([mine])
assert torch.equal(mine, torch.zeros(3, 2))
p.wait_for_all()
if me == 1:
    os._exit(0)  # without a word
try:
    for _ in range(20):
        p.average([torch.ones(1000)])
except TrainingError as error:
    print(error, flush=True)
    os._exit(0)
"""


def test_rows_are_every_so_manyth() -> None:
    rows = Rows(1, 3)
    assert list(rows.own(8)) == [1, 4, 7]
    assert [rows.first(n) for n in (0, 1, 2, 4, 5)] == [0, 0, 1, 1, 2]
    assert torch.equal(rows.pick(torch.arange(8)), torch.tensor([1, 4, 7]))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_weighted_means_of_parts_average_to_the_mean_of_all(count: int) -> None:
    values = torch.rand(9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = []
    for process in range(3):
        rows = Rows(process, 3)
        here = rows.pick(values)
        own = here[: rows.first(count)]
        parts.append(rows.weight(count) * own.mean() if len(own) else torch.zeros(()).double())
        assert torch.equal(rows.part(count, lambda n, here=here: here[:n].mean(), values), parts[-1])  # type: ignore[misc]
    torch.testing.assert_close(torch.stack(parts).mean(), values[:count].mean())


def test_one_process_has_all_and_waits_for_nobody() -> None:
    x = torch.rand(3, 2, requires_grad=True)
    assert torch.equal(WHOLE.pick(x), x)
    assert torch.equal(WHOLE.gather(x), x)
    assert not WHOLE.gather(x).requires_grad
    assert WHOLE.others(x).shape == (0, 2)
    assert WHOLE.weight(4) == 1
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    average_gradients([weight])
    average([x])
    broadcast_from_main([x])
    wait_for_all()
    assert torch.equal(weight.grad, torch.ones(2))
    assert averages({"a": torch.tensor(2.0)}) == {"a": 2}
    assert [any_of(flag, x.device) for flag in (True, False)] == [True, False]
    assert is_main()
    assert from_main(lambda: 3) == 3


def test_two_processes_know_together_and_miss_each_other(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, str(tmp_path / "two.py")]
    both = [
        subprocess.Popen([*command, str(i), str(tmp_path / "meet")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(2)
    ]
    (message, trouble), (_, other_trouble) = (process.communicate(timeout=120) for process in both)
    assert [process.returncode for process in both] == [0, 0], (trouble + other_trouble).decode()
    assert "another process of this run has ended" in message.decode()
    assert "--resume" in message.decode()
