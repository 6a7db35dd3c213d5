"""The model with averaged weights, which is sampled, validated and exported instead of the last weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sfumato.image import write_image
from sfumato.parallel import is_main
from sfumato.sheet import contact_sheet
from sfumato.training.state import TrainingState
from sfumato.training.tasks import TrainingTask


class Average:
    """A model with the exponential moving average of a run's weights."""

    def __init__(self, task: TrainingTask[Any, Any], state: TrainingState, device: torch.device) -> None:
        self._task, self._state = task, state
        self._model = task.new_model().to(device).eval()

    def model(self) -> Any:
        """Return the model with the current average; always the same object, in evaluation mode."""
        self._model.load_state_dict(self._state.model.state_dict())
        self._state.ema.copy_to(self._model)
        return self._model

    @torch.no_grad()
    def sample(self, out: Path) -> None:
        """Write OUT/samples/STEP.png, a sheet of fixed pictures painted by the averaged model.

        Only the main process writes.
        """
        if not is_main():
            return
        rows = self._task.samples(self.model())
        path = out / "samples" / f"{self._state.step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        arrays = [[cell.cpu().numpy() for cell in row] for row in rows]
        cell = min(192, max(max(array.shape) for row in arrays for array in row))
        write_image(contact_sheet(arrays, [""] * len(rows), [""] * len(rows[0]), cell), path)
