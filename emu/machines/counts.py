"""Instructions, loads and stores, profile and coverage, from the blocks that a machine has counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.probes.coverage import measure_coverage
from emu.probes.instructions import (
    Block,
    CodeChangedError,
    ContradictionError,
    Memory,
    check_sum,
    executions_by_address,
    instructions_by_function,
)
from emu.probes.profile import measure_profile
from emu.probes.traffic import by_region
from emu.record import Coverage, Instructions, Profile


@dataclass(frozen=True)
class Counters:
    """The counters of a run, and the machine's memory."""

    total: int
    """Instructions in total."""
    blocks: Sequence[Block]
    loads: list[int]
    stores: list[int]
    """Loads and stores, in the order of the board's memories."""
    call_paths: Sequence[tuple[int, int, int]]
    """For each path: its caller's number, its function's index + 1 (or 0), and its instructions."""
    call_paths_cut: bool
    """Whether there were more call paths than are kept."""
    peek: Memory


@dataclass(frozen=True)
class Counts:
    """The counts in the form of the run record."""

    instructions: Instructions
    profile: Profile | None = None
    coverage: Coverage | None = None
    not_measured: dict[str, str] = field(default_factory=dict)
    failures: tuple[ContradictionError, ...] = ()
    """Counts that contradict each other; they are not measured."""


def measure_counts(firmware: Firmware, counters: Counters, instruments: Instruments) -> Counts:
    """Return the counts; ``instruments`` name the counters that were requested.

    Instructions by function, line or call path that do not add up to the total are not measured, but a failure.
    """
    not_measured: dict[str, str] = {}
    failures: list[ContradictionError] = []

    def contradicted(error: ContradictionError, *names: str) -> None:
        not_measured.update(dict.fromkeys(names, str(error)))
        failures.append(error)

    instructions = Instructions(total=counters.total)
    try:
        by_function = instructions_by_function(firmware, counters.blocks, counters.peek)
        check_sum(counters.total, "function", by_function.values())
    except CodeChangedError as changed:
        not_measured["by_function"] = str(changed)
    except ContradictionError as error:
        instructions.total = None  # nothing tells which of the two counts is wrong
        contradicted(error, "instructions", "by_function")
    else:
        if firmware.symbols:
            instructions.by_function = by_function
        else:
            not_measured["by_function"] = "the ELF has no symbols"
    if instruments.traffic:
        memory = firmware.board.memory
        loads, stores = by_region(memory, counters.loads), by_region(memory, counters.stores)
        instructions = instructions.model_copy(update={"loads_by_region": loads, "stores_by_region": stores})
    else:
        not_measured["loads_by_region"] = "counted only on request (--traffic)"
        not_measured["stores_by_region"] = "counted only on request (--traffic)"
    requested = [name for name in ("profile", "coverage") if getattr(instruments, name)]
    for name in ("profile", "coverage"):
        if name not in requested:
            not_measured[name] = f"only on request (--{name})"
    executions: Mapping[int, int] = {}
    try:
        executions = executions_by_address(firmware, counters.blocks, counters.peek) if requested else {}
    except CodeChangedError as changed:
        not_measured.update(dict.fromkeys(requested, str(changed)))
        requested = []
    except ContradictionError as error:
        contradicted(error, *requested)
        requested = []
    profiled = covered = None
    if "profile" in requested:
        try:
            profiled = _checked_profile(firmware, counters, executions)
        except ContradictionError as error:
            contradicted(error, "profile")
    if "coverage" in requested:
        covered = measure_coverage(firmware, executions)
        if not covered.lines:
            not_measured["covered_lines"] = "the ELF has no line information (compile it with -g)"
    return Counts(instructions, profiled, covered, not_measured, tuple(failures))


def _checked_profile(firmware: Firmware, counters: Counters, executions: Mapping[int, int]) -> Profile:
    """Return the profile; raises ContradictionError if its lines or call paths do not add up to the total."""
    profiled = measure_profile(firmware, executions, counters.call_paths, cut=counters.call_paths_cut)
    lines = (sum(counts.values()) for counts in profiled.by_line.values())
    check_sum(counters.total, "line", (profiled.without_line, *lines))
    check_sum(counters.total, "call path", (path.self_instructions for path in profiled.call_paths))
    return profiled
