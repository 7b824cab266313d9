"""Runs the command line as a user does, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    def assert_one_clear_line(self, *fragments: str, code: int = 2) -> None:
        """A failure, by default for bad input, ends with exactly one line, which says what is wrong."""
        assert self.code == code, self
        assert "Traceback" not in self.stderr
        lines = self.stderr.strip().splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("error: ")
        for fragment in fragments:
            assert fragment in lines[0]


@pytest.fixture(scope="session")
def emu() -> Callable[..., Outcome]:
    def run(*arguments: str | Path, timeout: float = 120.0) -> Outcome:
        process = subprocess.run(
            [sys.executable, "-m", "emu", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "COLUMNS": "120"},
        )
        return Outcome(process.returncode, process.stdout, process.stderr)

    return run
