"""Temporary files and directories: those of killed processes are removed, and nothing that a user made."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from emu.temporary import temporary_directory
from emu.writing import write_file


@pytest.fixture(autouse=True)
def _temporary_files_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("name", ["emu-renode-logs", "emu-renode-a1b2c3d4", "emu-renode-0123456789abcdef"])
def test_a_directory_of_a_user_stays(tmp_path: Path, name: str):
    notes = tmp_path / name / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("a week's work")
    with temporary_directory("emu-renode-"):
        pass
    assert notes.read_text() == "a week's work"


def test_a_file_of_a_user_stays_next_to_an_output(tmp_path: Path):
    draft = tmp_path / ".emu-thesis.draft"
    draft.write_text("a week's work")
    write_file(tmp_path / "report.html", b"")
    assert draft.read_text() == "a week's work"


@pytest.mark.parametrize(
    "made",
    [
        "temporary_directory('emu-renode-')",
        "temporary_file('.emu-', '.draft', Path(sys.argv[1]), 0o666)",
    ],
)
def test_what_a_killed_process_left_is_removed(tmp_path: Path, made: str):
    script = f"""
import os, signal, sys, tempfile
from pathlib import Path
from emu.temporary import temporary_directory, temporary_file
tempfile.tempdir = sys.argv[1]
with {made} as made:
    if isinstance(made, Path):
        (made / "console.txt").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with temporary_directory("emu-renode-"):
        pass
    write_file(tmp_path / "report.html", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_directory_without_anything_in_it_is_removed(tmp_path: Path):
    """Its maker was killed before it wrote the marker."""
    (tmp_path / "emu-renode-0123456789abcdef").mkdir()
    with temporary_directory("emu-renode-"):
        pass
    assert not list(tmp_path.iterdir())
