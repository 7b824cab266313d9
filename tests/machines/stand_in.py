"""Installs the program that speaks Renode's protocol in Renode's place."""

import shutil
import sys
from pathlib import Path

import pytest

from emu.errors import MissingToolError
from emu.toolchains import find_toolchain

FAKE = Path(__file__).with_name("fake_renode.py")
PACKAGE = Path(__file__).parents[2]


def install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``renode`` be a script that starts the stand-in as another process, which behaves."""
    use(command_in(directory / "bin"), monkeypatch)


def command_in(directory: Path) -> Path:
    """Return the script, in the new ``directory``. Each is another Renode to emu, whose answers no cache knows."""
    command = directory / "renode"
    directory.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGE}" "{sys.executable}" "{FAKE}" "$@"\nexit $?\n')
    command.chmod(0o755)
    return command


def use(command: Path, monkeypatch: pytest.MonkeyPatch, misbehaviour: str = "") -> None:
    """Let emu find ``command``, which misbehaves as ``misbehaviour`` says."""
    monkeypatch.setenv("EMU_RENODE", str(command))
    monkeypatch.setenv("MISBEHAVE", misbehaviour)


def missing_for_xtensa() -> str:
    """Return what the Xtensa's stand-in needs and the host lacks; "" if nothing."""
    if shutil.which("qemu-system-xtensa") is None:
        return "qemu-system-xtensa is not installed"
    try:
        find_toolchain("xtensa")
    except MissingToolError as error:
        return str(error)
    return ""
