"""Damaged files and odd options at every face: each ends soon, with little memory, and with at most one line.

``EMU_FUZZ_CASES=20000`` runs as many cases, and ``EMU_FUZZ_SEED=7`` others than usual. A case depends on the seed, the
face and its number alone.
"""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from faces import GOOD, Face, Outcome, make_faces, random_arguments, run_emu, run_emu_in_a_process

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # in a process of its own it would be a second line

CASES = int(os.environ.get("EMU_FUZZ_CASES", "3000"))
SEED = os.environ.get("EMU_FUZZ_SEED", "1")
OPTIONS_SHARE, PROCESSES_EACH = 6, 2
MOST_SECONDS, MOST_KILOBYTES = 20, 2 << 20
MOST_SHOWN = 10
FACES = (
    "elf", "debug information", "symbols", "record", "baseline", "board", "board in a run", "robot", "suppressions",
    "inputs", "safetensors", "torch", "image",
)  # fmt: skip


class Hang(BaseException):
    """No reader may catch it."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Face]:
    pytest.importorskip("torch")
    made = make_faces(tmp_path_factory.mktemp("faces"))
    assert [face.name for face in made] == [*FACES]
    return {face.name: face for face in made}


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is written to a relative path shows here."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def share_of(share: int, faces: dict[str, Face]) -> int:
    return max(1, CASES * share // (OPTIONS_SHARE + sum(face.share for face in faces.values())))


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def complaints(read: Callable[[], Outcome], good: tuple[int, ...]) -> Iterator[str]:
    """Yield what is wrong with how a reader ends."""
    memory, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        with limited(MOST_SECONDS):
            outcome = read()
    except Hang:
        yield f"takes more than {MOST_SECONDS} s"
        return
    except Exception as error:
        yield f"raises {type(error).__name__}: {error}"
        return
    if time.monotonic() - began > MOST_SECONDS:
        yield f"takes more than {MOST_SECONDS} s"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory > MOST_KILOBYTES:
        yield "takes more than 2 GB"
    if outcome.code not in good:
        yield f"ends with exit code {outcome.code}: {outcome.stderr[-500:]}"
    lines = outcome.stderr.splitlines()
    if len(lines) > 1:
        yield f"prints {len(lines)} lines on stderr: {outcome.stderr[-500:]}"
    if (outcome.code > 1) != bool(lines or "Usage: " in outcome.stdout):
        yield f"ends with exit code {outcome.code} and {len(lines)} lines on stderr"
    for text in (outcome.stdout, outcome.stderr):
        raw = [character for character in text if not character.isprintable() and character != "\n"]
        if raw:
            yield f"prints {raw[:5]}"


def report_all(found: list[str]) -> None:
    assert not found, "\n".join([f"{len(found)} of the cases of seed {SEED}:", *found[:MOST_SHOWN]])


@pytest.mark.parametrize("name", FACES)
def test_a_damaged_file(name: str, faces: dict[str, Face], tmp_path: Path) -> None:
    face, found = faces[name], []
    count = share_of(face.share, faces)
    in_a_process = random.Random(f"{SEED} {name}").sample(range(count), min(count, PROCESSES_EACH))
    for number in range(count):
        data = face.case(random.Random(f"{SEED} {name} {number}"))
        directory = tmp_path / str(number)
        directory.mkdir()
        path = directory / f"case{face.suffix}"
        path.write_bytes(data)
        wrong = [*complaints(lambda path=path: face.read(path), GOOD)]
        if face.command is not None and number in in_a_process:
            arguments = face.command(path)
            wrong += complaints(lambda arguments=arguments: run_emu_in_a_process(arguments), GOOD)
        if path.read_bytes() != data:
            wrong.append("changes its input")
        if any(Path.cwd().iterdir()):
            wrong.append(f"writes {[*Path.cwd().iterdir()]}")
        if wrong:
            found.append(f"{path}: {'; '.join(wrong)}")
        else:
            for each in directory.iterdir():
                each.unlink()
            directory.rmdir()
    report_all(found)


def test_odd_options(faces: dict[str, Face], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = []
    directory = tmp_path / "given"
    directory.mkdir()
    for name in ("record.json", "firmware.elf"):
        source = next(tmp_path_factory.getbasetemp().glob(f"faces*/{name}"))
        (directory / name).write_bytes(source.read_bytes())
    before = {path: path.read_bytes() for path in directory.iterdir()}
    for number in range(share_of(OPTIONS_SHARE, faces)):
        arguments = random_arguments(directory, random.Random(f"{SEED} options {number}"))
        wrong = [*complaints(lambda arguments=arguments: run_emu(arguments), (*GOOD, 74))]
        if {path: path.read_bytes() for path in directory.iterdir()} != before:
            wrong.append("changes its inputs")
        if any(Path.cwd().iterdir()):
            wrong.append(f"writes {[*Path.cwd().iterdir()]}")
        if wrong:
            found.append(f"case {number}: {arguments}: {'; '.join(wrong)}"[:2000])
    report_all(found)
