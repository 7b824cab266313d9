"""`emu board new` writes boards that boot: copies of emu's, and those of an SVD file and a linker script."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emu.boards.copying import known_boards
from emu.boards.linker_script import Memory, read_memory
from emu.boards.models import settings_of
from emu.boards.svd import read_device
from emu.emulators import EmulatorName
from emu.errors import InputError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.shared import Shared
from emu.run.emulators import open_machine
from emu.run.trial import Trial
from emu.targets import Board, Target, load_board

TESTS = Path(__file__).parents[1]
SVD = Path(__file__).parent / "small.svd"
SCRIPT = """
/* Memories of a chip. */
MEMORY
{
  FLASH (rx)  : ORIGIN = 0x08000000, LENGTH = 512K
  RAM (xrw)   : ORIGIN = 0x20000000, LENGTH = 128K - 16K
  CCM-RAM (rw) : org = 0x10000000, len = 0x10000
}
"""
EMULATORS = [
    "unicorn",
    pytest.param(
        "qemu", marks=pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is missing")
    ),
]
REGISTERS = {  # clock, its switch, where its ready bit is, the bit, status, its bit, data
    "nrf52840": (0x4000_0000, 1, 0x4000_0100, 1, 0x4000_211C, 1, 0x4000_251C),
    "stm32f407": (0x4002_3800, 1 << 24, 0x4002_3800, 1 << 25, 0x4000_4400, 1 << 7, 0x4000_4404),
    "stm32f767": (0x4002_3800, 1 << 24, 0x4002_3800, 1 << 25, 0x4000_441C, 1 << 7, 0x4000_4428),
    "stm32g474": (0x4002_1000, 1 << 8, 0x4002_1000, 1 << 10, 0x4000_441C, 1 << 7, 0x4000_4428),
    "stm32h7": (0x5802_4400, 1 << 16, 0x5802_4400, 1 << 17, 0x4000_441C, 1 << 7, 0x4000_4428),
    "stm32l476": (0x4002_1000, 1 << 24, 0x4002_1000, 1 << 25, 0x4000_441C, 1 << 7, 0x4000_4428),
}


def emu(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "emu", *arguments], cwd=directory, capture_output=True, text=True)


def boots(directory: Path, board: Board, emulator: EmulatorName, registers: tuple[int, ...]) -> str:
    """Return what the program prints that boots on the board, linked by the board's script."""
    names = ("CLOCK", "ON", "READY_AT", "READY", "STATUS", "SENT", "DATA")
    macros = [f"-D{name}={value:#x}u" for name, value in zip(names, registers, strict=True)]
    elf = directory / "boots.elf"
    command = [
        "arm-none-eabi-gcc",
        *board.build.flags,
        "-O1",
        "-g",
        "-nostdlib",
        *macros,
        f"-T{board.build.linker_script}",
    ]
    subprocess.run([*command, str(TESTS / "firmware" / "boots.c"), "-o", str(elf)], check=True)
    target = Target(board, emulator)
    with open_machine(Firmware.load(elf, target), target, Instruments(limits=Limits(seconds=30))) as machine:
        stop = machine.boot()
        assert (stop.reason, stop.exit_status) == ("exit", 0), stop.fault
        return machine.measure().output


@pytest.mark.parametrize("emulator", EMULATORS)
@pytest.mark.parametrize("name", REGISTERS)
def test_a_copy_boots(tmp_path: Path, name: str, emulator: EmulatorName) -> None:
    made = emu(tmp_path, "board", "new", "mine", "--like", name)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "mine.toml: mine-unicorn, mine-qemu, mine-renode\n"
    board = load_board(tmp_path / "mine.toml")
    assert boots(tmp_path, board, emulator, REGISTERS[name]) == "booted\n"


@pytest.mark.parametrize("name", sorted(known_boards()))
def test_emus_own_firmware_boots_on_each_board(tmp_path: Path, name: str) -> None:
    board = load_board(known_boards()[name])
    if board.architecture == "armv7em":
        with Shared() as shared:
            Trial(tmp_path, shared).begin(Target(board, "unicorn"))
        assert name in REGISTERS


@pytest.mark.parametrize("emulator", EMULATORS)
def test_the_board_of_an_svd_file_boots(tmp_path: Path, emulator: EmulatorName) -> None:
    script = tmp_path / "chip.ld"
    script.write_text(SCRIPT)
    made = emu(tmp_path, "board", "new", "chip1", "--svd", str(SVD), "--linker-script", str(script))
    assert (made.returncode, made.stderr) == (0, "")
    board = load_board(tmp_path / "chip1.toml")
    assert (board.cpu, board.title) == ("cortex-m4", "CHIP: Arm Cortex-M4, 512 KB flash, 176 KB RAM")
    assert [(each.name, each.start, each.size, each.access) for each in board.memory] == [
        ("flash", 0x0800_0000, 512 * 1024, "rx"),
        ("ram", 0x2000_0000, 112 * 1024, "rwx"),
        ("ccm_ram", 0x1000_0000, 64 * 1024, "rw"),
        ("scs", 0xE000_E000, 4096, "rw"),
    ]
    uart = next(each for each in board.peripherals if each.name == "USART2")
    assert (uart.start, uart.size, uart.output) == (0x4000_4400, 0x400, 0x28)
    assert not next(each for each in board.peripherals if each.name == "SPI1").modelled
    registers = (0x4002_1000, 1 << 24, 0x4002_1000, 1 << 25, 0x4000_441C, 1 << 7, 0x4000_4428)
    assert boots(tmp_path, board, emulator, registers) == "booted\n"


def test_names_suggest_what_registers_do() -> None:
    device = read_device(SVD.read_bytes())
    settings = {each.name: settings_of(each) for each in device.peripherals}
    assert settings["RCC"]["follows"] == {"0x00[25]": "0x00[24]", "0x00[17]": "0x00[16]", "0x08[3:2]": "0x08[1:0]"}
    assert settings["RCC"]["reads"] == {"0x00[30]": 1}
    assert settings["RCC"]["resets"] == {"0x00": 0x83}
    assert settings["USART1"] == settings["USART2"]
    assert settings["USART1"]["follows"] == {"0x1c[21]": "0x00[3]"}
    assert settings["TIM3"]["counters"][0]["value"] == "0x24[15:0]"
    assert settings["GPIOA"]["ones_set"] == {"0x18[15:0]": "0x14[15:0]"}
    assert settings["SPI1"] == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MEMORY { A (rx) : ORIGIN = 0, LENGTH = 1M }", Memory("A", 0, 1 << 20, writable=False, executable=True)),
        (
            "MEMORY\n{\nB : o = 0x20000000 + 4K, l = 8k\n}",
            Memory("B", 0x2000_1000, 8192, writable=True, executable=True),
        ),
        ("MEMORY { C (rw!x) : ORIGIN = 0x10, LENGTH = 16 }", Memory("C", 16, 16, writable=True, executable=False)),
    ],
)
def test_memory_commands(text: str, expected: Memory) -> None:
    assert read_memory(text) == [expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SECTIONS {}", "has no MEMORY command"),
        ("MEMORY { }", "has no line such as"),
        ("MEMORY { A (rx) : ORIGIN = start, LENGTH = 1M }", "memory A: start is not a number"),
        ("MEMORY { A (rx) : ORIGIN = 0, LENGTH = 2 * 1M }", r"memory A: 2 \* 1M is not a number"),
    ],
)
def test_a_linker_script_that_is_not_understood(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_memory(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Mine", "--like", "stm32h7"], '"Mine" is no name of a board'),
        (["mine", "--like", "stm32x9"], 'there is no board "stm32x9" to copy, only esp32s3, nrf52840, stm32f407'),
        (["mine"], "give --like BOARD, or --svd FILE.svd with --linker-script FILE.ld"),
        (["mine", "--svd", "bad.svd", "--linker-script", "chip.ld"], "bad.svd: not XML"),
        (
            ["mine", "--svd", "m0.svd", "--linker-script", "chip.ld"],
            "no emulator here has the core CM0, only CM4 and",
        ),
        (
            ["mine", "--svd", str(SVD), "--linker-script", "odd.ld"],
            "memory RAM: 0x20000000 with 1000 bytes is not",
        ),
        (["there", "--like", "stm32h7"], "there.toml: exists; give the board another name"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "there.toml").write_text("")
    (tmp_path / "bad.svd").write_text("<device")
    (tmp_path / "m0.svd").write_text(SVD.read_text().replace("CM4", "CM0"))
    (tmp_path / "chip.ld").write_text(SCRIPT)
    (tmp_path / "odd.ld").write_text(SCRIPT.replace("128K - 16K", "1000"))
    before = sorted(tmp_path.iterdir())
    ended = emu(tmp_path, "board", "new", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
