"""Valgrind's second opinion: it also sees uninitialised values, which the sanitizers do not see."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from host_engine import RUNTIME, SOURCES, compile_program

FOUND = 99

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


def memcheck(program: Path, images: dict[str, bytes], directory: Path) -> subprocess.CompletedProcess[str]:
    parts = (struct.pack("<II", len(image), 0) + image for image in images.values())
    (directory / "images").write_bytes(b"".join(parts))
    command = ["valgrind", "--leak-check=full", f"--error-exitcode={FOUND}", program, directory / "images"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@needs_valgrind
def test_memcheck_finds_nothing(images: dict[str, bytes], tmp_path: Path) -> None:
    program = compile_program(tmp_path / "open_images", ["open_images.c", "exercise.c"], "-O1", "-g")
    outcome = memcheck(program, images, tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert [line.split()[:2] for line in outcome.stdout.splitlines()] == [["0", "1"]] * len(images)


@needs_valgrind
def test_memcheck_would_find_an_arena_that_is_not_cleared(images: dict[str, bytes], tmp_path: Path) -> None:
    source = (RUNTIME / "src" / "step.c").read_text()
    clearing = "floats[i] = 0.0f;"
    assert source.count(clearing) == 1
    (tmp_path / "step.c").write_text(source.replace(clearing, "(void)floats;"))
    engine = [tmp_path / "step.c" if path.name == "step.c" else path for path in SOURCES]
    program = compile_program(tmp_path / "open_images", ["open_images.c", "exercise.c"], "-O1", "-g", engine=engine)
    outcome = memcheck(program, images, tmp_path)
    assert outcome.returncode == FOUND
    assert "uninitialised" in outcome.stderr
