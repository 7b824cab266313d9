"""Installs the program that speaks Renode's protocol in Renode's place."""

import shutil
import sys
import time
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
    calls = directory / "calls"
    calls.touch()
    started = f'echo "$*" >>"{calls}"\nPYTHONPATH="{PACKAGE}" "{sys.executable}" "{FAKE}" "$@"'
    command.write_text(f"#!/bin/sh\n{started}\nexit $?\n")
    command.chmod(0o755)
    return command


def starts(command: Path) -> int:
    """Return how often ``command`` has started a Renode; to ask its version is no start."""
    calls = (command.parent / "calls").read_text().splitlines()
    return sum("--robot-server-port" in each for each in calls)


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


def members_of(group: int) -> list[int]:
    """Return the processes of a group that are not only waiting to be collected."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def has_ended(group: int) -> bool:
    """Return whether all processes of a group end soon."""
    deadline = time.monotonic() + 10
    while members_of(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not members_of(group)
