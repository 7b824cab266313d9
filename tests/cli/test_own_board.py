"""A board that emu does not have, from two files outside this repository: docs/examples/stm32f746."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from emu.machines.renode.cortex_m import CORTEX_M
from emu.machines.renode.platform import write_platform
from emu.resources import resource
from emu.targets import load_board

EXAMPLE = Path(__file__).parents[2] / "docs/examples/stm32f746"
EMULATORS = ("-t", "stm32f746-unicorn", "-t", "stm32f746-qemu")

PROGRAM = """
static volatile unsigned *const transmit = (volatile unsigned *)0x40011428;
static volatile unsigned *const status = (volatile unsigned *)0x4001141C;
static volatile unsigned *const clocks = (volatile unsigned *)0x40023800;
__attribute__((noipa)) void start_clocks(void) { *clocks = 1; }
int main(void)
{
    for (const char *text = "ready"; *text; text++) {
        while ((*status & 0x80) == 0) {}
        *transmit = (unsigned)*text;
    }
    start_clocks();
    return 0;
}
"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Return the example's board file, copied outside this repository."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "boards")) / "stm32f746.toml"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def records(path: Path) -> list[dict]:
    return json.loads(path.read_text())["runs"]


# ---- what runs on it -------------------------------------------------------------------------------------------------


def test_the_demos_run_on_it_as_on_the_stm32h7(emu, board: Path, tmp_path: Path):
    outcome = emu(
        "run", "kws", "har", "--board", board, *EMULATORS, "-t", "stm32h7-unicorn", "--limit", "4",
        "--json", tmp_path / "r.json", timeout=300,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    for model in ("kws", "har"):
        runs = [run for run in records(tmp_path / "r.json") if run["model"] == model]
        assert [run["target"] for run in runs] == ["stm32f746-unicorn", "stm32f746-qemu", "stm32h7-unicorn"]
        assert all(run["parity"]["argmax_agreement"] == 1.0 for run in runs)
        # The engine computes in single precision only, so the code is the STM32H7's, at other addresses.
        for figure in ("instructions", "memory", "parity"):
            first, *others = [
                {name: value for name, value in run[figure].items() if name != "layout" and "region" not in name}
                for run in runs
            ]
            assert others == [first, first], figure
        assert runs[0]["firmware"]["sha256"] == runs[1]["firmware"]["sha256"] != runs[2]["firmware"]["sha256"]
        (stack,) = [use for use in runs[0]["memory"]["by_region"] if use["stack_bytes"]]
        assert (stack["name"], stack["size_bytes"]) == ("dtcm", 64 * 1024)


def test_a_cortex_m4_is_no_cortex_m7(emu, board: Path, tmp_path: Path):
    change(board, 'cpu = "cortex-m7"', 'cpu = "cortex-m4"')
    change(board, '"-mcpu=cortex-m7"', '"-mcpu=cortex-m4"')
    change(board, '"-mfpu=fpv5-sp-d16", "-DMAMBA_FPV5"', '"-mfpu=fpv4-sp-d16"')
    outcome = emu("run", "har", "--board", board, *EMULATORS, "--limit", "2", "--json", tmp_path / "m4.json")
    assert outcome.code == 0, outcome
    unicorn, qemu = records(tmp_path / "m4.json")
    assert unicorn["instructions"] == qemu["instructions"]
    # One instruction of the Cortex-M7 is a function on the Cortex-M4.
    assert unicorn["instructions"]["by_function"]["fmaxf"] > 0

    assert emu("build", "har", "--board", EXAMPLE / board.name, "-t", EMULATORS[1], "-o", tmp_path / "m7.elf").code == 0
    inputs = resource("models/har/inputs.npz")
    outcome = emu("run", tmp_path / "m7.elf", "--board", board, *EMULATORS, "--inputs", inputs, "--limit", "1",
                  "--json", tmp_path / "m7.json")  # fmt: skip
    assert outcome.code == 1
    faults = [fault for run in records(tmp_path / "m7.json") for fault in run["faults"]]
    assert [fault["kind"] for fault in faults] == ["invalid_instruction"] * 2


def test_firmware_that_emu_did_not_build(emu, board: Path, tmp_path: Path):
    (tmp_path / "program.c").write_text(PROGRAM)
    startup = resource("runtime") / "port/armv7em/startup.c"
    build = load_board(board).build
    command = ["arm-none-eabi-gcc", *build.flags, "-g", "-O1", "-nostdlib", f"-T{build.linker_script}"]
    subprocess.run([*command, "program.c", startup, "-o", "program.elf"], cwd=tmp_path, check=True)
    outcome = emu("run", tmp_path / "program.elf", "--board", board, *EMULATORS, "--json", tmp_path / "r.json")
    assert outcome.code == 1
    for run in records(tmp_path / "r.json"):
        assert run["output"] == "ready"
        (fault,) = run["faults"]
        assert fault["function"] == "start_clocks"
        assert "RCC is not modelled; add `stub = true` to it in the board file of stm32f746" in fault["detail"]
    change(board, '"RCC", start = 0x40023800, size = "1 KB"', '"RCC", start = 0x40023800, size = "1 KB", stub = true')
    emu("run", tmp_path / "program.elf", "--board", board, *EMULATORS, "--max-instructions", "10000", "--json",
        tmp_path / "r.json")  # fmt: skip
    assert not any("RCC" in fault["detail"] for run in records(tmp_path / "r.json") for fault in run["faults"])


def test_the_compiler_has_no_doubles_for_its_fpu(board: Path, tmp_path: Path):
    flags = load_board(board).build.flags
    (tmp_path / "sum.c").write_text("double sum(double x, double y) { return x + y; }\n")
    subprocess.run(["arm-none-eabi-gcc", *flags, "-O2", "-c", "sum.c"], cwd=tmp_path, check=True)
    code = subprocess.run(
        ["arm-none-eabi-objdump", "-dr", "sum.o"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert ".f64" not in code.stdout
    assert "__aeabi_dadd" in code.stdout
    (tmp_path / "sum.S").write_text("vadd.f64 d0, d0, d1\n")
    assembled = subprocess.run(
        ["arm-none-eabi-gcc", *flags, "-c", "sum.S"], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert assembled.returncode != 0
    assert "does not support" in assembled.stderr


def test_renode_is_given_its_memory(board: Path, tmp_path: Path):
    loaded = load_board(board)
    path = write_platform(loaded, CORTEX_M.platform, CORTEX_M.platform_registers, (), tmp_path, tmp_path / "printed")
    text = path.read_text()
    assert 'cpuType: "cortex-m7"' in text
    assert "sram1: Memory.MappedMemory @ sysbus 0x20010000\n    size: 0x3c000\n" in text
    assert "peripheral_usart6: Python.PythonPeripheral @ sysbus 0x40011400\n" in text


def test_it_is_listed_among_the_others(emu, board: Path):
    listed = emu("targets", "--board", board).stdout
    for name in ("stm32h7-unicorn", "stm32f746-unicorn", "stm32f746-qemu", "stm32f746-renode"):
        assert name in listed
    assert "stm32f746" not in emu("targets").stdout
    assert "target stm32f746-unicorn: ready" in emu("doctor", "--board", board).stdout
    assert "stm32f746-unicorn" in emu("targets", "--board", board, "--board", board.parent / "." / board.name).stdout


# ---- what is wrong with it -------------------------------------------------------------------------------------------

DTCM = 'name = "dtcm"\nstart = 0x20000000\nsize = "64 KB"\naccess = "rwx"'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "stm32f746"', 'name = "stm32h7"', "name: there is another board stm32h7: give this one a name of its"),
        ('name = "stm32f746"', 'name = "STM32"', 'name: "STM32" does not match ^[a-z0-9]+$'),
        ('"stm32f746.ld"', '"missing.ld"', "build.linker_script: there is no file"),
        ('"stm32f746.ld"', f'"{"x" * 300}.ld"', "build.linker_script: there is no file"),
        ('linker_script = "stm32f746.ld"\n', "", "memory and build.linker_script are both needed"),
        ('"armv7em"', '"armv8"', "architecture: \"armv8\" is none of 'armv7em', 'host' or 'xtensa'"),
        ('cpu = "cortex-m7"', 'cpu = "cortex-m9"', 'cpu: "cortex-m9" is none of \'cortex-m4\', \'cortex-m7\''),
        ('cpu = "cortex-m7"', 'cpu = "lx7"', 'no armv7em has the cpu "lx7", only cortex-m4, cortex-m7'),
        ('"armv7em"\ncpu = "cortex-m7"', '"xtensa"\ncpu = "lx7"', "leave out [emulators.unicorn]"),
        ('cpu = "cortex-m7"\n', "", "cpu: is missing"),
        ("[emulators.unicorn]", "[emulators.bochs]", "emulators.bochs: \"bochs\" is none of 'native', 'qemu', 're"),
        (DTCM, DTCM.replace("access", "acess"), 'memory.dtcm: there is no key "acess" here, only name, start, size'),
        (DTCM, DTCM.replace("rwx", "wx"), 'memory.dtcm.access: "wx" does not match'),
        (DTCM, DTCM.replace("64 KB", "64 kilo"), 'memory.dtcm.size: "64 kilo" is not a size such as "128 KB"'),
        (DTCM, DTCM.replace("64 KB", "6 KB"), "memory.dtcm: start and size have to be multiples of 4096"),
        (DTCM, DTCM.replace("64 KB", "128 KB"), "dtcm and sram1 overlap"),
        (DTCM, DTCM.replace("dtcm", "itcm"), "two memories or peripherals are called itcm"),
        (DTCM, DTCM.replace("0x20000000", "0x2000000000"), "memory.dtcm: start and size have to be"),
        (DTCM, DTCM.replace("0x20000000", '"high"'), "memory.dtcm.start: \"high\" is not a whole number"),
        ('"GPIOB", start = 0x40020400', '"GPIOB", start = 0xFFFFFFF0', "GPIOB: GPIOB does not end below 4 GB"),
        ('"GPIOB", start = 0x40020400', '"GPIOB"', "peripherals.GPIOB.start: is missing"),
        ("0x1C = 0xC0", "soon = 0xC0", 'reads.soon: "soon" is not an offset such as 0x1C'),
        ("0x1C = 0xC0", "0x1C = 0x100000000", "peripherals.USART2.reads.0x1C: "),
        ("[build]", "[build", "at line"),
    ],
)  # fmt: skip
def test_a_board_file_that_cannot_be(emu, board: Path, old: str, new: str, words: str):
    change(board, old, new)
    emu("targets", "--board", board).assert_one_clear_line(f"error: {board}: ", words)


MEMORYLESS = """
name = "bare"
title = "No memory at all"
architecture = "{0}"
cpu = "{1}"
memory = {2}
build = {{ toolchain = "arm-none-eabi", flags = []{3} }}
emulators = {{ {4} = {{ title = "An emulator" }} }}
"""
SOME_MEMORY = '[{ name = "all", start = 0, size = "4 KB", access = "rwx" }]'


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("armv7em", "cortex-m7", "[]", "", "unicorn"), "memory and build.linker_script are both needed"),
        (("host", "host", SOME_MEMORY, ', linker_script = "a.ld"', "native"), "a program for this machine has memory"),
    ],
)
def test_only_a_program_for_this_machine_has_no_memory_of_its_board(
    emu, tmp_path: Path, values: tuple[str, ...], words: str
):
    (tmp_path / "a.ld").write_text("")
    (tmp_path / "bare.toml").write_text(MEMORYLESS.format(*values))
    emu("targets", "--board", tmp_path / "bare.toml").assert_one_clear_line(words)


def test_a_board_file_that_is_none(emu, board: Path, tmp_path: Path):
    emu("targets", "--board", tmp_path / "none.toml").assert_one_clear_line("none.toml: No such file")
    emu("doctor", "--board", tmp_path).assert_one_clear_line(f"{tmp_path}: Is a directory")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    emu("run", "kws", "--board", tmp_path / "bytes.toml", "-t", "stm32h7-unicorn").assert_one_clear_line("bytes.toml: ")
    other = shutil.copy(board, board.with_name("other.toml"))
    emu("targets", "--board", board, "--board", other).assert_one_clear_line(f"{other}: name: there is another board")
    emu("run", "kws", "--board", board, "-t", "stm32f746-renod").assert_one_clear_line("stm32f746-qemu")


def test_a_compiler_that_is_not_there(emu, board: Path, tmp_path: Path):
    change(board, '"arm-none-eabi"', '"no-such"')
    outcome = emu("build", "har", "--board", board, "-t", "stm32f746-unicorn", "-o", tmp_path / "har.elf")
    assert outcome.code == 3
    assert outcome.stderr == "error: no-such-gcc is not installed; install it with: put no-such-gcc on the PATH\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("LENGTH = 64K", "LENGTH = 8K", ("does not fit: DTCM in ", "stm32f746.ld is 6,", "bytes too small")),
        ("LENGTH = 1M", "LENGTH = 32K", ("does not fit: FLASH in ", "bytes too small")),
        ("__stack_top = .;", "", ("stm32f746.ld: defines no __stack_top",)),
        (
            "0x20000000",
            "0x24000000",
            ("bytes at 0x24001000, outside the memory of stm32f746-unicorn", "dtcm 0x20000000"),
        ),
    ],
)
def test_a_linker_script_that_cannot_be(emu, board: Path, old: str, new: str, words: tuple[str, ...]):
    change(board.with_name("stm32f746.ld"), old, new)
    outcome = emu("run", "kws", "--board", board, "-t", "stm32f746-unicorn", "--limit", "1")
    outcome.assert_one_clear_line(*words)


def test_what_a_linker_script_includes_is_beside_it_and_part_of_the_build(emu, board: Path, tmp_path: Path):
    script, memory = board.with_name("stm32f746.ld"), board.with_name("memory.ld")
    before, _, rest = script.read_text().partition("MEMORY\n")
    regions, _, after = rest.partition("}\n")
    memory.write_text(f"MEMORY\n{regions}}}\n")
    script.write_text(f"{before}INCLUDE memory.ld\n{after}")
    build = ("build", "har", "--board", board, "-t", "stm32f746-unicorn", "-o", tmp_path / "har.elf")
    assert emu(*build).code == 0
    first = (tmp_path / "har.elf").read_bytes()
    change(memory, "ORIGIN = 0x20010000", "ORIGIN = 0x20014000")
    change(memory, "LENGTH = 240K", "LENGTH = 224K")
    assert emu(*build).code == 0
    assert (tmp_path / "har.elf").read_bytes() != first
