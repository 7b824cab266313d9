"""Measurements of one run, from all its probes."""

from emu.instruments import Instruments
from emu.machines import Measurements
from emu.machines.counts import Counters, measure_counts
from emu.machines.unicorn.run import Run
from emu.probes.stacks import touched_bytes
from emu.probes.timeline import measure_timeline


def measure(run: Run, instruments: Instruments) -> Measurements:
    """Return the measurements of ``run``; ``instruments`` name the counters that were requested."""
    firmware = run.firmware
    hooks = run.hooks
    counters = Counters(
        total=hooks.instructions,
        blocks=list(hooks.blocks),
        loads=hooks.loads,
        stores=hooks.stores,
        call_paths=list(hooks.call_paths),
        call_paths_cut=hooks.call_paths_cut,
        peek=run.peek,
    )
    counts = measure_counts(firmware, counters, instruments)
    not_measured = dict(counts.not_measured)
    memory_check = run.memory_errors.measure() if run.memory_errors is not None else None
    if memory_check is None:
        not_measured["memory_check"] = "only on request (--memcheck)"
    elif not firmware.symbols:
        not_measured["uninitialised values"] = "the ELF has no symbols, so the string functions are not known"
    if memory_check is not None and not run.ledger.follows:
        not_measured["errors of the heap"] = "its allocator is not followed"
    not_measured |= run.ledger.not_measured
    heap = run.ledger.measure()
    length, lowest = hooks.timeline
    levels = run.ledger.timeline if heap.attached else None
    assert run.stacks is not None, "only a bare machine follows none"
    stack = run.stacks.measure()
    stacks = stack.stacks
    not_measured.update(run.stacks.found.not_measured)
    touched = touched_bytes(firmware, run.paint, run.ledger, stacks)
    if isinstance(touched, str):
        not_measured["stack_touched_bytes"], touched = touched, None
    return Measurements(
        stack_peak_bytes=stacks[0].peak_bytes,
        stack_touched_bytes=touched,
        stack_limit_bytes=stacks[0].limit_bytes,
        stack=stack,
        stack_bytes_by_region=run.stacks.found.bytes_by_region(stacks),
        heap_region=run.ledger.memory,
        heap=heap,
        timeline=measure_timeline(length, lowest, firmware.initial_sp, levels),
        instructions=counts.instructions,
        profile=counts.profile,
        coverage=counts.coverage,
        failures=counts.failures,
        memory_check=memory_check,
        faults=(*run.ledger.faults, *run.faults),
        output=run.output.text,
        output_cut_bytes=run.output.cut_bytes,
        not_measured=not_measured,
    )
