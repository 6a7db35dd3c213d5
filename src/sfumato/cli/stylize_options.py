"""What options of ``sfumato stylize`` stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.inference.gate import SelectionOptions


def parse_selection(
    auto: bool, keep: float | None, best_of: int, gates: list[str], strength: float, stroke: float, masked: bool
) -> SelectionOptions | None:
    """What is left to Sfumato; None where people chose everything."""
    from sfumato.checks import check_range

    if keep is not None:
        check_range(keep, 0.0, 1.0, "--keep")
        if not auto:
            raise UsageError("--keep bounds what --auto chooses; add --auto")
    check_range(best_of, 1, 100, "--best-of")
    if auto and (strength, stroke) != (1.0, 1.0):
        raise UsageError("--auto chooses strength and stroke; leave --strength and --stroke out")
    if auto and masked:
        raise UsageError("--auto chooses for one style over the whole picture; leave --mask out")
    if not (auto or best_of > 1 or gates):
        return None  # and detectors need not be loaded
    from sfumato.inference.gate import QualityGate, SelectionOptions

    return SelectionOptions(auto, keep, best_of, tuple(QualityGate.parse(text) for text in gates))
