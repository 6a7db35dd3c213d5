"""Data-parallel training: the samples of a batch that each process computes, and the reductions over processes.

Every process draws the indices of the global batch from the seed and the step, and loads only its own samples. The
random choices of a step are therefore the same with one process and with many. Processes communicate by
torch.distributed, which Accelerate starts; in a single process, all functions here do nothing.
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
    """Another process of the run has ended or does not answer."""


@dataclass(frozen=True)
class Rows:
    """The samples of the global batch that one process (rank) has: every `of`-th, beginning with its rank.

    Attributes:
        process: the rank of the process.
        of: the number of processes.
    """

    process: int = 0
    of: int = 1

    def own(self, whole: int) -> range:
        """Return the indices of this rank's samples in a global batch of `whole` samples."""
        return range(self.process, whole, self.of)

    def first(self, count: int) -> int:
        """Return the number of this rank's samples among the first `count` of the global batch.

        They precede the rank's other samples.
        """
        return len(self.own(count))

    def weight(self, count: int) -> float:
        """Return the weight of this rank's mean over the first `count` samples of the global batch.

        With it, the mean of all ranks is the mean over all `count` samples.
        """
        return self.first(count) * self.of / count

    def part(self, count: int, loss: Callable[[int], Tensor], like: Tensor) -> Tensor:
        """Return this rank's share of a loss over the first `count` samples of the global batch.

        Args:
            count: the number of samples in the global batch that have this loss.
            loss: computes the mean loss over the given number of this rank's first samples.
            like: a tensor on the device of the result.

        Returns:
            A scalar, weighted so that its mean over ranks is the loss; 0 if this rank has none of the samples.
        """
        here = self.first(count)
        return self.weight(count) * loss(here) if here else like.new_zeros(())

    def pick(self, whole: Tensor) -> Tensor:
        """Return this rank's samples of the global batch (B, ...)."""
        return whole[self.process :: self.of]

    def gather(self, own: Tensor) -> Tensor:
        """Return the samples of all ranks in the order of the global batch, (b, ...) -> (b * of, ...), detached."""
        own = own.detach()
        if self.of == 1:
            return own
        parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(self.of)]
        with _communication():
            dist.all_gather(parts, own.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    def others(self, own: Tensor) -> Tensor:
        """Return the samples of the other ranks, (b * (of - 1), ...), detached."""
        whole = self.gather(own)
        elsewhere = torch.ones(len(whole), dtype=torch.bool, device=whole.device)
        elsewhere[self.process :: self.of] = False
        return whole[elsewhere]


WHOLE = Rows()  # for a single process


@contextmanager
def _communication() -> Iterator[None]:
    """Turn a failed communication in the block into a ProcessLostError."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] |\. .*", "", str(error).strip().splitlines()[-1])  # without file name and advice
        with suppress(Exception):  # otherwise its threads sometimes end the interpreter with SIGABRT
            dist.destroy_process_group()
        raise ProcessLostError(
            f"another process of this run has ended or cannot be reached ({reason}); start all of them again with "
            "--resume, to continue from the last checkpoint"
        ) from error


def is_main() -> bool:
    """Whether this is the main process (rank 0), which writes files and prints."""
    return not dist.is_initialized() or dist.get_rank() == 0


def _is_distributed() -> bool:
    return dist.is_initialized() and dist.get_world_size() > 1


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over processes, which must all pass the same list of tensors."""
    held = list(tensors)
    if not _is_distributed() or not held:
        return
    flat = torch.cat([tensor.detach().float().flatten() for tensor in held])  # one message instead of one per tensor
    with _communication():
        dist.all_reduce(flat)
    for tensor, mean in zip(held, (flat / dist.get_world_size()).split([t.numel() for t in held]), strict=True):
        tensor.detach().copy_(mean.view_as(tensor))


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over processes."""
    average(p.grad for p in parameters if p.grad is not None)


def averages(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the means of named scalars over processes."""
    if not _is_distributed():
        return dict(values)
    means = torch.stack([values[name].detach().float() for name in sorted(values)])
    average([means])
    return dict(zip(sorted(values), means, strict=True))


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process."""
    if not _is_distributed():
        return flag
    value = torch.tensor(float(flag), device=device)
    average([value])
    return bool(value > 0)


def from_main(make: Callable[[], T]) -> T:
    """Call `make` in the main process only, and return its result in all processes."""
    if not _is_distributed():
        return make()
    box = [make() if is_main() else None]
    with _communication():
        dist.broadcast_object_list(box)
    return box[0]  # type: ignore[return-value]


def broadcast_from_main(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors of every process, in place, with those of the main process."""
    if _is_distributed():
        with _communication():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                dist.broadcast(whole, 0)
                tensor.detach().copy_(whole)


def wait_for_all() -> None:
    """Block until every process has called this function."""
    if _is_distributed():
        with _communication():
            dist.barrier()
