"""The stack of a second run. Some emulators see SP only in a slow run, so they repeat the run for the stack.

All other figures come from the first run, which nothing slowed down or observed.
"""

from dataclasses import replace

from emu.firmware import Firmware
from emu.instruments import Instruments, how
from emu.machines import Limits, Machine, Measurements
from emu.machines.shared import Shared
from emu.run.emulators import open_machine
from emu.targets import Target

_ENDLESS = frozenset({"time_limit", "wait_for_interrupt", "instruction_budget", "emulator_lost"})
_FIGURE = "stack_peak_bytes"


def needs_second_run(target: Target) -> bool:
    """Return whether the target's emulator measures the stack's reserved peak in a run of its own."""
    return how(target, "stack_peak") == "in a second run"


def begin_second_run(
    firmware: Firmware, target: Target, limits: Limits, measured: Measurements, shared: Shared | None = None
) -> tuple[Machine | None, Measurements]:
    """Return the machine for the second run, and ``measured``.

    If a second run has no use, return None, and ``measured`` with the reason.
    """
    total = measured.instructions.total
    endless = next((fault.kind for fault in measured.faults if fault.kind in _ENDLESS), None)
    if total is None or endless is not None:
        reason = (
            f"the run did not end by itself ({endless or 'its instructions are not known'}), so there was no second"
        )
        return None, without_stack(measured, reason)
    # No part of the second run is longer than the whole first run. The seconds limit each slice, so they stay.
    limits = Limits(total + 1, limits.seconds)
    return open_machine(firmware, target, Instruments(stack_peak=True, limits=limits), shared), measured


def add_stack(first: Measurements, second: Measurements, *, same: bool) -> Measurements:
    """Return ``first`` with the stack of ``second``, if ``same`` and the figures show that both runs were equal."""
    totals = (first.instructions.total, second.instructions.total)
    places = [[(fault.kind, fault.pc, fault.address) for fault in measured.faults] for measured in (first, second)]
    if not same or totals[0] != totals[1] or places[0] != places[1]:
        faults = "".join(f"; {fault.kind}: {fault.detail}" for fault in second.faults)
        return without_stack(first, f"the second run, for the stack, was not the same: {_difference(*totals)}{faults}")
    reasons = {name: reason for name, reason in first.not_measured.items() if name != _FIGURE}
    peak, touched = second.stack_peak_bytes, first.stack_touched_bytes
    if peak is None:
        reasons[_FIGURE] = second.not_measured[_FIGURE]
    elif touched is not None and touched > peak:
        reasons["stack_touched_bytes"] = (
            "something else wrote to the stack's memory, such as startup code that clears it"
        )
        touched = None
    return replace(
        first,
        stack_peak_bytes=peak,
        stack_touched_bytes=touched,
        stack=second.stack.model_copy(update={"second_run": True}),
        stack_bytes_by_region=second.stack_bytes_by_region,
        not_measured=reasons,
    )


def _difference(first: int | None, second: int | None) -> str:
    if second is None:
        return "its instructions are not known"
    if first == second:
        return f"{second} instructions in both, but not the same answers, instructions per input and faults"
    return f"{second} instructions in the second run, {first} in the first"


def without_stack(measured: Measurements, reason: str) -> Measurements:
    """Return ``measured`` with the reason why the stack's peak is not measured."""
    return replace(measured, not_measured=measured.not_measured | {_FIGURE: reason})
