"""A pool of recent outputs of the generator, so that the discriminator does not forget them.

From Shrivastava et al. 2017 (§2.3); its size is that of CycleGAN (Zhu et al. 2017, §4), 50 pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from sfumato.errors import ModelError

SIZE = 50
_STREAM = 3  # random stream; 0 and 1 are used by batches (data/batches.py), 2 by validation


class ImagePool:
    """A pool of up to `size` outputs, on their own device.

    Random numbers depend on seed and step only, so they need no state. Checkpoints store `tensors()` and `numbers()`,
    from which `restore` continues.
    """

    def __init__(self, size: int = SIZE, seed: int = 0) -> None:
        self.size = size
        self.seed = seed
        self.pictures: list[Tensor] = []  # (3, H, W) each

    def exchange(self, fakes: Tensor, step: int) -> Tensor:
        """Replace some outputs (B, 3, H, W) of a step by earlier ones; return (B, 3, H, W) without gradient.

        Until the pool is full, each output is stored and returned. Then each is returned with a probability of one
        half; otherwise a stored one is returned, and the new one takes its place. A pool of size 0 returns all outputs.
        When the size of the pictures changes (with a phase of the run), the pool is emptied.
        """
        rng = np.random.default_rng([self.seed, _STREAM, step])
        fakes = fakes.detach()
        if self.pictures and self.pictures[0].shape != fakes.shape[1:]:
            self.pictures = []
        given = []
        for fake in fakes:
            # Both are drawn even if unused, so that a step's draws do not depend on how full the pool is.
            old, place = rng.random() < 0.5, int(rng.integers(max(1, self.size)))
            if len(self.pictures) < self.size:
                self.pictures.append(fake.clone())  # a view would keep its whole batch in memory
                given.append(fake)
            elif old and self.size:
                given.append(self.pictures[place])
                self.pictures[place] = fake.clone()
            else:
                given.append(fake)
        return torch.stack(given)

    def tensors(self) -> dict[str, Tensor]:
        """Return {"pictures": (N, 3, H, W)} in their order, or {} for an empty pool."""
        return {"pictures": torch.stack(self.pictures)} if self.pictures else {}

    def numbers(self) -> dict[str, int]:
        """Return size and seed, which must be the same when the pool is restored."""
        return {"size": self.size, "seed": self.seed}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, int]) -> None:
        """Restore the pool from `tensors()` and `numbers()`.

        Raises:
            ModelError: they are from a pool of another size or seed.
        """
        if dict(numbers) != self.numbers():
            raise ModelError(
                f"the saved image pool has {dict(numbers)}, and this run's has {self.numbers()}; resume with the run's "
                "own config"
            )
        self.pictures = [picture.clone() for picture in tensors["pictures"]] if "pictures" in tensors else []
