"""Instructions, loads and stores, profile and coverage, from the blocks that a machine has counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from emu.firmware import Firmware
from emu.probes.coverage import measure_coverage
from emu.probes.instructions import Memory, executions_by_address, measure_instructions
from emu.probes.profile import measure_profile
from emu.probes.traffic import by_region
from emu.record import Coverage, Instructions, Profile


@dataclass(frozen=True)
class Counters:
    """The counters of a run, and the machine's memory."""

    total: int
    """Instructions."""
    blocks: Sequence[tuple[int, int, int, int]]
    """Address, bytes, instructions and executions of the straight-line pieces of code that ran."""
    loads: list[int]
    stores: list[int]
    """In the order of the board's memories."""
    call_paths: Sequence[tuple[int, int, int]]
    """For each path: its caller's number, its function's index + 1 (or 0), and its instructions."""
    call_paths_cut: bool
    """Whether there were more call paths."""
    peek: Memory


@dataclass(frozen=True)
class Counts:
    """The counts as a record has them."""

    instructions: Instructions
    profile: Profile | None = None
    coverage: Coverage | None = None
    not_measured: dict[str, str] = field(default_factory=dict)


def measure_counts(firmware: Firmware, counters: Counters, *, traffic: bool, profile: bool, coverage: bool) -> Counts:
    """Return the counts; the flags tell which ones were requested."""
    not_measured: dict[str, str] = {}
    instructions = measure_instructions(firmware, counters.total, counters.blocks, counters.peek)
    if not firmware.symbols:
        not_measured["by_function"] = "the ELF has no symbols"
        instructions = instructions.model_copy(update={"by_function": {}})
    if traffic:
        memory = firmware.board.memory
        loads, stores = by_region(memory, counters.loads), by_region(memory, counters.stores)
        instructions = instructions.model_copy(update={"loads_by_region": loads, "stores_by_region": stores})
    else:
        not_measured["loads_by_region"] = "counted only on request (--traffic)"
        not_measured["stores_by_region"] = "counted only on request (--traffic)"
    executions = executions_by_address(firmware, counters.blocks, counters.peek) if profile or coverage else {}
    profiled = covered = None
    if profile:
        profiled = measure_profile(firmware, executions, counters.call_paths, cut=counters.call_paths_cut)
    else:
        not_measured["profile"] = "only on request (--profile)"
    if coverage:
        covered = measure_coverage(firmware, executions)
        if not covered.lines:
            not_measured["covered_lines"] = "the ELF has no line information (compile it with -g)"
    else:
        not_measured["coverage"] = "only on request (--coverage)"
    return Counts(instructions, profiled, covered, not_measured)
