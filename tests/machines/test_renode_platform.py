"""The platform that Renode is given has the board's memory map, to the byte, and nothing else."""

import re
from pathlib import Path

import pytest
from renode_registers import Registers

from emu.errors import InputError
from emu.machines.renode.cortex_m import CORTEX_M
from emu.machines.renode.lx7 import LX7
from emu.machines.renode.platform import write_platform
from emu.peripherals import Peripheral
from emu.targets import Board, find_target

BOARDS = {"stm32h7": CORTEX_M, "esp32s3": LX7}


def written(name: str, directory: Path) -> tuple[Board, str]:
    board, core = find_target(f"{name}-renode").board, BOARDS[name]
    path = write_platform(board, core.platform, core.platform_registers, (), directory, directory / "printed")
    return board, path.read_text()


@pytest.mark.parametrize("name", BOARDS)
def test_memory_is_that_of_the_board_file(tmp_path: Path, name: str) -> None:
    board, text = written(name, tmp_path)
    found = re.findall(r"^(\w+): Memory\.MappedMemory @ sysbus (0x\w+)\n    size: (0x\w+)$", text, re.MULTILINE)
    expected = [(each.name, each.start, each.size) for each in board.memory if each.kind == "memory"]
    assert [(label, int(start, 16), int(size, 16)) for label, start, size in found] == expected


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_else_is_at_any_address(tmp_path: Path, name: str) -> None:
    board, text = written(name, tmp_path)
    found = {int(start, 16) for start in re.findall(r"@ sysbus (0x\w+)", text)}
    modelled = {each.start for each in board.peripherals if each.modelled}
    assert found == {each.start for each in board.memory} | modelled
    assert any(not each.modelled for each in board.peripherals)
    labels = re.findall(r"^(\w+):", text, re.MULTILINE)
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("name", BOARDS)
def test_the_core(tmp_path: Path, name: str) -> None:
    _, text = written(name, tmp_path)
    kind = {"stm32h7": "cortex-m7", "esp32s3": "de233_fpu"}[name]
    assert text.count("cpuType:") == 1
    assert f'cpuType: "{kind}"' in text


def test_registers_that_no_core_brings_along_are_refused(tmp_path: Path) -> None:
    board = find_target("stm32h7-renode").board
    with pytest.raises(InputError, match=r"memory\.scs: Renode's core has no such registers"):
        write_platform(board, LX7.platform, LX7.platform_registers, (), tmp_path, tmp_path / "printed")


# ---- scripts of peripherals, which are the same in Python 2 and 3 ----------------------------------------------------


def test_a_stub_keeps_what_is_written(tmp_path: Path) -> None:
    registers = Registers(Peripheral(name="RCC", start=0x58024400, size=1024, stub=True), tmp_path)
    assert registers.read(0x10) == 0
    registers.write(0x10, 0x12345678)
    registers.write(0x11, 0xAB, length=1)
    assert registers.read(0x10) == 0x1234AB78
    assert registers.read(0x12, length=2) == 0x1234
    assert registers.printed == []


def test_an_output_prints_and_a_fixed_register_stays(tmp_path: Path) -> None:
    usart = next(each for each in find_target("stm32h7-renode").board.peripherals if each.name == "USART3")
    registers = Registers(usart, tmp_path)
    for character in b"hi\n":
        assert registers.read(0x1C) == 0xC0
        registers.write(0x28, character | 0x100)
    registers.write(0x1C, 0)
    assert registers.read(0x1C) == 0xC0
    registers.write(0x0, 0xC)
    assert registers.read(0x1C) == 0x6000C0  # TEACK and REACK
    assert bytes(registers.printed) == b"hi\n"
    assert registers.sought == 3 * [(0, 2)]  # the end is elsewhere where another output has printed
