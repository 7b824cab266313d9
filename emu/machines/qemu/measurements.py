"""Measurements from the plugin's counters."""

from emu.instruments import Instruments, never_measured
from emu.machines import Measurements
from emu.machines.counts import Counters, measure_counts
from emu.machines.qemu.run import Run
from emu.probes.main_stack import main_stack_by_region, main_stack_use, why_no_limit
from emu.probes.overflow import OVERFLOW, first_stack_overflow, overflow_fault
from emu.probes.stacks import touched_bytes
from emu.probes.timeline import measure_timeline
from emu.record import Fault, Heap, Stack, StackUse, Timeline
from emu.targets import Target

_OTHER_STACKS = "the firmware has more than one stack, and on this core in QEMU emu can measure only one"


def measure(run: Run, target: Target, instruments: Instruments) -> Measurements:
    """Return the measurements of ``run`` on ``target``; ``instruments`` name the counters that were requested."""
    firmware = run.firmware
    memories = len(firmware.board.memory)
    counters = Counters(
        total=run.shared.instructions,
        blocks=run.blocks,
        loads=run.shared.loads[:memories],
        stores=run.shared.stores[:memories],
        call_paths=run.call_paths,
        call_paths_cut=bool(run.shared.calls.cut),
        peek=run.peek,
    )
    counts = measure_counts(firmware, counters, instruments)
    not_measured = never_measured(target) | counts.not_measured | why_no_limit(firmware)
    if run.stacks is not None:
        not_measured |= run.stacks.found.not_measured
    stack = _stack(run)
    heap = _heap(run, not_measured, None if isinstance(stack, StackUse) else stack)
    timeline = None
    if isinstance(stack, str):
        not_measured |= dict.fromkeys(("stack_peak_bytes", "stack_touched_bytes", "timeline"), stack)
        stack = None
    else:
        timeline = _timeline(run, heap)
    stacks = _stacks(run, stack)
    touched = touched_bytes(firmware, run.paint, run.ledger, stacks) if stack is not None else None
    if isinstance(touched, str):
        not_measured["stack_touched_bytes"], touched = touched, None
    return Measurements(
        stack_peak_bytes=None if stack is None else stack.peak_bytes,
        stack_touched_bytes=touched,
        stack_limit_bytes=firmware.stack_limit_bytes,
        stack=_with_interrupts(run, stack, stacks),
        stack_bytes_by_region=None if stack is None else _by_region(run, stacks),
        heap_region=run.ledger.memory if heap.attached else None,
        heap=heap,
        timeline=timeline,
        instructions=counts.instructions,
        profile=counts.profile,
        coverage=counts.coverage,
        failures=counts.failures,
        faults=(*(run.ledger.faults if heap.attached else ()), *run.faults, *_unnoticed(run, stack)),
        output=run.output.text,
        output_cut_bytes=run.output.cut_bytes,
        not_measured=not_measured,
    )


# ---- the stack -------------------------------------------------------------------------------------------------------


def _stack(run: Run) -> StackUse | str:
    """Return the stack that the firmware starts on, or why it cannot be told from other stacks."""
    firmware, shared, core = run.firmware, run.shared, run.core
    if run.overflow is not None and run.overflow.is_first:
        return run.overflow.use(core)
    if run.overflow is None and any(fault.kind == OVERFLOW for fault in run.faults):
        return "SP left the memory of a stack"
    if run.stacks is not None:
        return run.stacks.measure()[0]
    if shared.off_stack != 0 or run.stack_in_heap:
        return _OTHER_STACKS
    peak, backtrace = run.peak(run.lowest)
    return main_stack_use(firmware, core.stack_pointer, run.lowest.sp, peak, backtrace) or _OTHER_STACKS


def _stacks(run: Run, first: StackUse | None) -> list[StackUse]:
    """Return the first stack, if it is known, and the others that SP was followed to, or that have overflowed."""
    others = run.stacks.measure()[1:] if run.stacks is not None else []
    if run.overflow is not None and not run.overflow.is_first:
        overflowed = run.overflow.use(run.core)
        known = [stack.top == overflowed.top for stack in others]
        others = [overflowed if same else stack for stack, same in zip(others, known, strict=True)]
        others += [] if any(known) else [overflowed]
    return others if first is None else [first, *others]


def _with_interrupts(run: Run, first: StackUse | None, stacks: list[StackUse]) -> Stack:
    if run.stacks is not None and first is not None and len(stacks) == len(run.stacks.found.stacks):
        return run.stacks.interrupts(stacks)
    return Stack(backtrace=[] if first is None else first.backtrace, stacks=stacks)


def _by_region(run: Run, stacks: list[StackUse]) -> dict[str, int] | None:
    if run.stacks is not None and len(stacks) == len(run.stacks.found.stacks):
        return run.stacks.found.bytes_by_region(stacks)
    return main_stack_by_region(run.firmware, stacks[0])


def _unnoticed(run: Run, first: StackUse | None) -> list[Fault]:
    """Return the fault of a first stack that has grown into other memory, which no access has shown."""
    if first is None or run.overflow is not None:
        return []
    overflow = first_stack_overflow(run.firmware, run.core, run.lowest.sp, first.backtrace)
    return [] if overflow is None else [overflow_fault(run.firmware, run.core, overflow)]


# ---- heap and timeline -----------------------------------------------------------------------------------------------


def _heap(run: Run, not_measured: dict[str, str], no_stack: str | None) -> Heap:
    """Return the heap; it is not followed if calls of the allocator may have been missed."""
    reason = None
    if run.shared.heap.unseen_returns:
        reason = "a call of the allocator did not return to its caller"
    elif no_stack is not None and run.ledger.was_used:
        reason = no_stack
    if reason is not None:
        not_measured["heap_peak_bytes"] = reason
        return Heap(attached=False, failed=run.ledger.failed)
    not_measured |= run.ledger.not_measured
    return run.ledger.measure()


def _timeline(run: Run, heap: Heap) -> Timeline:
    timeline, top, below = run.shared.timeline, run.firmware.initial_sp, run.core.below_sp
    lowest = [sp - below if sp < top else sp for sp in run.shared.intervals[: timeline.count]]
    levels = run.ledger.timeline if heap.attached else None
    return measure_timeline(timeline.length, lowest, top, levels)
