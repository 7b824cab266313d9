"""Installs the program that speaks Renode's protocol in Renode's place."""

import sys
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_renode.py")
PACKAGE = Path(__file__).parents[2]


def install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``renode`` be a script that starts the stand-in as another process, which behaves."""
    command = directory / "bin" / "renode"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGE}" "{sys.executable}" "{FAKE}" "$@"\nexit $?\n')
    command.chmod(0o755)
    monkeypatch.setenv("EMU_RENODE", str(command))
    monkeypatch.delenv("MISBEHAVE", raising=False)
