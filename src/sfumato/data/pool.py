"""A pool of what the generator has painted lately, so that the discriminator does not forget it.

Shrivastava et al. 2017 (§2.3); CycleGAN (Zhu et al. 2017, §4) keeps 50 pictures, and so do we.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from sfumato.errors import ModelError

SIZE = 50
_STREAM = 3  # of the seed: 0 and 1 are the batches' (data/batches.py), 2 is validation's


class ImagePool:
    """Up to `size` outputs, on the device that they came on. Randomness is keyed by seed and step, and needs no state.

    What a resumed run needs is `tensors()` and `numbers()`, which `restore` takes back.
    """

    def __init__(self, size: int = SIZE, seed: int = 0) -> None:
        self.size = size
        self.seed = seed
        self.pictures: list[Tensor] = []  # (3, H, W) each

    def exchange(self, fakes: Tensor, step: int) -> Tensor:
        """Outputs (B, 3, H, W) of a step -> as many for the discriminator, without gradient.

        A pool that is not full keeps each and gives it back. A full one gives each back with a chance of one half, and
        otherwise one that it kept, in whose place the new one goes. A pool of size 0 gives all back. Where the size of
        the pictures changes (a run's next phase), the kept ones are forgotten.
        """
        rng = np.random.default_rng([self.seed, _STREAM, step])
        fakes = fakes.detach()
        if self.pictures and self.pictures[0].shape != fakes.shape[1:]:
            self.pictures = []
        given = []
        for fake in fakes:
            # Both drawn for each, used or not: a step's draws do not depend on how full the pool is.
            old, place = rng.random() < 0.5, int(rng.integers(max(1, self.size)))
            if len(self.pictures) < self.size:
                self.pictures.append(fake.clone())  # a view would keep its whole batch
                given.append(fake)
            elif old and self.size:
                given.append(self.pictures[place])
                self.pictures[place] = fake.clone()
            else:
                given.append(fake)
        return torch.stack(given)

    def tensors(self) -> dict[str, Tensor]:
        """{"pictures": (N, 3, H, W)} in their order, or nothing where the pool is empty."""
        return {"pictures": torch.stack(self.pictures)} if self.pictures else {}

    def numbers(self) -> dict[str, int]:
        return {"size": self.size, "seed": self.seed}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, int]) -> None:
        """Take over what `tensors` and `numbers` gave.

        Raises:
            ModelError: it is of a pool of another size or seed.
        """
        if dict(numbers) != self.numbers():
            raise ModelError(f"the saved image pool has {dict(numbers)}, and this run's has {self.numbers()}")
        self.pictures = [picture.clone() for picture in tensors["pictures"]] if "pictures" in tensors else []
