"""The command line: the commands of ``emu.commands``, and how a mistake ends."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

import emu
from emu.ending import one_line_for_failures, open_standard_streams, signals_end_at_once, signals_end_in_order
from emu.errors import InputError
from emu.marks import print_marks_everywhere

_WRONG_CALL: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""Typer does not export the base of its errors, and newer versions have a copy of click of their own."""

COMMANDS = ("doctor", "targets", "export", "build", "run", "report", "robot", "diff", "size", "board", "toolchain")
"""Each is a module of ``emu.commands``; the help lists them in this order."""


def command_line(commands: Sequence[str] = COMMANDS) -> typer.Typer:
    """Return the command line with only the named commands; the modules of other commands are not imported."""
    app = typer.Typer(
        name="emu",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,  # boxes cost more time than all the rest of the help
        pretty_exceptions_enable=False,
        help="Prove firmware without hardware: does the C program give PyTorch's answers, and does its memory fit?",
        epilog="Try: emu run kws --target stm32h7-unicorn",
    )
    app.callback()(_options)
    for name in commands:
        command = getattr(import_module(f"emu.commands.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command()(command)
    return app


def main() -> None:
    """Run the command line; a failure ends in one line on stderr, and in a traceback only with ``--debug``."""
    open_standard_streams()
    print_marks_everywhere()
    signals_end_in_order()
    try:
        with one_line_for_failures(debug="--debug" in sys.argv[1:2]):
            sys.exit(_call())
    finally:
        signals_end_at_once()  # the interpreter's own end would print a traceback


def _call() -> int:
    """Run the command that was typed, and return its exit code; raises InputError if the call is wrong."""
    typed = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    try:
        return command_line([typed] if typed in COMMANDS else COMMANDS)(prog_name="emu", standalone_mode=False) or 0
    except _WRONG_CALL as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            _print_help(error)
            return InputError.exit_code
        raise InputError(_what_is_wrong(error)) from None
    except typer.Abort:  # older versions of typer raise it for an interrupt
        return 130


def _print_help(error: Any) -> None:
    print(error.format_message())


def _what_is_wrong(error: Any) -> str:
    """Return the message that typer would put into a box, and what to type."""
    message, similar = error.format_message(), getattr(error, "possibilities", None)
    if type(error.__cause__).__name__ == "ValidationError":  # of a value, in pydantic's words
        message = message.replace(error.message, _complaint(error.__cause__))
    if similar:
        message = f"{error.message.rstrip('.')}; did you mean {' or '.join(similar)}?"
    message = message.replace(". Did you", "; did you").strip().rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "emu"
    return f"{message[:1].lower()}{message[1:]} (`{command} --help` shows what to type)"


def _complaint(error: Any) -> str:
    from emu.reading import complaint

    return complaint(error.errors()[0])


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"emu {emu.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Also print a traceback if something goes wrong.")] = False,
) -> None:
    pass
