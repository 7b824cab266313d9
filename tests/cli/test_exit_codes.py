"""Exit codes mean one thing each: 1 is a verdict that failed, and every other failure has a code and one line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from records import read_runs

from emu.cache import cache_root
from emu.resources import resource

FAILING = """
import sys
import emu.cli
import emu.commands.targets
{statement}
sys.argv[1:] = {arguments!r}
emu.cli.main()
"""


def run(statement: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process in which something goes wrong."""
    code = FAILING.format(statement=statement, arguments=list(arguments))
    command, where = [sys.executable, "-c", code], {**os.environ, **environment}
    return subprocess.run(command, env=where, check=False, capture_output=True, text=True)


def raising(exception: str) -> str:
    return f"def fail(*_): raise {exception}\nsys.modules['emu.commands.targets'].known_targets = fail"


@pytest.mark.parametrize(
    ("exception", "code", "line"),
    [
        ("KeyError('lost')", 70, "error: an error in emu: KeyError: 'lost' (`emu --debug ...` shows more)"),
        (r"ValueError('two\nlines')", 70, r"error: an error in emu: ValueError: two\nlines (`emu --debug"),
        ("AssertionError", 70, "error: an error in emu: AssertionError"),
        ("MemoryError", 70, "error: there is not enough memory"),
        ("PermissionError(13, 'Permission denied', 'f')", 70, "error: an error in emu: PermissionError"),
        (
            "OSError(5, 'Input/output error')",
            74,
            "error: a file or stream: cannot be read or written: Input/output error",
        ),
        ("OSError(28, 'No space left on device', 'f')", 74, "error: f: cannot be written: No space left on device"),
    ],
)
def test_what_nobody_expected_is_one_line(exception: str, code: int, line: str):
    outcome = run(raising(exception), "targets")
    assert outcome.returncode == code
    assert outcome.stderr.startswith(line)
    assert outcome.stderr.count("\n") == 1


def test_debug_shows_the_traceback():
    outcome = run(raising("KeyError('lost')"), "--debug", "targets")
    assert outcome.returncode == 70
    assert "Traceback (most recent call last)" in outcome.stderr
    assert outcome.stderr.endswith("error: an error in emu: KeyError: 'lost'\n")


FAILING_LAYERS = """
import emu.run.layers
def trace_layers(*_): raise KeyError('lost')
emu.run.layers.trace_layers = trace_layers"""


@pytest.mark.parametrize(("debug", "traceback"), [((), False), (("--debug",), True)])
def test_what_fails_after_a_run_is_told_after_the_record(tmp_path: Path, debug: tuple[str, ...], traceback: bool):
    record = tmp_path / "run.json"
    options = ("-t", "stm32h7-unicorn", "--limit", "1", "--trace-layers", "--json", str(record))
    outcome = run(FAILING_LAYERS, *debug, "run", "har", *options)
    assert outcome.returncode == 70
    assert "error: layers: an error in emu: KeyError: 'lost'" in outcome.stderr
    assert ("Traceback (most recent call last)" in outcome.stderr, ", in trace_layers" in outcome.stderr) == (
        traceback,
        traceback,
    )
    assert "every part was made" in outcome.stdout
    (kept,) = read_runs(record)
    assert kept.parity is not None


def test_a_full_disk_behind_the_output():
    with Path("/dev/full").open("w") as full:
        outcome = subprocess.run(
            [sys.executable, "-m", "emu", "targets"], stdout=full, stderr=subprocess.PIPE, check=False, text=True
        )
    assert outcome.returncode == 74
    assert outcome.stderr == "error: what emu prints: cannot be written: No space left on device\n"


def test_a_reader_that_has_gone():
    reader, writer = os.pipe()
    os.close(reader)
    outcome = subprocess.run(
        [sys.executable, "-m", "emu", "targets"], stdout=writer, stderr=subprocess.PIPE, check=False, text=True
    )
    os.close(writer)
    assert outcome.returncode == 74
    assert outcome.stderr == "error: what emu prints: cannot be written: Broken pipe\n"


@pytest.mark.parametrize("option", ["--output", "--header"])
def test_a_file_that_cannot_be_written(emu, option: str, tmp_path: Path):
    other = {"--output": "--header", "--header": "--output"}[option]
    model = resource("models") / "har" / "model.safetensors"
    outcome = emu("export", model, option, "/dev/full", other, tmp_path / "other")
    outcome.assert_one_clear_line("/dev/full: cannot be written", code=74)


# ---- compilers that fail ---------------------------------------------------------------------------------------------


def own_board(directory: Path, flag: str) -> Path:
    board = (resource("targets") / "stm32h7.toml").read_text()
    script = resource("linker") / "stm32h743.ld"
    board = re.sub(r"^name = .*", 'name = "own"', board, count=1, flags=re.MULTILINE)
    board = re.sub(r"^linker_script = .*", f'linker_script = "{script}"', board, flags=re.MULTILINE)
    path = directory / "own.toml"
    path.write_text(board.replace('"-mthumb"', f'"-mthumb", "{flag}"'))
    return path


@pytest.mark.parametrize("flag", ["-mcpu=never-made", "--no-such-option", "-mfpu=none-such"])
def test_a_flag_of_a_board_that_the_compiler_refuses_is_bad_input(emu, tmp_path: Path, flag: str):
    board = own_board(tmp_path, flag)
    outcome = emu("run", "har", "--limit", "1", "--board", board, "--target", "own-unicorn")
    outcome.assert_one_clear_line("build.flags of the board own: arm-none-eabi-gcc failed: ", flag.rpartition("=")[2])


def compiler(directory: Path, script: str) -> dict[str, str]:
    """An environment whose compiler answers as the real compiler; only a compilation does what ``script`` says."""
    path = directory / "arm-none-eabi-gcc"
    path.write_text(f'#!/bin/sh\ncase "$*" in --version) echo {directory.name}; exit ;; esac\n{script}\n')
    path.chmod(0o755)
    return {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("script", "code", "line"),
    [
        (
            "case $* in */dev/null*) exit 0 ;; esac; printf 'a.c:1: error: broken\\033\\nmore\\n' >&2; exit 1",
            70,
            "broken",
        ),
        ("case $* in */dev/null*) exit 0 ;; esac; kill -SEGV $$", 70, "Segmentation fault"),
        ("echo as: out.o: No space left on device >&2; exit 1", 74, "No space left on device"),
    ],
)
def test_a_compiler_that_fails(tmp_path: Path, script: str, code: int, line: str):
    arguments = ("run", "har", "--limit", "1", "--target", "stm32h7-unicorn")
    outcome = run("", *arguments, XDG_CACHE_HOME=str(tmp_path), **compiler(tmp_path, script))
    assert outcome.returncode == code
    assert line in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert "\x1b" not in outcome.stderr


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "emu"


def test_a_name_that_no_file_can_have(tmp_path: Path):
    record = tmp_path / "record.json"
    record.write_text('{"schema": 1, "runs": []}')
    command = [sys.executable, "-m", "emu", "report", str(record), "--html", "x" * 5000]
    outcome = subprocess.run(command, capture_output=True, check=False, text=True)
    assert outcome.returncode == 74
    assert outcome.stderr.count("\n") == 1
