"""`emu doctor` asks what `emu run` asks: a target is ready if a run starts, and else both name the same failure."""

import shutil
from pathlib import Path

import pytest

from emu.doctor import Finding, examine
from emu.native.unicorn import unicorn_probe
from emu.targets import find_target, load_targets


def findings_about(target: str) -> dict[str, Finding]:
    unicorn_probe.cache_clear()  # as in a process of its own: an earlier test may have loaded the compiled hooks
    return {finding.name: finding for finding in examine([find_target(target)])}


def command(directory: Path, name: str, script: str) -> Path:
    """Put a program called ``name`` into ``directory``."""
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def answers_its_version(program: str, otherwise: str) -> str:
    """Return a script that is ``program`` if that is asked about itself, and runs ``otherwise`` if not."""
    real = shutil.which(program)
    assert real is not None
    return f'case "$*" in *--version*|*-print-file-name*) exec {real} "$@";; esac\n{otherwise.format(real=real)}'


BROKEN = {
    "a compiler that compiles nothing": (
        "stm32h7-unicorn",
        "arm-none-eabi-gcc",
        'echo "cc1: error: no such instruction set" >&2; exit 1',
        "arm-none-eabi-gcc failed: cc1: error: no such instruction set",
    ),
    "a compiler that links nothing": (
        "stm32h7-unicorn",
        "arm-none-eabi-gcc",
        'case "$*" in *" -c "*) exec {real} "$@";; esac; echo "error: cannot find -lgcc" >&2; exit 1',
        "arm-none-eabi-gcc failed: error: cannot find -lgcc",
    ),
    "no headers of the C library": (
        "stm32h7-unicorn",
        "cc",
        'exec {real} -nostdinc "$@"',
        "cc failed: ",
    ),
    "no headers of the C library for the plugin": (
        "stm32h7-qemu",
        "cc",
        'exec {real} -nostdinc "$@"',
        "cc failed: ",
    ),
    "no sanitizers, although the compiler names their files": (
        "host-native",
        "gcc",
        'case "$*" in *" -c "*) exec {real} "$@";; esac; echo "ld: error: cannot find libasan.so" >&2; exit 1',
        "gcc failed: ld: error: cannot find libasan.so",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_compiler_is_not_ready(emu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    target, program, otherwise, says = BROKEN[broken]
    command(tmp_path / "bin", program, answers_its_version(program, otherwise))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ran = emu("run", "har", "-t", target, "--limit", "1")
    assert ran.code not in (0, 1), ran
    assert ran.stderr.startswith(f"error: {says}")
    found = findings_about(target)[f"target {target}"]
    assert not found.ok
    assert found.detail.startswith("a run does not start: ")
    assert says in found.detail
    assert found.required == find_target(target).emulator.comes_with_emu


def test_a_damaged_toolchain_is_not_ready(emu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = 'echo "xtensa-esp32s3-elf-gcc: fatal error: cannot execute cc1" >&2; exit 1'
    script = f'case "$*" in *--version*) echo xtensa-esp32s3-elf-gcc 13.2.0; exit;; esac\n{damaged}'
    command(tmp_path / "bin", "xtensa-esp32s3-elf-gcc", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "cannot execute cc1" in emu("run", "har", "-t", "esp32s3-qemu", "--limit", "1").stderr
    found = findings_about("esp32s3-qemu")
    assert found["xtensa"].ok  # it is there, and says its version
    assert not found["target esp32s3-qemu"].ok
    assert "cannot execute cc1" in found["target esp32s3-qemu"].detail


@pytest.mark.parametrize(
    ("target", "program", "version"),
    [
        ("stm32h7-qemu", "qemu-system-arm", "QEMU emulator version 8.2.2 (Ubuntu)"),
        ("esp32s3-qemu", "qemu-system-xtensa", "QEMU emulator version 8.2.2 (Ubuntu)"),
        ("stm32h7-renode", "renode", "Renode, version 1.16.1.0"),
    ],
)
def test_an_emulator_that_does_not_start_is_not_ready(
    emu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, program: str, version: str
) -> None:
    path = command(tmp_path / "bin", program, f'echo "{version}"; case "$*" in *--version*) exit 0;; esac; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("EMU_RENODE", str(path))
    ran = emu("run", "har", "-t", target, "--limit", "1")
    assert ran.code == 3, ran
    found = findings_about(target)
    assert found[program].ok
    told = found[f"target {target}"]
    assert not told.ok
    assert not told.required
    begins = ran.stderr.removeprefix("error: ").split(": ")[0]
    assert told.detail.startswith(f"a run does not start: {begins}")


def test_what_is_required_and_does_not_start_a_run_ends_with_exit_code_3(
    emu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(tmp_path / "bin", "cc", f'exec {shutil.which("cc")} "$@"')
    command(tmp_path / "bin", "arm-none-eabi-gcc", answers_its_version("arm-none-eabi-gcc", "exit 1"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    outcome = emu("doctor")
    assert outcome.code == 3, outcome
    assert "✗ target stm32h7-unicorn: a run does not start: arm-none-eabi-gcc failed: exit status 1" in outcome.stdout


def test_every_target_whose_tools_are_here_is_ready() -> None:
    found = {finding.name: finding for finding in examine(load_targets().values())}
    for target in load_targets().values():
        needs = {"host", target.board.build.toolchain, target.emulator.programs[target.board.architecture]} - {""}
        ready = found[f"target {target.name}"]
        assert ready.ok == all(found[need].ok for need in needs), ready
