"""A board on a platform of Renode's own, in front of a program that speaks Renode's protocol."""

import re
from pathlib import Path

import pytest
import stand_in
from builds import SOURCES, build

from emu.errors import InputError, MissingToolError
from emu.instruments import Limits
from emu.options import RunOptions
from emu.record import Run
from emu.reports.markdown import render_markdown
from emu.robot import run_suites
from emu.run import run_firmware
from emu.targets import Target, load_board

PACKAGE = Path(__file__).parents[2]
OWN = "platforms/cpus/own.repl"
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"))
NO_OTHER_MEMORY = re.compile(r'\[\[memory\]\]\nname = "(?:sram\d|backup)".*?(?=\n\[\[|\n#|\Z)', re.DOTALL)


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(tmp_path, monkeypatch)


def target(directory: Path, platform: str = OWN, uart: str = "usart3", name: str = "own") -> Target:
    text = (PACKAGE / "targets" / "stm32h7.toml").read_text().replace('name = "stm32h7"', f'name = "{name}"')
    text = NO_OTHER_MEMORY.sub("", text).replace("../linker", str(PACKAGE / "linker"))
    path = directory / "own.toml"
    path.write_text(f'{text}\n[renode]\nplatform = "{platform}"\nuart = "{uart}"\n')
    return Target(load_board(path), "renode")


def run(elf: Path, on: Target) -> Run:
    options = RunOptions(limits=Limits(instructions=2_000_000, seconds=60))
    return run_firmware(elf, "program", on, None, options, lambda _done, _total: None)


def program(directory: Path, *statements: str) -> Path:
    return build(directory, "stacks.c", *WITH_FPU, f"-DRUNS=({{ {' '.join(statements)} }})")


READS_RCC = "*(volatile unsigned *)0x58024418;"
WRITES_RCC = "*(volatile unsigned *)0x58024400 = 1;"
PRINTS = "*(volatile unsigned *)0x40004828 = 72; *(volatile unsigned *)0x40004828 = 105;"
READS_TIM1 = "*(volatile unsigned *)0x40010010;"
READS_NOTHING = "*(volatile unsigned *)0x90000000;"


def test_what_has_no_model_is_listed_with_its_number_and_is_no_fault(tmp_path: Path) -> None:
    made = run(program(tmp_path, READS_RCC, READS_RCC, WRITES_RCC, PRINTS, READS_TIM1, "deep(9);"), target(tmp_path))
    assert made.faults == []
    assert made.ok
    assert made.output == "Hi"
    assert made.not_modelled == [
        "rcc+0x18: read: 2 times",
        "rcc+0x0: write: 1 time",
        "TIM1+0x10 at 0x40010010: read: 1 time",
    ]
    assert made.memory.stack_touched_bytes
    assert "Not modelled:" in render_markdown([made])


def test_a_wild_access_is_still_a_fault(tmp_path: Path) -> None:
    made = run(program(tmp_path, READS_RCC, READS_NOTHING), target(tmp_path))
    assert [(fault.kind, fault.address) for fault in made.faults] == [("unmapped_read", 0x9000_0000)]


def test_a_file_next_to_the_board_file_is_the_platform(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "renode_platforms" / OWN).read_text()
    (tmp_path / "mine.repl").write_text(text.replace("usart3", "console"))
    made = run(program(tmp_path, PRINTS), target(tmp_path, "mine.repl", "console"))
    assert (made.output, made.faults) == ("Hi", [])


def test_a_platform_without_the_boards_memory_is_refused(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "renode_platforms" / OWN).read_text()
    (tmp_path / "mine.repl").write_text(text.replace("0x24000000", "0x34000000"))
    with pytest.raises(MissingToolError, match="the platform has no RAM at 0x2407f000, where the board file has axi"):
        run(program(tmp_path, PRINTS), target(tmp_path, "mine.repl"))


def test_a_uart_that_the_platform_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"sysbus\.usart9 CreateFileBackend"):
        run(program(tmp_path, PRINTS), target(tmp_path, uart="usart9"))


def test_the_robot_suites_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="own-renode: the Robot suites run on emu's own platform"):
        run_suites([target(tmp_path)], 1, tmp_path)


def test_a_board_that_is_not_run_in_renode_has_no_such_platform(tmp_path: Path) -> None:
    text = (PACKAGE / "targets" / "esp32s3.toml").read_text().replace("../linker", str(PACKAGE / "linker"))
    (tmp_path / "other.toml").write_text(f'{text}\n[renode]\nplatform = "{OWN}"\n')
    with pytest.raises(InputError, match="renode: only for the architecture armv7em"):
        load_board(tmp_path / "other.toml")
