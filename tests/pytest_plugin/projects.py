"""Runs pytest as a user of the plugin does: on a project outside this repository, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import emu
from emu.targets import find_target

BOARD = find_target("stm32h7-unicorn").board
PLUGIN = "emu.pytest_plugin"

Compile = Callable[..., Path]

PROGRAM = r"""
#include <stddef.h>
static char pool[4096];
static size_t used;
__attribute__((noipa)) void *malloc(size_t size) {
    void *block = pool + used;
    used += (size + 7) & ~(size_t)7;
    return block;
}
__attribute__((noipa)) void free(void *block) { (void)block; }
__attribute__((noipa)) void keep(volatile char *bytes) { bytes[0] = 1; }

static const char weights[WEIGHTS] = {1};
static volatile char samples[SAMPLES];
__attribute__((noipa)) void filter(void) { volatile char window[WINDOW]; keep(window); }
__attribute__((noipa)) void spin(void) { for (volatile int i = 0; i < TURNS; i++); }
__attribute__((noipa)) void *allocate_history(void) { return malloc(HISTORY); }

int main(void) {
    samples[0] = *(const volatile char *)weights;
    filter();
    spin();
    keep(allocate_history());
    MAIN
    __asm__ volatile("movs r0, #0x18; ldr r1, =0x20026; bkpt #0xab" ::: "r0", "r1");
    return 0;
}
"""
SIZES = {"WEIGHTS": 1000, "SAMPLES": 500, "WINDOW": 256, "TURNS": 100, "HISTORY": 320, "MAIN": ""}


@dataclass(frozen=True)
class Result:
    """The result of one test."""

    outcome: str
    """``passed``, ``failed``, ``error`` or ``skipped``."""
    text: str
    """The reason, and the captured output."""
    properties: dict[str, str]
    """The properties in JUnit's file."""

    def assert_failed(self, *fragments: str) -> None:
        assert self.outcome == "failed", self
        for fragment in fragments:
            assert fragment in self.text, self.text
        assert "Traceback" not in self.text
        assert PLUGIN.replace(".", "/") not in self.text, "the plugin's own code is nobody's business"


@dataclass(frozen=True)
class Session:
    """The result of one pytest run."""

    code: int
    text: str
    tests: dict[str, Result]
    """By the test's name, without its target."""

    @property
    def outcomes(self) -> dict[str, str]:
        return {name: result.outcome for name, result in self.tests.items()}


@dataclass(frozen=True)
class Project:
    """A directory with tests."""

    directory: Path

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path

    def pytest(self, *arguments: str | Path, **environment: str) -> Session:
        report = self.directory / "junit.xml"
        report.unlink(missing_ok=True)
        installed = any(entry.value == PLUGIN for entry in entry_points(group="pytest11"))
        command = [sys.executable, "-m", "pytest", *([] if installed else ["-p", PLUGIN]), "-p", "no:cacheprovider"]
        process = subprocess.run(
            [*command, f"--junitxml={report}", "-o", "junit_logging=all", *map(str, arguments)],
            cwd=self.directory,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
                "PYTHONPATH": str(Path(emu.__file__).parents[1]),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
        tests = {case.attrib["name"].replace("[stm32h7-unicorn]", ""): _result(case) for case in cases}
        return Session(process.returncode, process.stdout + process.stderr, tests)


def _result(case: ElementTree.Element) -> Result:
    outcomes = {"failure": "failed", "error": "error", "skipped": "skipped"}
    outcome = next((name for tag, name in outcomes.items() if case.find(tag) is not None), "passed")
    properties = {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}
    return Result(outcome, "".join(case.itertext()), properties)
