"""What an emulator lets pass, and what it ran otherwise than the ELF has it, are in every report for people."""

import io

from rich.console import Console

from emu.record import Firmware, Memory, Run
from emu.reports.html import render_html
from emu.reports.markdown import render_markdown
from emu.reports.terminal import print_run
from emu.targets import find_target

LINES = ["accesses that nothing refuses", "three instructions run elsewhere"]


def test_every_report_says_it() -> None:
    run = Run(
        model="m",
        target="stm32h7-renode",
        firmware=Firmware(path="m.elf", sha256="0" * 64, toolchain=None),
        memory=Memory(),
        not_checked=LINES[:1],
        changed=LINES[1:],
    )
    screen = io.StringIO()
    print_run(Console(file=screen, width=200), run, find_target(run.target).board)
    for text in (screen.getvalue(), render_html([run]), render_markdown([run])):
        assert all(line in text for line in LINES)
