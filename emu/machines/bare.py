"""The measurements of a machine that measures nothing; it shows what measuring costs in speed."""

from collections.abc import Sequence

from emu.machines import Measurements
from emu.machines.output import Output
from emu.record import Fault


def measured_bare(faults: Sequence[Fault], output: Output) -> Measurements:
    """Return faults and output, and no figure."""
    figures = ("stack_peak_bytes", "stack_touched_bytes", "heap", "instructions")
    return Measurements(
        faults=tuple(faults),
        output=output.text,
        output_cut_bytes=output.cut_bytes,
        not_measured=dict.fromkeys(figures, "the machine ran bare"),
    )
