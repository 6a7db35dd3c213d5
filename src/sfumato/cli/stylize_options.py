"""Checks of the options of ``sfumato stylize`` that choose settings automatically."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.inference.gate import SelectionOptions


def parse_selection(
    auto: bool, keep: float | None, best_of: int, gates: list[str], strength: float, stroke: float, masked: bool
) -> SelectionOptions | None:
    """Return the options of automatic selection; None if nothing is selected automatically.

    Args:
        auto: ``--auto``.
        keep: ``--keep``.
        best_of: ``--best-of``.
        gates: the values of ``--gate``, such as ``artefacts<2``.
        strength: ``--strength``, which ``--auto`` chooses.
        stroke: ``--stroke``, which ``--auto`` chooses.
        masked: whether there is a ``--mask``.

    Raises:
        UsageError: a value is out of range, or the options do not go together.
    """
    from sfumato.checks import check_range

    if keep is not None:
        check_range(keep, 0.0, 1.0, "--keep")
        if not auto:
            raise UsageError("--keep limits the strength that --auto chooses; add --auto")
    check_range(best_of, 1, 100, "--best-of")
    if auto and (strength, stroke) != (1.0, 1.0):
        raise UsageError("--auto chooses strength and stroke; leave --strength and --stroke out")
    if auto and masked:
        raise UsageError("--auto works for one style over the whole picture; leave --mask out")
    if not (auto or best_of > 1 or gates):
        return None  # before the import, so that the detectors are not loaded
    from sfumato.inference.gate import QualityGate, SelectionOptions

    return SelectionOptions(auto, keep, best_of, tuple(QualityGate.parse(text) for text in gates))
