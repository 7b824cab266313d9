"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.instruments import Instruments, declared
from emu.tolerance import DEFAULT_TOLERANCE

if TYPE_CHECKING:  # the command line's help reads the options, and needs no library for that
    from emu.suppressions import Suppression


@dataclass(frozen=True)
class RunOptions(Instruments):
    """The options of a run: what is measured, and how the measurements are judged."""

    suppressions: tuple[Suppression, ...] = field(
        default=(),
        metadata=declared(
            "A .toml of accepted findings of --memcheck: `suppress` tables with a reason and patterns for kind, "
            "function, file.",
            needs="memcheck",
        ),
    )
    trace_input: int | None = field(
        default=None,
        metadata=declared("Also compare every intermediate tensor of one input with PyTorch's."),
    )
    tolerance: float = field(
        default=DEFAULT_TOLERANCE,
        metadata=declared("Mean logit error allowed, relative to the largest logit."),
    )

    budgets: tuple[tuple[str, int], ...] = ()
    """The largest value allowed of each limited figure, by its short name."""

    @property
    def reading_tolerance(self) -> float:
        """How far the reference logits may be from the checkpoint's reading: ``tolerance``, if the user widened it."""
        return self.tolerance if self.tolerance > DEFAULT_TOLERANCE else 0.0
