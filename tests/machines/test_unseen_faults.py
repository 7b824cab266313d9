"""What an emulator lets pass is what its list says; another emulator refuses it, if any does."""

import shutil
from pathlib import Path

import pytest
import xtensa_builds
from builds import build

from emu.emulators import EMULATORS
from emu.instruments import Limits
from emu.record import Run
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
needs_lx7 = pytest.mark.skipif(shutil.which("qemu-system-xtensa") is None, reason="qemu-system-xtensa is not installed")
FPU = "-DENABLE_FPU"


def record(elf: Path, target: str, *, memcheck: bool = False) -> Run:
    options = RunOptions(memcheck=memcheck, limits=Limits(instructions=100_000, seconds=20))
    return run_firmware(elf, "program", find_target(target), None, options, lambda _done, _of: None)


def listed(emulator: str, words: str) -> bool:
    return any(words in line for name, row in EMULATORS.items() if name == emulator for line in row.not_checked)


@needs_qemu
@pytest.mark.parametrize(
    ("runs", "flags", "words", "told"),
    [
        ("load_two(odd)", (FPU,), "LDRD", "unaligned access"),
        ("load_many(odd)", (FPU,), "LDM", "unaligned access"),
        ("load_float(odd)", (FPU,), "VLDR", "unaligned access"),
        ("load_float(even)", (), "use of the FPU before", "the FPU is used before it is enabled"),
    ],
)
def test_unicorn_lets_pass_and_qemu_refuses(
    tmp_path: Path, runs: str, flags: tuple[str, ...], words: str, told: str
) -> None:
    elf = build(tmp_path, "not_checked.c", f"-DRUNS={runs}", *flags)
    assert listed("unicorn", words)
    assert record(elf, "stm32h7-unicorn").faults == []
    (fault,) = record(elf, "stm32h7-qemu").faults
    assert told in fault.detail
    if "odd" in runs:
        check = record(elf, "stm32h7-unicorn", memcheck=True).memory_check
        assert check is not None
        assert [finding.kind for finding in check.findings] == ["unaligned_access"]


@pytest.mark.parametrize("emulator", ["unicorn", pytest.param("qemu", marks=needs_qemu)])
def test_neither_checks_the_alignment_at_a_peripheral(tmp_path: Path, emulator: str) -> None:
    elf = build(tmp_path, "not_checked.c", "-DRUNS=store_to_peripheral()", FPU)
    assert listed(emulator, "alignment of accesses to peripherals")
    assert record(elf, f"stm32h7-{emulator}").faults == []


@needs_lx7
def test_qemu_lets_a_second_stack_of_the_esp32s3_grow_into_other_ram(tmp_path: Path) -> None:
    elf = xtensa_builds.build(tmp_path, "second_stack.c", "-DBYTES=3000")
    assert listed("qemu", "a second stack that grows into other RAM")
    run = record(elf, "esp32s3-qemu")
    assert run.faults == []
    assert "more than one stack" in run.not_measured["stack_peak_bytes"]


def test_every_emulator_has_a_list() -> None:
    assert all(row.not_checked for row in EMULATORS.values())
