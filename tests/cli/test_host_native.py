"""The target host-native, as a user sees it: firmware as a program of this machine, under sanitizers."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import read_runs

from emu.model.sources import find_model
from emu.resources import resource
from emu.targets import find_target
from emu.toolchains import find_toolchain

FIGURES = ("flash_bytes", "static_ram_bytes", "mailbox_bytes", "stack_peak_bytes", "heap_peak_bytes", "ram_peak_bytes")
OVERRUN = """
#include <stdio.h>
static int scores[4];
__attribute__((noinline)) static int best_of(const int *first, int count) {
    int best = 0;
    for (int i = 0; i <= count; i++) best = first[i] > best ? first[i] : best;
    return best;
}
int main(void) { return printf("%d\\n", best_of(scores, 4)) - 2; }
"""


def compile_program(directory: Path, source: str) -> Path:
    """Return a program of this machine that emu can stop."""
    (directory / "program.c").write_text(source)
    board, port = find_target("host-native").board, resource("runtime") / "port"
    sources = ["program.c", str(port / "host" / "harness.c")]
    find_toolchain(board.build.toolchain).run(
        [*board.build.flags, "-g", "-O1", f"-I{port}", *sources, "-o", "program.elf"], directory
    )
    return directory / "program.elf"


def test_what_build_writes_runs_and_every_figure_of_a_board_is_null_with_its_reason(emu, tmp_path: Path):
    assert emu("build", "har", "-t", "host-native", "-o", tmp_path / "har.elf").code == 0
    given = ("--inputs", find_model("har").inputs, "--limit", "3", "--json", tmp_path / "r.json")
    outcome = emu("run", tmp_path / "har.elf", "-t", "host-native", "--memcheck", *given)
    assert outcome.code == 0, outcome
    words = " ".join(outcome.stdout.replace("│", " ").split())
    assert "a program for this machine, and with sanitizers in it, says nothing" in words
    (record,) = json.loads((tmp_path / "r.json").read_text())["runs"]
    assert {record["memory"][name] for name in FIGURES} == {None}
    assert record["instructions"]["per_inference"] is None
    reasons = {"heap" if name == "heap_peak_bytes" else name for name in FIGURES} | {"instructions", "per_inference"}
    assert reasons <= record["not_measured"].keys()
    assert record["memory_check"]["findings"] == []
    assert [verdict["name"] for verdict in record["verdicts"]] == [
        "no fault",
        "no memory error",
        "labels agree with PyTorch",
        "mean logit error",
    ]


def test_the_reports_of_a_run_without_figures_are_written(emu, tmp_path: Path):
    command = ("run", "har", "-t", "stm32h7-unicorn", "-t", "host-native", "--limit", "1", "--report", tmp_path / "out")
    assert emu(*command).code == 0
    of_board, of_host = read_runs(tmp_path / "out" / "run.json")
    assert of_board.on_board
    assert not of_host.on_board
    assert "har on host-native" in (tmp_path / "out" / "report.md").read_text()
    assert "host-native" in (tmp_path / "out" / "report.html").read_text()
    assert emu("diff", tmp_path / "out" / "run.json", tmp_path / "out" / "run.json").code == 0


def test_an_error_ends_the_run_with_its_place(emu, tmp_path: Path):
    elf = compile_program(tmp_path, OVERRUN)
    outcome = emu("run", elf, "-t", "host-native", "--json", tmp_path / "r.json")
    assert outcome.code == 1, outcome
    (run,) = read_runs(tmp_path / "r.json")
    (fault,) = run.faults
    assert (fault.kind, fault.function, fault.line) == ("read_outside_objects", "best_of", 6)
    assert "'scores'" in fault.detail
    assert [verdict.name for verdict in run.verdicts if not verdict.ok] == ["no fault", "no memory error"]
    assert "best_of" in outcome.stdout


def test_a_program_that_ends_well_is_well(emu, tmp_path: Path):
    elf = compile_program(tmp_path, OVERRUN.replace("i <= count", "i < count"))
    outcome = emu("run", elf, "-t", "host-native", "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    assert read_runs(tmp_path / "r.json")[0].output == "0\n"


@pytest.mark.parametrize("option", ["--traffic", "--profile", "--coverage"])
def test_what_only_an_emulator_counts_is_refused(emu, option: str):
    emu("run", "har", "-t", "host-native", option).assert_one_clear_line(
        f"host-native has no {option}; ", "stm32h7-unicorn"
    )


def test_a_budget_that_nothing_here_counts_is_refused(emu):
    outcome = emu("run", "har", "-t", "host-native", "--max-instructions", "5")
    outcome.assert_one_clear_line("host-native counts no instructions", "--max-seconds")


def test_an_allocator_of_another_emulator_is_refused(emu):
    outcome = emu("run", "har", "-t", "host-native", "--memcheck", "--replace-allocator")
    outcome.assert_one_clear_line("host-native has no --replace-allocator")


def test_a_program_without_the_port_is_refused(emu, tmp_path: Path):
    (tmp_path / "program.c").write_text("int main(void) { for (;;); }\n")
    find_toolchain("host").run(["-no-pie", "program.c", "-o", "program"], tmp_path)
    outcome = emu("run", tmp_path / "program", "-t", "host-native")
    outcome.assert_one_clear_line("is a program for this machine", "`emu build`", "harness.c")


def test_a_compiler_without_sanitizers_is_a_missing_tool(emu, tmp_path: Path, monkeypatch):
    (tmp_path / "gcc").write_text(
        '#!/bin/sh\ncase $1 in --version) echo gcc 12;; *) echo "${1#-print-file-name=}";; esac\n'
    )
    (tmp_path / "gcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    outcome = emu("run", "har", "-t", "host-native", "--limit", "1")
    assert outcome.code == 3, outcome
    assert outcome.stderr.startswith("error: gcc with libasan and libubsan is not installed; install it with: ")
    outcome = emu("doctor")
    assert outcome.code == 0, outcome  # not every installation needs it
    assert "target host-native: needs host-sanitizers" in outcome.stdout


def firmware_of(pid: int) -> Path | None:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError):  # a compiler that has said its version
            if "emu-firmware" in str(Path(f"/proc/{child}/exe").readlink()):
                return Path(f"/proc/{child}")
    return None


def test_an_interrupt_leaves_no_process(tmp_path: Path):
    elf = compile_program(tmp_path, "int main(void) { for (;;); }\n")
    command = [sys.executable, "-m", "emu", "run", str(elf), "-t", "host-native"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while (firmware := firmware_of(process.pid)) is None:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    deadline = time.monotonic() + 20  # emu, interrupted while it starts a process, may end just before the process
    while firmware.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("closed", ["<&-", "<&- 2>&-", "<&- >&-"])
def test_standard_streams_that_are_closed_are_nothing_to_the_firmware(tmp_path: Path, closed: str):
    record = tmp_path / "r.json"
    command = f'"{sys.executable}" -m emu run har -t host-native --limit 1 --json "{record}" {closed}'
    subprocess.run(["sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=60)
    (run,) = read_runs(record)
    assert run.ok, run.faults
    assert run.parity is not None


def test_an_ignored_sigchld_is_one_clear_line(tmp_path: Path):
    elf = compile_program(tmp_path, OVERRUN)
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", ignoring, sys.executable, "-m", "emu", "run", str(elf), "-t", "host-native"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (outcome.returncode, outcome.stdout) == (70, "")
    line = "error: SIGCHLD is ignored here, so nothing tells how the firmware's process has ended"
    assert outcome.stderr.startswith(line)
    assert outcome.stderr.count("\n") == 1
