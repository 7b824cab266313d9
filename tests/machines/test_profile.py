"""Instructions by line and by call path: known by construction, and compared with a watch on every instruction."""

import subprocess
from collections import Counter
from pathlib import Path

import oracle
import pytest
from builds import LEVELS, SOURCES, TARGET, build, firmware, line_of

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.unicorn import UnicornMachine
from emu.record import Coverage, Profile

PROGRAMS = [(source, level) for source in ("call_paths.c", "newlib_mix.c") for level in LEVELS]
PROGRAMS += [("exact_calls.S", "-O2"), ("heap_values.c", "-O2"), ("page_crossing.c", "-O2"), ("page_end.S", "-O2")]


OWN_SOURCES = {path.name for path in SOURCES.iterdir()}
"""addr2line does not know the first line of newlib's memset, but the line table does."""


def profiled(program: Firmware) -> tuple[Profile, Coverage, int]:
    """Return the profile, the coverage and the number of instructions."""
    with UnicornMachine(program, TARGET, Instruments(profile=True, coverage=True)) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        assert stop.reason == "exit", stop
        measured = machine.measure()
    assert measured.profile is not None
    assert measured.coverage is not None
    assert measured.instructions.total is not None
    return measured.profile, measured.coverage, measured.instructions.total


def by_path(profile: Profile) -> Counter[tuple[str, ...]]:
    """Return the self counts by the functions' names, outermost first."""
    names: list[tuple[str, ...]] = []
    counts: Counter[tuple[str, ...]] = Counter()
    for path in profile.call_paths:
        names.append((*(names[path.caller] if path.caller is not None else ()), str(path.function)))
        counts[names[-1]] += path.self_instructions
    return +counts


def places(elf: Path, addresses: list[int]) -> dict[int, tuple[str, int] | None]:
    """Return the file's name and the line of each address, from addr2line."""
    command = ["arm-none-eabi-addr2line", "-e", str(elf)]
    text = "\n".join(map(hex, addresses))
    lines = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.splitlines()
    found: dict[int, tuple[str, int] | None] = {}
    for address, place in zip(addresses, lines, strict=True):
        file, line = place.split(" (")[0].rsplit(":", 1)
        found[address] = None if line in ("?", "0") else (Path(file).name, int(line))
    return found


def short(by_file: dict[str, dict[int, int]]) -> Counter[tuple[str, int]]:
    """Return the counts of the tests' own sources, by file name and line."""
    counts: Counter[tuple[str, int]] = Counter()
    for file, lines in by_file.items():
        if Path(file).name in OWN_SOURCES:
            counts.update({(Path(file).name, line): count for line, count in lines.items()})
    return counts


def disassembled(elf: Path) -> list[int]:
    """Return the address of each instruction, from objdump."""
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(elf)]
    rows = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    fields = [row.split("\t") for row in rows if row.startswith(" ")]
    return [int(field[0].strip(" :"), 16) for field in fields if not field[1].startswith(".")]


@pytest.mark.parametrize(("source", "level"), PROGRAMS)
def test_every_figure_is_that_of_the_watch_on_each_instruction(tmp_path: Path, source: str, level: str) -> None:
    program = firmware(tmp_path, source, level)

    def name_of(pc: int) -> str:
        function = program.function_at(pc)
        return function.name if function else "(no symbol)"

    truth = oracle.watch(program.path, name_of)
    profile, coverage, total = profiled(program)
    assert by_path(profile) == truth.by_path
    assert sum(path.self_instructions for path in profile.call_paths) == total
    assert sum(path.inclusive_instructions for path in profile.call_paths if path.caller is None) == total
    assert not profile.cut

    addresses = [address for address in disassembled(program.path) if program.function_at(address)]
    place_of = places(program.path, addresses)
    lines: Counter[tuple[str, int]] = Counter()
    most: Counter[tuple[tuple[str, int], str]] = Counter()
    for address, place in place_of.items():
        if place is not None and place[0] in OWN_SOURCES:
            lines[place] += truth.by_address[address]
            key = (place, name_of(address))
            most[key] = max(most[key], truth.by_address[address])
    assert short(profile.by_line) == +lines
    assert sum(sum(counts.values()) for counts in profile.by_line.values()) + profile.without_line == total
    executed: Counter[tuple[str, int]] = Counter()
    for (place, _), count in most.items():
        executed[place] += count
    assert dict(short(coverage.lines)) == dict(executed)
    assert {function.function: function.executions for function in coverage.functions} == {
        function.name: truth.by_address[function.start] for function in program.functions
    }


def test_calls_that_are_known_by_construction(tmp_path: Path) -> None:
    source = "exact_calls.S"
    profile, coverage, _ = profiled(firmware(tmp_path, source))
    main = ("reset_handler", "main")
    within_main = {path[2:]: count for path, count in by_path(profile).items() if path[:2] == main}
    down = "counts_down"
    assert within_main == {
        (): 9,
        (down,): 5,
        (down, down): 5,
        (down, down, down): 5,
        (down, down, down, down): 3,
        ("jumps_on",): 2,
        ("leaf",): 3 + 3,  # a tail call takes its caller's place; the other call is through a pointer
        ("sometimes_calls",): 13,
        ("sometimes_calls", "leaf"): 3,
        ("enters_sideways",): 2,
        ("never_entered",): 2,  # but for its start
    }
    inclusive = next(path for path in profile.call_paths if path.function == "main").inclusive_instructions
    assert inclusive == sum(within_main.values())

    file = next(file for file in coverage.lines if file.endswith(source))
    expected = {"main": 1, "four times": 4, "three times": 3, "thrice": 3, "never": 0, "sideways": 1}
    for mark, executions in expected.items():
        line = line_of(source, mark)
        assert coverage.lines[file][line] == executions
        assert profile.by_line[file].get(line, 0) == executions
    functions = {function.function: function for function in coverage.functions}
    assert functions[down].executions == 4
    assert functions["never_entered"].executions == 0
    assert functions["never_entered"].line == line_of(source, "never")


def test_tail_calls_leave_the_path_only_where_they_are_compiled_to_jumps(tmp_path: Path) -> None:
    def depth(level: str) -> int:
        profile, _, _ = profiled(firmware(tmp_path, "call_paths.c", level))
        return max(path.count("odd") + path.count("even") for path in by_path(profile))

    assert depth("-O0") == 10  # even(9) calls odd(8), and so on to odd(0)
    assert depth("-O2") == 1


def test_a_recursion_deeper_than_what_is_kept_is_told(tmp_path: Path) -> None:
    program = firmware(tmp_path, "stack_shapes.c", "-DSHAPE=recursion(1500)", "-O0")
    profile, _, total = profiled(program)
    assert profile.cut
    assert sum(path.self_instructions for path in profile.call_paths) == total
    counts = by_path(profile)
    assert (
        counts["reset_handler", "main"]
        == by_path(profiled(firmware(tmp_path, "stack_shapes.c", "-DSHAPE=recursion(15)", "-O0"))[0])[
            "reset_handler", "main"
        ]
    ), "the way back is found"


@pytest.mark.parametrize(
    "call", ["unmapped_read()", "null_call()", "unmapped_fetch()", "endless_loop()", "endless_recursion(1)"]
)
def test_a_run_that_ends_in_a_fault_is_counted_to_the_instruction(tmp_path: Path, call: str) -> None:
    program = firmware(tmp_path, "faults.c", f"-DFAULT={call}", "-O0")
    with UnicornMachine(program, TARGET, Instruments(limits=Limits(instructions=100_000), profile=True)) as machine:
        machine.boot()
        assert machine.resume().reason == "fault"
        measured = machine.measure()
    profile, total = measured.profile, measured.instructions.total
    assert profile is not None
    assert sum(path.self_instructions for path in profile.call_paths) == total
    assert sum(sum(lines.values()) for lines in profile.by_line.values()) + profile.without_line == total
    assert ("reset_handler", "main", call.split("(")[0]) in by_path(profile)


def test_code_without_line_information_is_counted_apart(tmp_path: Path) -> None:
    elf = build(tmp_path, "call_paths.c")
    subprocess.run(["arm-none-eabi-strip", "--strip-debug", str(elf)], check=True)
    profile, coverage, total = profiled(Firmware.load(elf, TARGET))
    assert (profile.by_line, profile.without_line) == ({}, total)
    assert coverage.lines == {}
    assert {"main", "fibonacci"} <= {function.function for function in coverage.functions if function.executions}


def test_ten_runs_give_the_same_profile(tmp_path: Path) -> None:
    program = firmware(tmp_path, "call_paths.c")
    first = profiled(program)
    assert all(profiled(program) == first for _ in range(9))
