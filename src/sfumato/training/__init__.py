"""Training: tasks, the training loop, validation and the monitor.

The names in ``__all__`` are public; all others of this package may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.public import exports

if TYPE_CHECKING:
    from sfumato.training.config import Phase, TrainConfig, load_recipe
    from sfumato.training.findings import Decision, Finding
    from sfumato.training.health import read_history, write_health
    from sfumato.training.loop import Interrupted, Trainer
    from sfumato.training.monitor import MonitorConfig
    from sfumato.training.validation import Record, Validator

__getattr__, __dir__ = exports(
    "sfumato.training",
    {
        "Decision": "findings",
        "Finding": "findings",
        "Interrupted": "loop",
        "MonitorConfig": "monitor",
        "Phase": "config",
        "Record": "validation",
        "TrainConfig": "config",
        "Trainer": "loop",
        "Validator": "validation",
        "load_recipe": "config",
        "read_history": "health",
        "write_health": "health",
    },
)

__all__ = [
    "Decision",
    "Finding",
    "Interrupted",
    "MonitorConfig",
    "Phase",
    "Record",
    "TrainConfig",
    "Trainer",
    "Validator",
    "load_recipe",
    "read_history",
    "write_health",
]
