"""A command imports the libraries that it uses, and no other: their imports take longer than most commands run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_faulty_firmware import build

LIBRARIES = frozenset(
    {"capstone", "demangle", "elftools", "jinja2", "numpy", "pydantic", "rich", "safetensors", "torch", "unicorn"}
)
"""What takes long to import."""

ENDS = """
__attribute__((noinline)) void _exit(int status) {{ for (;;) __asm__ volatile("" ::"r"(status)); }}
int main(void) {{ static const volatile char text[] = "{text}"; _exit(text[0] - '{text:.1}'); }}
"""

WITH_MODULES = """
import sys
from emu.__main__ import main
try:
    main()
finally:
    with open(sys.argv.pop(), "w") as file:
        file.write(" ".join({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(directory: Path, *arguments: str | Path) -> set[str]:
    """Run the command line in a fresh process, and return the libraries of ``LIBRARIES`` that it has imported."""
    modules = directory / "modules"
    script = WITH_MODULES.replace("sys.argv.pop()", repr(str(modules)))
    command = [sys.executable, "-c", script, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, cwd=directory, env={**os.environ, "COLUMNS": "120"})
    return set(modules.read_text().split()) & LIBRARIES


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("firmware"), "tiny", ENDS.format(text="tiny"))


@pytest.fixture(scope="module")
def record(firmware: Path) -> Path:
    """The record of a run, which leaves what emu found out about the ELF in the cache."""
    path = firmware.with_suffix(".json")
    assert "unicorn" in imported_by(firmware.parent, "run", firmware, "-t", "stm32h7-unicorn", "--json", path)
    return path


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_help_needs_no_library(tmp_path: Path, option: str):
    assert imported_by(tmp_path, option) == set()


@pytest.mark.parametrize("command", ["build", "diff", "doctor", "export", "report", "robot", "run", "targets"])
def test_the_help_of_a_command_needs_only_what_typer_needs(tmp_path: Path, command: str):
    assert imported_by(tmp_path, command, "--help") <= {"pydantic"}


def test_a_run_of_an_elf_that_ran_before(tmp_path: Path, firmware: Path, record: Path):
    assert record.exists()
    needed = {"pydantic", "rich", "unicorn"}
    assert imported_by(tmp_path, "run", firmware, "-t", "stm32h7-unicorn") == needed


def test_an_elf_that_never_ran_is_read_with_the_libraries_for_that(tmp_path: Path):
    elf = build(tmp_path, "new", ENDS.format(text=os.urandom(8).hex()))
    assert imported_by(tmp_path, "run", elf, "-t", "stm32h7-unicorn") >= {"capstone", "elftools"}


@pytest.mark.parametrize(
    ("report", "needed"),
    [("markdown", {"pydantic"}), ("junit", {"pydantic"}), ("html", {"pydantic", "jinja2"})],
)
def test_a_report(tmp_path: Path, record: Path, report: str, needed: set[str]):
    assert imported_by(tmp_path, "report", record, f"--{report}", tmp_path / "out") == needed


def test_a_comparison(tmp_path: Path, record: Path):
    assert imported_by(tmp_path, "diff", record, record) == {"pydantic"}
