"""Under which names machines say why something was not measured: those that the run record documents, and no others."""

import ast
import inspect
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import stand_in
from builds import SOURCES, TARGET, build

from emu.build import BuildOptions, build_firmware
from emu.figures import FIGURES, NO_REASON, SECTIONS, missing, readings
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments, Limits
from emu.machines.unicorn import UnicornMachine
from emu.model.sources import find_model
from emu.record import Run
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

LIMITS = Limits(instructions=2_000_000, seconds=60)
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"))


def documented() -> set[str]:
    """Return the names that the docstring of ``Run.not_measured`` gives."""
    body = ast.parse(inspect.getsource(Run)).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == "not_measured":
            assert isinstance(text, ast.Expr)
            return set(re.findall(r"``([^`]+)``", ast.literal_eval(text.value)))
    raise AssertionError("Run.not_measured has no docstring")


def unknown(keys: Iterable[str]) -> set[str]:
    """Return the keys that are no figure, no section, and nothing else that is documented."""
    known = {figure.name for figure in FIGURES} | SECTIONS.keys() | documented()
    return {re.sub(r"^limit of .+", "limit of NAME", key) for key in keys} - known


def unexplained(record: Run) -> set[str]:
    """Return the names of what a record lacks without the reason under any of the names that explain it."""
    memory, heap, instructions = record.memory, record.heap, record.instructions
    lacks: dict[tuple[str, ...], bool] = {
        ("stack_limit_bytes", "flash_bytes"): memory.stack_limit_bytes is None,
        ("heap_region_bytes", "heap"): heap.heap_region_bytes is None,
        ("overhead_bytes", "heap"): heap.overhead_bytes is None,
        ("leaks", "heap"): heap.live_at_exit_bytes is None,
        ("by_function", "instructions"): not instructions.by_function,
        ("loads_by_region", "instructions"): instructions.loads_by_region is None,
        ("stores_by_region", "instructions"): instructions.stores_by_region is None,
        ("stacks", "ram_peak_bytes"): any(use.stack_bytes is None for use in memory.by_region),
        ("heap", "ram_peak_bytes"): any(use.heap_bytes is None for use in memory.by_region),
        ("timeline", "heap"): record.timeline is None or record.timeline.heap_bytes is None,
        ("covered_lines", "coverage"): record.coverage is None or not record.coverage.lines,
        **{(name,): getattr(record, name) is None for name in ("memory_check", "parity", "profile")},
        **{(f"limit of {stack.name}",): stack.limit_bytes is None for stack in record.stack.stacks[1:]},
    }
    unknown_figures = {reading.figure.name for reading in readings(record) if reading.reason == NO_REASON}
    lacking = {names[0] for names, is_null in lacks.items() if is_null and not any(explains(record, n) for n in names)}
    return lacking | unknown_figures


def explains(record: Run, name: str) -> bool:
    """Return whether a record gives the reason for what has this name."""
    is_row = name in SECTIONS or any(figure.name == name for figure in FIGURES)
    return name in record.not_measured or (is_row and missing(record, name) is not None)


def run(elf: Path, target: str, *, count: bool = False, memcheck: bool = False, stack_peak: bool = False) -> Run:
    options = RunOptions(
        limits=LIMITS, traffic=count, profile=count, coverage=count, memcheck=memcheck, stack_peak=stack_peak
    )
    record = run_firmware(elf, "program", find_target(target), None, options, lambda _done, _total: None)
    assert unexplained(record) == set()
    return record


@pytest.fixture
def renode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The target of a program that speaks Renode's protocol."""
    stand_in.install(tmp_path, monkeypatch)
    return "stm32h7-renode"


def test_sections_are_documented():
    assert documented() >= SECTIONS.keys()
    assert {"leaks", "covered_lines", "limit of NAME"} <= documented()


def test_a_name_that_nobody_documented_is_noticed():
    assert unknown(["heap_peak", "limit of ", "heap_peak_bytes", "limit of process stack (PSP)"]) == {
        "heap_peak",
        "limit of ",
    }


@pytest.mark.parametrize("target", ["stm32h7-unicorn", "stm32h7-qemu"])
def test_firmware_without_symbols_or_lines(tmp_path: Path, target: str):
    record = run(build(tmp_path, "heap_values.c", "-s"), target, count=True, memcheck=target.endswith("unicorn"))
    assert {"by_function", "covered_lines", "heap_peak_bytes", "ram_peak_bytes"} <= record.not_measured.keys()
    assert unknown(record.not_measured) == set()


@pytest.mark.parametrize("target", ["stm32h7-unicorn", "stm32h7-qemu"])
def test_more_stacks_than_are_followed(tmp_path: Path, target: str):
    record = run(build(tmp_path, "many_stacks.c"), target)
    assert {"stacks", "stack_peak_bytes"} & record.not_measured.keys()
    assert record.memory.ram_peak_bytes is None
    assert {use.name: use.stack_bytes for use in record.memory.by_region} == {"flash": 0, "dtcm": None}
    assert unknown(record.not_measured) == set()


@pytest.mark.parametrize("target", ["stm32h7-unicorn", "stm32h7-qemu"])
@pytest.mark.parametrize("source", ["heap_values.c", "call_paths.c", "touched.c"])
def test_programs_of_every_kind(tmp_path: Path, target: str, source: str):
    for count in (False, True):
        run(build(tmp_path, source), target, count=count)


@pytest.mark.parametrize("target", ["stm32h7-unicorn", "stm32h7-qemu", "stm32h7-renode"])
def test_a_stack_whose_limit_nothing_tells(tmp_path: Path, target: str, renode: str):
    assert renode == "stm32h7-renode"
    elf = build(tmp_path, "stacks.c", "-DINITIAL_SP=first_stack+2048", *WITH_FPU)
    stripped = tmp_path / "stripped.elf"
    subprocess.run(["arm-none-eabi-strip", "-K", "_exit", str(elf), "-o", str(stripped)], check=True)
    record = run(stripped, target)
    assert record.memory.stack_limit_bytes is None
    assert "SP starts inside a section" in record.not_measured["stack_limit_bytes"]
    assert unknown(record.not_measured) == set()


def test_stacks_without_a_limit(tmp_path: Path):
    elf = build(tmp_path, "stacks.c", "-DMAIN=on_process_stack(task_stack+sizeof task_stack,job)")
    stripped = tmp_path / "stripped.elf"
    subprocess.run(["arm-none-eabi-strip", "-K", "_exit", str(elf), "-o", str(stripped)], check=True)
    record = run(stripped, "stm32h7-unicorn")
    assert "limit of process stack (PSP)" in record.not_measured
    assert unknown(record.not_measured) == set()


@pytest.mark.parametrize("stack_peak", [False, True])
@pytest.mark.parametrize(
    "flags", [(), ("-DCOUNTED", "-Wl,--wrap=malloc,--wrap=free", f"-I{SOURCES.parents[1] / 'runtime/port'}")]
)
def test_renode(tmp_path: Path, renode: str, flags: tuple[str, ...], stack_peak: bool):
    record = run(build(tmp_path, "counted_heap.c", *flags, *WITH_FPU), renode, stack_peak=stack_peak)
    assert ("stack_peak_bytes" in record.not_measured) != stack_peak
    assert unknown(record.not_measured) == set()


def test_a_renode_that_is_lost(tmp_path: Path, renode: str, monkeypatch: pytest.MonkeyPatch):
    elf = build(tmp_path, "counted_heap.c", *WITH_FPU)
    monkeypatch.setenv("MISBEHAVE", "crash")
    record = run(elf, renode)
    assert "total" in record.not_measured
    assert unknown(record.not_measured) == set()


def test_a_bare_machine(tmp_path: Path):
    firmware = Firmware.load(build(tmp_path, "heap_values.c"), TARGET)
    with UnicornMachine(firmware, TARGET, Instruments(limits=LIMITS), bare=True) as machine:
        machine.boot()
        not_measured = machine.measure().not_measured
    assert {"heap", "instructions"} <= not_measured.keys()
    assert unknown(not_measured) == set()


@pytest.mark.parametrize("name", ["stm32h7-unicorn", "stm32h7-qemu", "esp32s3-qemu", "host-native"])
def test_a_model(name: str):
    model, target = find_model("har"), find_target(name)
    assert model.inputs is not None
    inputs = load_inputs(model.inputs).first(1)
    elf = build_firmware(model.image, target.board, BuildOptions(input_rows=inputs.x.shape[1]))
    record = run_firmware(elf, "har", target, inputs, RunOptions(), lambda _done, _total: None)
    assert unexplained(record) == set()
    assert record.parity is not None
    assert ({"heap", "instructions", "flash_bytes"} <= record.not_measured.keys()) == (name == "host-native")
    assert unknown(record.not_measured) == set()
