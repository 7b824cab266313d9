"""Builds are the same bytes everywhere, and a build that fails says why."""

import shutil
from pathlib import Path

import pytest

import emu.build
from emu.build import build_firmware
from emu.cache import cache_root
from emu.errors import InputError, MissingToolError
from emu.model.sources import find_model
from emu.resources import resource
from emu.targets import Board, find_target
from emu.toolchains import find_toolchain

BOARD = find_target("stm32h7-unicorn").board


@pytest.fixture(params=["stm32h7-unicorn", "esp32s3-qemu"])
def board(request: pytest.FixtureRequest) -> Board:
    board = find_target(request.param).board
    try:
        find_toolchain(board.build.toolchain)
    except MissingToolError as missing:
        pytest.skip(str(missing))
    return board


def linker_script(board: Board) -> Path:
    assert board.build.linker_script is not None
    return board.build.linker_script


def use_cache(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a cache that holds only the compilers that were built."""
    toolchains = cache_root() / "toolchains"
    (directory / "emu").mkdir(parents=True)
    (directory / "emu" / "toolchains").symlink_to(toolchains.resolve())
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_cache(tmp_path / "cache", monkeypatch)


def test_the_same_inputs_give_the_same_bytes_wherever_the_engine_lies(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image = find_model("har").image
    here = build_firmware(image, board)
    shutil.copytree(resource("runtime"), tmp_path / "elsewhere" / "runtime")
    script = shutil.copy(linker_script(board), tmp_path)
    elsewhere = board.model_copy(update={"build": board.build.model_copy(update={"linker_script": Path(script)})})
    use_cache(tmp_path / "another cache", monkeypatch)
    monkeypatch.setattr(emu.build, "resource", lambda name: tmp_path / "elsewhere" / name)
    there = build_firmware(image, elsewhere)
    assert here != there
    assert here.read_bytes() == there.read_bytes()


def test_a_second_build_compiles_nothing():
    image = find_model("har").image
    first = build_firmware(image, BOARD)
    written = first.stat().st_mtime_ns
    assert build_firmware(image, BOARD) == first
    assert first.stat().st_mtime_ns == written


def test_a_changed_source_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    image = find_model("har").image
    first = build_firmware(image, BOARD)
    shutil.copytree(resource("runtime"), tmp_path / "changed" / "runtime")
    header = tmp_path / "changed" / "runtime" / "src" / "image.h"
    header.write_text(header.read_text().replace("MAMBA_LARGEST        0xffffu", "MAMBA_LARGEST        0x7fffu"))
    monkeypatch.setattr(emu.build, "resource", lambda name: tmp_path / "changed" / name)
    assert build_firmware(image, BOARD) != first


def test_a_model_that_does_not_fit_says_by_how_much(tmp_path: Path):
    script = tmp_path / "tiny.ld"
    script.write_text(linker_script(BOARD).read_text().replace("LENGTH = 2M", "LENGTH = 32K"))
    tiny = BOARD.model_copy(update={"build": BOARD.build.model_copy(update={"linker_script": script})})
    with pytest.raises(InputError, match=r"FLASH in .*tiny\.ld is [\d,]+ bytes too small"):
        build_firmware(find_model("har").image, tiny)
    assert not list((tmp_path / "cache" / "emu" / "firmware").iterdir())  # nothing half-built stays
