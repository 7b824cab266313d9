"""Commands ended at random moments, by signals and by a full disk: nothing stays, and the next run is right.

``EMU_KILLS=200`` ends as many commands, and ``EMU_KILLS_SEED=7`` at other moments than usual. A case depends on the
seed, on its number, and on how fast this machine is.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from commands import COMMANDS, PACKAGE, Place, command

from emu.targets import find_target

CASES = int(os.environ.get("EMU_KILLS", "20"))
SEED = os.environ.get("EMU_KILLS_SEED", "1")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
FULL_DISK = "a full disk"
PYTHON_STARTS = ("Failed to import the site module", "Could not import runpy module")
"""What Python says if an interrupt ends it before it runs emu."""
COLD = 0.4
"""The share of the commands that find an empty cache, so that compilers run."""
CUT_SHORT = b"second run: interrupted"
"""In the record and each report of a run that was interrupted after its first half."""
END_SECONDS, CHILDREN_SECONDS = 60, 5
FIRMWARE = PACKAGE / "tests" / "firmware"

PAIRS = [*product(COMMANDS, (*SIGNALS, FULL_DISK))]
random.Random(f"{SEED} order").shuffle(PAIRS)


@dataclass(frozen=True)
class Undisturbed:
    """The result of a command that nobody ends."""

    outputs: dict[str, bytes]
    seconds: dict[bool, float]
    """The results, by whether the cache is empty."""
    disk_bytes: dict[bool, int]


@dataclass(frozen=True)
class Bench:
    """State that the cases of this process share."""

    renode: Path
    given: Path
    cache: Path
    undisturbed: dict[str, Undisturbed]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    shared = tmp_path_factory.mktemp("bench")
    renode = shared / "renode"
    stand_in = PACKAGE / "tests" / "machines" / "fake_renode.py"
    renode.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGE}" "{sys.executable}" "{stand_in}" "$@"\nexit $?\n')
    renode.chmod(0o755)
    first = Place(shared / "first", renode)
    _compile(first.root / "given" / "program.elf")
    undisturbed = {name: _undisturbed(name, first) for name in COMMANDS}
    return Bench(renode, first.root / "given", first.root / "cache", undisturbed)


def _compile(elf: Path) -> None:
    flags = [*find_target("stm32h7-renode").board.build.flags, "-g", "-O1", "-nostartfiles", "-Wl,--wrap=main"]
    sources = [str(FIRMWARE / name) for name in ("startup.c", "stacks.c", "fpu.c")]
    linking = ["-Wl,--no-warn-rwx-segments", f"-T{FIRMWARE / 'test.ld'}", "-o", str(elf)]
    subprocess.run(["arm-none-eabi-gcc", *flags, *sources, *linking], check=True)


def _undisturbed(name: str, place: Place) -> Undisturbed:
    """Run a command with an empty cache and with a full one."""
    kept = shutil.copytree(place.root / "cache", place.root / "kept", dirs_exist_ok=True)
    shutil.rmtree(place.root / "cache")
    seconds = {}
    for is_cold in (True, False):
        began = time.monotonic()
        ended = _run(name, place)
        seconds[is_cold] = time.monotonic() - began
        assert ended.returncode == 0, ended
    outputs = place.outputs()
    written, cached = (_size(place.root / folder) for folder in ("out", "cache"))
    assert (place.left_over(), place.processes()) == ([], [])
    if name == "run in Unicorn":
        record = (place.root / "out" / "r.json").read_bytes()
        (place.root / "given" / "r.json").write_bytes(record.replace(str(place.root).encode(), b"PLACE"))
    shutil.rmtree(place.root / "out")
    (place.root / "out").mkdir()
    shutil.copytree(kept, place.root / "cache", dirs_exist_ok=True)
    return Undisturbed(outputs, seconds, {True: written + cached, False: written})


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _run(name: str, place: Place) -> "subprocess.CompletedProcess[str]":
    options = {"cwd": place.root / "out", "env": place.environment, "capture_output": True, "text": True}
    return subprocess.run(command(name), check=False, timeout=300, **options)


# ---- how a command is ended ------------------------------------------------------------------------------------------


def _signalled(name: str, place: Place, number: signal.Signals, seconds: float) -> tuple[int, str]:
    """Return the exit code and the output of a command that gets a signal after some seconds."""
    options = {"cwd": place.root / "out", "env": place.environment, "text": True}
    with subprocess.Popen(command(name), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options) as process:
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, said = process.communicate(timeout=END_SECONDS)
    return process.returncode, said


@contextmanager
def _small_disk(root: Path, size: int) -> Iterator[bool]:
    """Let ``root`` be a disk of ``size`` bytes inside the block; yield False if this user may mount nothing."""
    root.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 1)}", "emu-kills", str(root)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def _on_a_full_disk(name: str, place: Place, is_mounted: bool, size: int) -> tuple[int, str]:
    """Return the exit code and the output of a command that has too little room on its disk."""
    options = {"cwd": place.root / "out", "env": place.environment, "capture_output": True, "text": True}
    if is_mounted:
        ended = subprocess.run(command(name), check=False, timeout=300, **options)
        subprocess.run(["mount", "-o", "remount,size=1g", str(place.root)], check=True)
    else:
        limit = size // 10  # of each file

        def no_large_file() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        ended = subprocess.run(command(name), check=False, timeout=300, preexec_fn=no_large_file, **options)
    return ended.returncode, ended.stderr


# ---- cases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(CASES))
def test_nothing_stays_of_a_command_that_is_ended_and_the_next_is_right(
    number: int, bench: Bench, tmp_path: Path
) -> None:
    name, how = PAIRS[number % len(PAIRS)]
    chance = random.Random(f"{SEED} {number}")
    is_cold, moment = chance.random() < COLD, chance.random()
    expected = bench.undisturbed[name]
    size = int(expected.disk_bytes[is_cold] * moment)
    root = tmp_path / "place"
    with _small_disk(root, 1 << 30) if how == FULL_DISK else _directory(root) as is_mounted:
        place = Place(root, bench.renode)
        shutil.copytree(bench.given, root / "given", dirs_exist_ok=True)
        if not is_cold:
            shutil.copytree(bench.cache, root / "cache", dirs_exist_ok=True)
        if isinstance(how, signal.Signals):
            code, said = _signalled(name, place, how, expected.seconds[is_cold] * moment)
            good = {0, -how, 128 + how}
        else:
            if is_mounted:
                room = shutil.disk_usage(root).used + size
                subprocess.run(["mount", "-o", f"remount,size={room}", str(root)], check=True)
            code, said = _on_a_full_disk(name, place, is_mounted, size)
            good = {0, 74} | ({3} if name == "run in Renode" else set())  # it has no room to say why it ends
        too_early = how == signal.SIGINT and code == 1 and any(words in said for words in PYTHON_STARTS)
        case = f"{name}, {how!r}, {'empty' if is_cold else 'full'} cache, at {moment:.3f}: exit code {code}: {said}"
        print(case)
        assert code in good or too_early, case
        if how != signal.SIGKILL and code >= 0 and not too_early:
            assert "Traceback" not in said, case
            assert place.left_over() == [], case
        _assert_no_process(place, case)
        others = {file for file, data in place.outputs().items() if data != expected.outputs[file]}
        half = {file for file in others if CUT_SHORT not in place.outputs()[file]}
        assert not half, f"{case}: half written: {half}"
        again = _run(name, place)
        assert again.returncode == 0, f"{case}: {again}"
        assert place.outputs() == expected.outputs, case
        assert place.left_over() == [], case
        _assert_no_process(place, case)


@contextmanager
def _directory(root: Path) -> Iterator[bool]:
    root.mkdir()
    yield False


def _assert_no_process(place: Place, case: str) -> None:
    deadline = time.monotonic() + CHILDREN_SECONDS
    while place.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert place.processes() == [], case
