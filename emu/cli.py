"""The command line: the commands of ``emu.commands``, and how a mistake ends."""

import sys
from typing import Annotated

import typer

import emu
from emu.commands.build import build
from emu.commands.diff import diff
from emu.commands.doctor import doctor
from emu.commands.export import export
from emu.commands.report import report
from emu.commands.robot import robot
from emu.commands.run import run
from emu.commands.targets import targets
from emu.commands.toolchain import toolchain
from emu.ending import one_line_for_failures, signals_end_in_order
from emu.marks import print_marks_everywhere

app = typer.Typer(
    name="emu",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Prove firmware without hardware: does the C program give PyTorch's answers, and does its memory fit?",
    epilog="Try: emu run kws --target stm32h7-unicorn",
)
for command in (doctor, targets, export, build, run, report, robot, diff):  # in the order of the help
    app.command()(command)
app.add_typer(toolchain, name="toolchain")


def main() -> None:
    """Run the command line; a failure ends in one line on stderr, and in a traceback only with ``--debug``."""
    print_marks_everywhere()
    signals_end_in_order()
    with one_line_for_failures(debug="--debug" in sys.argv[1:2]):
        app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"emu {emu.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Also print a traceback if something goes wrong.")] = False,
) -> None:
    pass
