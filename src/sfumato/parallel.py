"""Training in several processes: which samples of a step's batch are whose, and what all processes know together.

Every process draws a step's whole batch from the seed and the step, and makes its own samples of it. What a step leaves
to chance is therefore the same in one process and in many. What they tell each other goes through torch.distributed,
which Accelerate starts; in a single process nothing here does anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from sfumato.errors import TrainingError

T = TypeVar("T")


class ProcessLostError(TrainingError):
    """Another process of the run has ended, or cannot be reached."""


@dataclass(frozen=True)
class Rows:
    """The samples of a batch that one process has: every `of`-th, from its own number on."""

    process: int = 0
    of: int = 1

    def own(self, whole: int) -> range:
        """Which of the whole batch's samples are here."""
        return range(self.process, whole, self.of)

    def first(self, count: int) -> int:
        """How many of the whole batch's first so many are here; they come before the other ones that are."""
        return len(self.own(count))

    def weight(self, count: int) -> float:
        """What a mean over those counts, so that the mean of all processes is that over the whole `count`."""
        return self.first(count) * self.of / count

    def part(self, count: int, loss: Callable[[int], Tensor], like: Tensor) -> Tensor:
        """A loss over the whole batch's first `count` samples, of which as many as `loss` is told are here, weighted
        for the mean over processes: a scalar, 0 on the device of `like` where none is here."""
        here = self.first(count)
        return self.weight(count) * loss(here) if here else like.new_zeros(())

    def pick(self, whole: Tensor) -> Tensor:
        """Of the whole batch (B, ...) the samples that are here."""
        return whole[self.process :: self.of]

    def gather(self, own: Tensor) -> Tensor:
        """The samples of all processes, in the batch's order: (b, ...) -> (b * of, ...), without gradient."""
        own = own.detach()
        if self.of == 1:
            return own
        parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(self.of)]
        with _together():
            dist.all_gather(parts, own.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    def others(self, own: Tensor) -> Tensor:
        """The samples of the other processes, (b * (of - 1), ...), without gradient."""
        whole = self.gather(own)
        elsewhere = torch.ones(len(whole), dtype=torch.bool, device=whole.device)
        elsewhere[self.process :: self.of] = False
        return whole[elsewhere]


WHOLE = Rows()  # of a single process


@contextmanager
def _together() -> Iterator[None]:
    """ProcessLostError where another process does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] |\. .*", "", str(error).strip().splitlines()[-1])  # without file and advice
        with suppress(Exception):  # its threads would end the interpreter with SIGABRT now and then
            dist.destroy_process_group()
        raise ProcessLostError(
            f"another process of this run has ended or cannot be reached ({reason}); start all of them again with "
            "--resume, to go on from the last checkpoint"
        ) from error


def is_main() -> bool:
    """Whether this process is the one that writes and speaks."""
    return not dist.is_initialized() or dist.get_rank() == 0


def _several() -> bool:
    return dist.is_initialized() and dist.get_world_size() > 1


def average(tensors: Iterable[Tensor]) -> None:
    """Each tensor becomes, in place, its mean over processes; all must bring the same ones."""
    held = list(tensors)
    if not _several() or not held:
        return
    flat = torch.cat([tensor.detach().float().flatten() for tensor in held])  # one message, not one a tensor
    with _together():
        dist.all_reduce(flat)
    for tensor, mean in zip(held, (flat / dist.get_world_size()).split([t.numel() for t in held]), strict=True):
        tensor.detach().copy_(mean.view_as(tensor))


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Each gradient becomes its mean over processes."""
    average(p.grad for p in parameters if p.grad is not None)


def averages(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars by name -> their means over processes."""
    if not _several():
        return dict(values)
    means = torch.stack([values[name].detach().float() for name in sorted(values)])
    average([means])
    return dict(zip(sorted(values), means, strict=True))


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether any process says so."""
    if not _several():
        return flag
    value = torch.tensor(float(flag), device=device)
    average([value])
    return bool(value > 0)


def from_main(make: Callable[[], T]) -> T:
    """What `make` gives in the main process, in all; the others do not call it."""
    if not _several():
        return make()
    box = [make() if is_main() else None]
    with _together():
        dist.broadcast_object_list(box)
    return box[0]  # type: ignore[return-value]


def broadcast_from_main(tensors: Iterable[Tensor]) -> None:
    """Every process's tensors become, in place, those of the main one."""
    if _several():
        with _together():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                dist.broadcast(whole, 0)
                tensor.detach().copy_(whole)


def wait_for_all() -> None:
    """Go on once every process has come here."""
    if _several():
        with _together():
            dist.barrier()
