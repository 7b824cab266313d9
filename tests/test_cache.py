"""The cache: whole entries or none, each proved at every use, and nothing left of processes that were killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.build import build_firmware
from emu.cache import cache_root, cached, kept
from emu.errors import MissingToolError, OutputError
from emu.model.sources import find_model
from emu.run import RunOptions, emulator_version, run_firmware
from emu.targets import find_target

CONTENT = {"library.so": bytes(range(256)) * 40, "nested/notes": b"a few words"}
SEED, CORRUPTIONS = 13, 100


def make(directory: Path) -> None:
    for name, data in CONTENT.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(data)


def is_whole(entry: Path) -> bool:
    return {name: (entry / name).read_bytes() for name in CONTENT} == CONTENT


def left_over(root: Path) -> list[str]:
    return [path.name for directory in ("drafts", "locks") for path in (root / directory).iterdir()]


# ---- damage ----------------------------------------------------------------------------------------------------------


def truncate(file: Path, chance: random.Random) -> None:
    with file.open("r+b") as opened:
        opened.truncate(chance.randrange(file.stat().st_size))


def flip(file: Path, chance: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def empty(file: Path, _chance: random.Random) -> None:
    file.write_bytes(b"")


def delete(file: Path, _chance: random.Random) -> None:
    file.unlink()


def replace_with_directory(file: Path, _chance: random.Random) -> None:
    file.unlink()
    file.mkdir()


def replace_entry_with_file(file: Path, _chance: random.Random) -> None:
    entry = next(parent for parent in file.parents if (parent / "manifest").exists())
    shutil.rmtree(entry)
    entry.write_bytes(b"a file")


DAMAGE = (truncate, flip, empty, delete, replace_with_directory, replace_entry_with_file)


def test_what_is_damaged_is_made_anew(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for number in range(CORRUPTIONS):
        entry = cached("things", "key", make, tmp_path)
        files = sorted(path for path in entry.rglob("*") if path.is_file())
        DAMAGE[number % len(DAMAGE)](chance.choice(files), chance)
        assert is_whole(cached("things", "key", make, tmp_path)), f"seed {SEED}, corruption {number}"
    assert left_over(tmp_path) == []


def test_a_whole_entry_is_not_made_again(tmp_path: Path) -> None:
    entry = cached("things", "key", make, tmp_path)

    def never(_directory: Path) -> None:
        pytest.fail("it was there")

    assert cached("things", "key", never, tmp_path) == entry


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_run_after_damage_to_every_entry_is_right(
    damage: Callable[[Path, random.Random], None], emu_with_cache: Callable[[], None], tmp_path: Path
) -> None:
    emu_with_cache()
    files = sorted(path for path in (tmp_path / "emu").glob("*/*/*") if path.name != "manifest")
    assert {path.suffix for path in files} == {".mamba", ".elf", ".so", ""}  # without: what is known of an ELF
    whole = {path: path.read_bytes() for path in files}
    for file in files:
        damage(file, random.Random(SEED))
    emu_with_cache()
    assert {path: path.read_bytes() for path in files} == whole


@pytest.mark.parametrize("name", ["a,b c", "new\nline", "e=q$x\"y'%s\\z"])
def test_the_caches_path_may_have_any_character(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, image = find_target("stm32h7-unicorn").board, find_model("har").image
    expected = build_firmware(image, board).read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
    elf = build_firmware(image, board)
    assert elf.is_relative_to(tmp_path / name)
    assert elf.read_bytes() == expected
    target = find_target("stm32h7-qemu")
    try:
        emulator_version(target)
    except MissingToolError as missing:
        pytest.skip(str(missing))
    assert not run_firmware(elf, "har", target, None, RunOptions(), lambda _done, _total: None).faults


@pytest.fixture
def emu_with_cache(tmp_path: Path) -> Callable[[], None]:
    """Run a demo in a process of its own, with its own cache: a damaged library crashes the process that loaded it."""

    def run() -> None:
        command = [sys.executable, "-m", "emu", "run", "har", "--target", "stm32h7-unicorn", "--limit", "1"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
        outcome = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert outcome.returncode == 0, outcome

    return run


# ---- processes that end early ----------------------------------------------------------------------------------------

MAKER = """
import sys, time
from pathlib import Path
from emu.cache import cache_root, cached, kept

def make(directory):
    for number in range(50):
        (directory / str(number)).write_bytes(b"half")
        time.sleep(0.001)
    with open(sys.argv[3], "a") as made:
        made.write("made ")

print("begins", flush=True)
cached("things", sys.argv[2], make, Path(sys.argv[1]))
"""


def start_maker(root: Path, key: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, str(root), key, str(root / "made")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    return process


def test_processes_that_were_killed_leave_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for number in range(8):
        with start_maker(tmp_path, f"key{number % 3}") as maker:
            time.sleep(chance.uniform(0, 0.06))
            maker.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
    assert is_whole(cached("things", "another", make, tmp_path))
    assert left_over(tmp_path) == []
    for key in ("key0", "key1", "key2"):
        with start_maker(tmp_path, key) as maker:
            pass
        assert maker.returncode == 0
        assert len(list((tmp_path / "things" / key).iterdir())) == 51


def test_one_of_several_processes_makes_an_entry(tmp_path: Path) -> None:
    makers = [start_maker(tmp_path, "key") for _ in range(4)]
    for maker in makers:
        maker.communicate()
    assert [maker.returncode for maker in makers] == [0] * 4
    assert (tmp_path / "made").read_text() == "made "
    assert left_over(tmp_path) == []


# ---- a cache that cannot be written ----------------------------------------------------------------------------------


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        cached("things", "key", make, tmp_path / "file")


def test_a_full_disk(tmp_path: Path) -> None:
    def fill(_directory: Path) -> None:
        Path("/dev/full").write_bytes(b"more than there is room for")

    with pytest.raises(OutputError, match="No space left on device"):
        cached("things", "key", fill, tmp_path)
    assert not (tmp_path / "things" / "key").exists()
    assert left_over(tmp_path) == []


# ---- what emu found out about an ELF ---------------------------------------------------------------------------------


def test_what_was_found_out_is_made_once_and_again_if_it_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[int] = []

    def find_out() -> bytes:
        made.append(len(made))
        return b"facts"

    assert [kept("facts", "key", find_out) for _ in range(3)] == [b"facts"] * 3
    assert len(made) == 1
    (entry,) = (tmp_path / "emu" / "facts").iterdir()
    (entry / "content").write_bytes(b"other")
    assert kept("facts", "key", find_out) == b"facts"
    assert len(made) == 2


def test_what_cannot_be_kept_is_found_out_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "emu").write_text("no directory can be made here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept("facts", "key", lambda: b"facts") == b"facts"


def test_the_record_is_the_same_whether_the_debug_information_was_kept_or_read(tmp_path: Path, monkeypatch):
    target = find_target("stm32h7-unicorn")
    elf = build_firmware(find_model("kws").image, target.board)

    def run() -> dict[str, object]:
        return run_firmware(
            elf, "kws", target, None, RunOptions(profile=True, coverage=True), lambda *_: None
        ).model_dump()

    native = cache_root() / "native"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(native, tmp_path / "cache" / "emu" / "native")
    first = run()
    kinds = {path.name for path in (tmp_path / "cache" / "emu").iterdir()}
    assert {"debug", "stack-effects"} <= kinds
    monkeypatch.setattr("emu.dwarf.read_debug_info", None)
    assert run() == first
