"""The GCC that the recipe builds, if it has been built: its code, on its own core, against NumPy."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from emu.toolchains.recipe import find_recipe

RECIPE = find_recipe("xtensa")
HERE = Path(__file__).parent
QEMU = ["qemu-system-xtensa", "-M", "sim", "-cpu", "de233_fpu", "-semihosting", "-display", "none", "-monitor", "none"]
FLAGS = [
    "-O2",
    "-g",
    "-ffreestanding",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-mlongcalls",
    "-mtext-section-literals",
    "-fstack-usage",
]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toolchain, moved away from the directory that it was built in."""
    assert RECIPE is not None
    if RECIPE.built() is None:
        pytest.skip("the Xtensa toolchain is not built: emu toolchain install xtensa")
    return Path(shutil.copytree(RECIPE.home, tmp_path_factory.mktemp("elsewhere") / "moved", symlinks=True))


def expected_values() -> str:
    """Inputs over the whole range of exponents, and their results in correctly rounded arithmetic."""
    random = np.random.default_rng(7)
    a, b = (random.standard_normal((2, 200)) * 10.0 ** random.integers(-18, 18, (2, 200))).astype(np.float32)
    whole = random.integers(-9, 10, 200).astype(np.float32)  # so that no order of additions rounds
    whole_dot = int(np.float32(whole[:-1] @ whole[1:]).view(np.uint32))
    arrays = {"a": a, "b": b, "whole": whole}
    lines = [f"static const float {name}[] = {{{','.join(float(x).hex() for x in v)}}};" for name, v in arrays.items()]
    lines.append(f"static const uint32_t quotients[] = {{{','.join(str(x) for x in (a / b).view(np.uint32))}}};")
    lines.append(f"static const uint32_t whole_dot = {whole_dot}u;")
    lines.append(f"static const uint64_t square_tenth = {whole_dot**2 // 10}u;")
    return "\n".join(["enum { LENGTH = 200 };", *lines, ""])


@pytest.fixture(scope="module")
def program(moved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ELF that compares what the core computes with NumPy's values."""
    assert RECIPE is not None
    directory = tmp_path_factory.mktemp("program")
    (directory / "expected.h").write_text(expected_values())
    start = RECIPE.directory / "check" / "start.S"
    sources = [shutil.copy(HERE / "dot.c", directory), shutil.copy(start, directory)]
    link = ["-I.", "-nostdlib", "-Wl,-Ttext=0x10000", *map(str, sources), "-lgcc", "-o", "program.elf"]
    subprocess.run([moved / "bin" / "xtensa-elf-gcc", *FLAGS, *link], cwd=directory, check=True)
    return directory / "program.elf"


def test_the_core_computes_what_numpy_does(program: Path) -> None:
    if shutil.which(QEMU[0]) is None:
        pytest.skip(f"{QEMU[0]} is not installed: apt-get install qemu-system-misc")
    command = [*QEMU, "-serial", "none", "-device", f"loader,file={program},cpu-num=0"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 42


def test_the_code_uses_the_core_and_only_that(moved: Path, program: Path) -> None:
    listing = subprocess.run(
        [moved / "bin" / "xtensa-elf-objdump", "-d", program], check=True, capture_output=True, text=True
    ).stdout
    used = set(re.findall(r"^ *[0-9a-f]+:\t[0-9a-f]+ *\t([a-z0-9_.]+)", listing, re.MULTILINE))
    assert {"entry", "retw.n", "madd.s", "div0.s"} <= used
    assert used & {"loop", "loopnez", "loopgtz"}
    assert not used & {"muluh", "mulsh", "recip0.s", "rsqrt0.s", "mul.d", "add.d"}


def test_debug_information_and_stack_usage(program: Path) -> None:
    with program.open("rb") as file:
        information = ELFFile(file).get_dwarf_info()
        names = {unit.get_top_DIE().get_full_path() for unit in information.iter_CUs()}
        assert any(name.endswith("dot.c") for name in names)
        assert information.has_CFI()
    (usage,) = program.parent.glob("*dot.su")
    assert re.search(r"\bcheck\t\d+\tstatic", usage.read_text())


def test_no_file_names_the_directory_that_it_was_built_in(moved: Path) -> None:
    assert RECIPE is not None
    place = str(RECIPE.home).encode()
    assert [path for path in moved.rglob("*") if path.is_file() and place in path.read_bytes()] == []
