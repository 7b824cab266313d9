"""What a board file says of peripherals' registers holds in every emulator, and drivers find what they wait for."""

import ctypes
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from builds import SOURCES, TARGET, build
from renode_registers import Registers

from emu import native
from emu.emulators import EmulatorName
from emu.errors import InputError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.peripherals import Peripheral, describe
from emu.resources import resource
from emu.run.emulators import open_machine
from emu.targets import Target, load_board

QEMU = pytest.param(
    "qemu",
    marks=pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"),
)
LIMITS = Limits(seconds=60)

# ---- drivers ---------------------------------------------------------------------------------------------------------

PRINTED = """\
RCC 3c03f1a7
PWR 0000e000
FLASH 00000030
USART 000000c0
USART 006000c0
USART 000000c0
USART 006000c0
GPIO 00220022
UIF 00000001
UIF 00000000
CNT<10 00000001
stands 00000001
DMA 00000000
by transfer
waits 00000001
RNG 00000001
"""


@pytest.mark.parametrize("emulator", ["unicorn", QEMU])
@pytest.mark.parametrize("traffic", [False, True])
def test_drivers_find_what_they_wait_for(tmp_path: Path, emulator: EmulatorName, traffic: bool) -> None:
    target = Target(TARGET.board, emulator)
    program = Firmware.load(build(tmp_path, "waits_of_drivers.c"), target)
    with open_machine(program, target, Instruments(limits=LIMITS, traffic=traffic)) as machine:
        assert machine.boot().reason == "yield"
        stop = machine.resume()
        assert stop.reason == "yield", stop.fault
        assert machine.measure().output == PRINTED


@pytest.mark.parametrize(
    ("emulator", "instruments"),
    [
        ("unicorn", Instruments(limits=LIMITS)),
        ("unicorn", Instruments(limits=LIMITS, traffic=True, profile=True, memcheck=True)),
        pytest.param("qemu", Instruments(limits=LIMITS), marks=QEMU.marks),
        pytest.param("qemu", Instruments(limits=LIMITS, traffic=True, profile=True), marks=QEMU.marks),
    ],
)
def test_the_cycle_counter_counts_retired_instructions(
    tmp_path: Path, emulator: EmulatorName, instruments: Instruments
) -> None:
    target = Target(TARGET.board, emulator)
    program = Firmware.load(build(tmp_path, "cycle_counter.S"), target)
    address = next(symbol.address for symbol in program.symbols if symbol.name == "differences")
    with open_machine(program, target, instruments) as machine:
        assert machine.boot().reason == "yield"
        stop = machine.resume()
        assert stop.reason == "yield", stop.fault
        found = struct.unpack("<9I", machine.read(address, 36))
        counted = machine.measure().instructions.by_function
    assert (*found[:5], *found[6:]) == (0, 1, 1, 4, 22, 1, 5, 2)
    assert found[5] <= 3
    assert (counted["main"], counted["conditional"], counted["callee"]) == (87, 16, 2), (
        "an access to the counter is counted once"
    )


# ---- one description, two implementations ----------------------------------------------------------------------------

RULES = Peripheral.model_validate(
    {
        "name": "ALL",
        "start": 0x4000_0000,
        "size": 0x40,
        "output": 0x28,
        "reads": {"0x1C[7:6]": 3, "0x20": 0x1234_5678, "0x31[7:0]": 0x5A},
        "resets": {"0x00": 0x83, "0x04[31:16]": 0xFFFF},
        "follows": {"0x00[17]": "0x00[16]", "0x10[15:0]": "0x14[15:0]", "0x2C[7:4]": "0x30[3:0]"},
        "ones_clear": {"0x18[31:16]": "0x14[15:0]", "0x08": "0x04", "0x24": "0x24"},
        "ones_set": {"0x18[15:0]": "0x14[15:0]", "0x0C[3:0]": "0x24[7:4]"},
        "zeros_clear": ["0x34[15:0]"],
        "random": ["0x38"],
    }
)

_COMMON = Path(native.__file__).parent / "common"
_HARNESS = SOURCES / "host" / "peripherals.c"


class Natively:
    """The registers in C, in a library without an emulator."""

    def __init__(self, peripherals: list[Peripheral], directory: Path):
        library = directory / "peripherals.so"
        sources = [_COMMON / "peripherals.c", _COMMON / "transfers.c", _HARNESS]
        options = ["-std=c99", "-fsanitize=undefined", "-fno-sanitize-recover", "-shared", "-fPIC", f"-I{_COMMON}"]
        subprocess.run(["cc", *options, *map(str, sources), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))
        self._library.start()
        for line in describe(peripherals):
            assert self._library.describe(line.encode()), line

    def read(self, address: int, length: int = 4) -> int:
        value = ctypes.c_uint32()
        assert self._library.read_at(address, length, ctypes.byref(value))
        return value.value

    def load(self, address: int) -> int:
        return self._library.load_byte(address)

    def store(self, address: int, byte: int) -> None:
        self._library.store_byte(address, byte)

    def write(self, address: int, value: int, length: int = 4) -> None:
        assert self._library.write_at(address, length, ctypes.c_uint32(value))

    @property
    def printed(self) -> list[int]:
        return [self._library.printed(index) for index in range(self._library.printed_count())]


@pytest.mark.parametrize("seed", range(3))
def test_c_and_renodes_script_do_the_same(tmp_path: Path, seed: int) -> None:
    natively, script = Natively([RULES], tmp_path), Registers(RULES, tmp_path)
    draw = random.Random(seed)
    for _ in range(3000):
        length = draw.choice((1, 2, 4))
        offset = draw.randrange(0, RULES.size - length + 1)
        if draw.random() < 0.5:
            value = draw.getrandbits(32)
            natively.write(RULES.start + offset, value, length)
            script.write(offset, value, length)
        else:
            assert natively.read(RULES.start + offset, length) == script.read(offset, length), hex(offset)
    assert natively.printed == script.printed
    assert natively.printed


# ---- each setting ----------------------------------------------------------------------------------------------------


@pytest.fixture
def registers(tmp_path: Path) -> Natively:
    return Natively([RULES], tmp_path)


def test_constant_bits_stay(registers: Natively) -> None:
    registers.write(0x4000_001C, 0xFFFF_FF3F)
    assert registers.read(0x4000_001C) == 0xFFFF_FFFF
    registers.write(0x4000_0020, 0)
    assert registers.read(0x4000_0020) == 0x1234_5678
    assert registers.read(0x4000_0022, 2) == 0x1234


def test_values_after_a_reset(registers: Natively) -> None:
    assert registers.read(0x4000_0000) == 0x83
    assert registers.read(0x4000_0004) == 0xFFFF_0000


def test_a_bit_follows_another(registers: Natively) -> None:
    registers.write(0x4000_0000, 1 << 16)
    assert registers.read(0x4000_0000) == 3 << 16
    registers.write(0x4000_0000, 2 << 16)
    assert registers.read(0x4000_0000) == 0


def test_ones_clear_and_set_bits_and_are_not_kept(registers: Natively) -> None:
    registers.write(0x4000_0018, 0x0000_000F)
    registers.write(0x4000_0018, 0x0003_0000)
    assert registers.read(0x4000_0014) == 0xC
    assert registers.read(0x4000_0018) == 0
    registers.write(0x4000_0018, 0x0001_0001)
    assert registers.read(0x4000_0014) == 0xD, "set wins"
    registers.write(0x4000_000A, 0xFF, length=1)
    assert registers.read(0x4000_0004) == 0xFF00_0000, "only the byte that is written acts"
    registers.write(0x4000_000C, 0x5)
    assert registers.read(0x4000_0024) == 0x50
    registers.write(0x4000_0024, 0x10)
    assert registers.read(0x4000_0024) == 0x40


def test_zeros_clear_and_ones_do_nothing(tmp_path: Path) -> None:
    timer = next(each for each in TARGET.board.peripherals if each.name == "TIM3")
    registers = Natively([timer], tmp_path)
    registers.write(timer.start + 0x10, 0xFFFF)
    assert registers.read(timer.start + 0x10) == 0
    registers.write(timer.start + 0x14, 1)
    assert registers.read(timer.start + 0x10) == 1
    registers.write(timer.start + 0x10, 0xFFFF_FFFE)
    assert registers.read(timer.start + 0x10) == 0


def test_a_counter_counts_steps_and_starts_again(tmp_path: Path) -> None:
    """The time of the harness goes on by 1 with each access."""
    timer = next(each for each in TARGET.board.peripherals if each.name == "TIM3")
    registers = Natively([timer], tmp_path)
    registers.write(timer.start + 0x28, 1)  # two instructions for a step
    registers.write(timer.start + 0x2C, 4)
    registers.write(timer.start, 1)
    assert [registers.read(timer.start + 0x24) for _ in range(11)] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 0]
    assert registers.read(timer.start + 0x10) == 1
    registers.write(timer.start, 0)
    assert len({registers.read(timer.start + 0x24) for _ in range(5)}) == 1


def test_a_channel_moves_data_and_steps_as_it_is_told(tmp_path: Path) -> None:
    controller = next(each for each in TARGET.board.peripherals if each.name == "DMA1")
    usart = next(each for each in TARGET.board.peripherals if each.name == "USART3")
    registers = Natively([controller, usart], tmp_path)
    for index, byte in enumerate(b"data"):
        registers.store(0x100 + index, byte)

    def move(settings: int, count: int, peripheral: int, memory: int) -> int:
        first = controller.start + 0x10
        registers.write(controller.start + 0x8, 0xFFFF_FFFF)
        registers.write(first + 0x4, count)
        registers.write(first + 0x8, peripheral)
        registers.write(first + 0xC, memory)
        registers.write(first, settings | 1)
        return registers.read(controller.start) & 0x3F

    between, out, step, other_steps, circular = 2 << 6, 1 << 6, 1 << 10, 1 << 9, 1 << 8
    assert move(out | step, 4, usart.start + 0x28, 0x100) == 0x30
    assert bytes(registers.printed) == b"data"
    assert registers.read(controller.start + 0x14) == 0
    assert registers.read(controller.start + 0x10) & 1 == 0
    assert move(between | step | other_steps, 4, 0x100, 0x200) == 0x30
    assert bytes(registers.load(0x200 + index) for index in range(5)) == b"data\0"
    assert move(between | step, 3, 0x100, 0x300) == 0x30
    assert bytes(registers.load(0x300 + index) for index in range(4)) == b"ddd\0"
    assert move(between | step | other_steps | 1 << 11, 2, 0x100, 0x400) == 0x30, "two bytes each"
    assert bytes(registers.load(0x400 + index) for index in range(5)) == b"data\0"
    assert move(out | step | circular, 2, usart.start + 0x28, 0x100) == 0x30
    assert registers.read(controller.start + 0x14) == 2
    registers.write(controller.start + 0x10, 0)
    assert move(step, 4, usart.start + 0x24, 0x200) == 0, "nothing is received"
    registers.write(controller.start + 0x10, 0)
    assert move(between | step, 4, 0x100, 0xFFFF_0000) == 0, "there is no memory"


# ---- board files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"1 KB", stub = true',
            '64, model = "bus"',
            r'there is no model "bus", only usart, port',
        ),
        ("output = 0x28", "output = 0x400", "USART2 has 1024 bytes of registers"),
        ('"0x1C[7:6]" = 3', '"0x1C[7:6]" = 4', r"0x4 has more than the 2 bits of 0x1c\[7:6\]"),
        ('"0x1C[7:6]" = 3', '"0x1C[6:7]" = 3', "write the higher bit first"),
        ('"0x1C[7:6]" = 3', '"0x1C[32]" = 3', "has the bits 31 to 0"),
        ('"0x1C[7:6]" = 3', '"ISR" = 3', r'"ISR" is not an offset such as 0x1C, and not bits such as "0x1C\[5\]"'),
        ('"0x1C[21]" = "0x00[3]"', '"0x1C[21]" = "0x00[3:2]"', r"0x1c\[21\] has 1 bits, and 0x00\[3:2\] has 2"),
        ("[models.dma.transfer]", "[models.dma.transfers]", 'there is no key "transfers" here'),
    ],
)
def test_a_mistake_in_a_model_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = resource("targets/stm32h7.toml").read_text()
    assert old in text
    path = tmp_path / "stm32h7.toml"
    path.write_text(text.replace(old, new, 1).replace('"../linker/', f'"{resource("linker")}/'))
    with pytest.raises(InputError, match=words):
        load_board(path)


def test_a_peripheral_adds_to_its_model(tmp_path: Path) -> None:
    text = resource("targets/stm32h7.toml").read_text()
    path = tmp_path / "stm32h7.toml"
    usart3 = 'name = "USART3", start = 0x40004800, size = "1 KB", model = "usart"'
    assert usart3 in text
    path.write_text(
        text.replace(usart3, usart3 + ", reads = { 0x24 = 65 }").replace('"../linker/', f'"{resource("linker")}/')
    )
    usart = next(each for each in load_board(path).peripherals if each.name == "USART3")
    registers = Natively([usart], tmp_path)
    assert (registers.read(usart.start + 0x24), registers.read(usart.start + 0x1C)) == (65, 0xC0)
