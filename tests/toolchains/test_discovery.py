"""Which Xtensa compiler is found if there are several, none, or a damaged one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scripts import write_script

from emu.cache import seal
from emu.errors import MissingToolError
from emu.toolchains import find_toolchain
from emu.toolchains.recipe import find_recipe

COMMAND = "xtensa-esp32s3-elf-gcc"


def fake_compiler(path: Path) -> Path:
    """A compiler that prints its own path."""
    return write_script(path, f'echo "{path}"\necho "more about it"')


def espressif(root: Path, release: str, package: str = "xtensa-esp-elf") -> Path:
    return fake_compiler(root / "tools" / package / release / package / "bin" / COMMAND)


def own_build() -> Path:
    recipe = find_recipe("xtensa")
    assert recipe is not None
    compiler = fake_compiler(recipe.home / recipe.compiler)
    (recipe.home / "lib").mkdir()
    (recipe.home / "lib" / "libgcc.a").write_bytes(b"!<arch>\n" * 100)
    seal(recipe.home)
    return compiler


@pytest.fixture
def path_directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the PATH, empty."""
    directory = home / "path"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def test_own_build_then_the_path_then_the_tools_directory_then_the_home(
    home: Path, path_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDF_TOOLS_PATH", str(tmp_path / "idf"))
    in_order = [
        own_build(),
        fake_compiler(path_directory / COMMAND),
        espressif(tmp_path / "idf", "esp-12.2.0_20230208"),
        espressif(home / ".espressif", "esp-14.2.0_20241119"),
    ]
    for compiler in in_order:
        found = find_toolchain("xtensa")
        assert (found.name, found.compiler, found.version) == ("xtensa", compiler, str(compiler))
        compiler.unlink()
    with pytest.raises(MissingToolError, match="emu toolchain install xtensa"):
        find_toolchain("xtensa")


@pytest.mark.usefixtures("path_directory")
def test_the_newest_release_is_that_of_the_newest_gcc(home: Path) -> None:
    root = home / ".espressif"
    oldest_first = [
        espressif(root, "esp-2021r2-patch5-8.4.0", "xtensa-esp32s3-elf"),
        espressif(root, "esp-2022r1-11.2.0", "xtensa-esp32s3-elf"),
        espressif(root, "esp-12.2.0_20230208", "xtensa-esp32s3-elf"),
        espressif(root, "esp-13.2.0_20230928"),
        espressif(root, "esp-13.2.0_20240530"),
        espressif(root, "esp-14.2.0_20241119"),
        espressif(root, "esp-14.10.0_20240101"),
    ]
    for compiler in reversed(oldest_first):
        assert find_toolchain("xtensa").compiler == compiler
        compiler.unlink()


def test_a_compiler_that_does_not_run_here_is_passed_over(home: Path, path_directory: Path) -> None:
    write_script(path_directory / COMMAND, "exit 1")
    other_machine = espressif(home / ".espressif", "esp-14.2.0_20241119")
    other_machine.write_bytes(b"\x7fELF, but of another machine")
    runs = espressif(home / ".espressif", "esp-13.2.0_20240530")
    assert find_toolchain("xtensa").compiler == runs


def test_a_compiler_that_hangs_is_named(path_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = write_script(path_directory / "arm-none-eabi-gcc", "/bin/sleep 5")
    monkeypatch.setattr("emu.processes._VERSION_SECONDS", 0.2, raising=False)
    with pytest.raises(MissingToolError, match=f"{compiler} --version does not end in 0.2 seconds"):
        find_toolchain("arm-none-eabi")


def truncate(directory: Path) -> None:
    (directory / "lib" / "libgcc.a").write_bytes(b"!<arch>\n" * 99)


def change_a_byte(directory: Path) -> None:
    library = directory / "lib" / "libgcc.a"
    library.write_bytes(library.read_bytes().replace(b"!", b"?", 1))


def lose_a_file(directory: Path) -> None:
    (directory / "lib" / "libgcc.a").unlink()


def lose_the_manifest(directory: Path) -> None:
    (directory / "manifest").unlink()


@pytest.mark.usefixtures("path_directory")
@pytest.mark.parametrize("damage", [truncate, change_a_byte, lose_a_file, lose_the_manifest])
def test_a_damaged_build_is_none(damage: Callable[[Path], None]) -> None:
    own = own_build()
    assert find_toolchain("xtensa").compiler == own
    damage(own.parents[1])
    with pytest.raises(MissingToolError, match="emu toolchain install xtensa"):
        find_toolchain("xtensa")


def test_another_name_is_looked_for_on_the_path(path_directory: Path) -> None:
    compiler = fake_compiler(path_directory / "riscv32-unknown-elf-gcc")
    assert find_toolchain("riscv32-unknown-elf").compiler == compiler
    with pytest.raises(MissingToolError, match="apt-get install gcc-arm-none-eabi"):
        find_toolchain("arm-none-eabi")
