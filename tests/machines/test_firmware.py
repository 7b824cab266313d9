"""An ELF seen from outside: what is refused, and what is read."""

import re
import subprocess
from pathlib import Path

import pytest
from builds import SOURCES, TARGET, build, firmware, line_of

from emu.errors import InputError
from emu.firmware import Firmware
from emu.machines.unicorn import UnicornMachine

GCC = "arm-none-eabi-gcc"


SMALL = "int main(void) { return 0; } void _start(void) { for (;;); }"


def compiled(directory: Path, compiler: str, *arguments: str, text: str = SMALL) -> Path:
    source, out = directory / "small.c", directory / "out.elf"
    source.write_text(text)
    subprocess.run([compiler, *arguments, str(source), "-o", str(out)], check=True)
    return out


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputError) as raised:
        Firmware.load(path, TARGET)
    message = str(raised.value)
    assert str(path) in message
    assert words in message
    assert "\n" not in message
    assert raised.value.exit_code == 2


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.elf", "No such file")


@pytest.mark.parametrize("content", [b"", b"\x7fEL", b"hello, this is text", b"\0" * 4096])
def test_no_elf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.elf"
    path.write_bytes(content)
    refused(path, "is not an ELF file")


def test_elf_for_the_host(tmp_path: Path) -> None:
    refused(compiled(tmp_path, "cc", "-nostdlib"), "stm32h7-unicorn runs Arm")


def test_object_file(tmp_path: Path) -> None:
    refused(compiled(tmp_path, GCC, "-mcpu=cortex-m7", "-c"), "is not linked")


def test_big_endian(tmp_path: Path) -> None:
    refused(compiled(tmp_path, GCC, "-mcpu=cortex-m7", "-mbig-endian", "-nostdlib"), "big-endian")


def test_memory_that_the_board_does_not_have(tmp_path: Path) -> None:
    elf = compiled(tmp_path, GCC, "-mcpu=cortex-m7", "-nostdlib", "-Wl,-Ttext=0x60000000")
    refused(elf, "0x60000000, outside the memory of stm32h7-unicorn (itcm 0x00000000-0x0000ffff")


def test_no_vector_table(tmp_path: Path) -> None:
    elf = compiled(tmp_path, GCC, "-mcpu=cortex-m7", "-nostdlib", "-Wl,-Ttext=0x08000000", "-Wl,--no-warn-rwx-segments")
    refused(elf, "vector table")


def test_a_vector_table_that_the_linker_has_dropped(tmp_path: Path) -> None:
    text = (
        "void reset_handler(void) { for (;;); }\n"
        '__attribute__((section(".vectors"))) void *const vectors[] = {(void *)0x20020000, (void *)reset_handler};\n'
    )
    flags = ("-mcpu=cortex-m7", "-mthumb", "-nostdlib", "-Wl,--gc-sections,--entry=reset_handler")
    for keeps, table in ((True, "KEEP(*(.vectors))"), (False, "*(.vectors)")):
        script = tmp_path / "script.ld"
        script.write_text(f"SECTIONS {{ . = 0x08000000; .vectors : {{ {table} }} .text : {{ *(.text*) }} }}")
        elf = compiled(tmp_path, GCC, *flags, "-Wl,--no-warn-rwx-segments", f"-T{script}", text=text)
        if keeps:
            assert Firmware.load(elf, TARGET).initial_sp == 0x20020000
        else:
            refused(elf, "with --gc-sections the linker drops a table that its script does not KEEP")


def test_every_truncation_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = build(tmp_path, "exact.S").read_bytes()
    cut = tmp_path / "cut.elf"
    for size in [*range(4, 300, 7), *range(300, len(whole), len(whole) // 60)]:
        cut.write_bytes(whole[:size])
        refused(cut, "ELF" if size < 52 else "is")


def test_damage_never_ends_in_a_traceback(tmp_path: Path) -> None:
    """Each byte of the headers and of the section table damaged: refused, or read; nothing else."""
    whole = build(tmp_path, "exact.S").read_bytes()
    table = int.from_bytes(whole[32:36], "little")
    damaged = tmp_path / "damaged.elf"
    outcomes, lines = set(), set()
    for offset in [*range(4, 52 + 4 * 32), *range(table, len(whole), 3)]:
        for value in (0x00, 0xFF):
            damaged.write_bytes(whole[:offset] + bytes([value]) + whole[offset + 1 :])
            try:
                read = Firmware.load(damaged, TARGET)
                read.locate(read.reset_pc)
                outcomes.add("read")
            except InputError as error:
                outcomes.add("refused")
                lines.add(str(error).count("\n"))
    assert outcomes == {"read", "refused"}
    assert lines == {0}


def test_sizes_are_those_of_the_binary_tools(tmp_path: Path) -> None:
    program = firmware(tmp_path, "newlib_mix.c")
    report = subprocess.run(["arm-none-eabi-size", "-A", str(program.path)], check=True, capture_output=True, text=True)
    size = {name: int(count) for name, count in re.findall(r"^(\.\S+)\s+(\d+)\s+\d+", report.stdout, re.MULTILINE)}
    image = tmp_path / "image.bin"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(program.path), str(image)], check=True)
    assert program.flash_bytes == image.stat().st_size
    assert program.static_ram_bytes == size[".data"] + size[".bss"] + size.get(".itcm", 0)
    assert program.mailbox_bytes == 0


def test_mailbox_and_reservations_are_no_static_ram(tmp_path: Path) -> None:
    program = firmware(tmp_path, "reservations.c")
    assert program.mailbox_bytes == 1000
    without = program.static_ram_bytes  # bss is 300 bytes, rounded up to a multiple of 8
    assert without == 304 + next(section.size for section in program.sections if section.name == ".data")
    assert program.stack_limit is not None
    assert program.initial_sp - program.stack_limit > 2048, "room kept for the stack is the stack's"


def test_toolchain_and_hash(tmp_path: Path) -> None:
    program = firmware(tmp_path, "exact.S")
    digest = subprocess.run(
        ["sha256sum", str(program.path)], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    assert program.sha256 == digest
    version = subprocess.run([GCC, "-dumpversion"], check=True, capture_output=True, text=True).stdout.strip()
    assert program.toolchain is not None
    assert version in program.toolchain


@pytest.mark.parametrize("dwarf", ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"])
def test_every_address_has_the_line_that_addr2line_gives(tmp_path: Path, dwarf: str) -> None:
    program = firmware(tmp_path, "faults.c", "-DFAULT=unmapped_read()", dwarf)
    addresses = [
        address
        for function in program.functions
        if function.name in ("main", "reset_handler", "unmapped_read", "_sbrk")
        for address in range(function.start, function.end, 2)
    ]
    command = ["arm-none-eabi-addr2line", "-e", str(program.path), *map(hex, addresses)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for address, place in zip(addresses, lines, strict=True):
        location = program.locate(address)
        file, line = place.split(" (")[0].rsplit(":", 1)
        assert location.line == (None if line in ("?", "0") else int(line)), hex(address)
        if location.file is not None:
            assert Path(file).name == Path(location.file).name
    assert line_of("faults.c", "unmapped_read") in {program.locate(address).line for address in addresses}


def test_paths_are_relative_to_where_it_was_compiled(tmp_path: Path) -> None:
    flag = f"-ffile-prefix-map={SOURCES}=firmware"
    program = firmware(tmp_path, "exact.S")
    assert program.entry_of("main") is not None
    mapped = firmware(tmp_path, "faults.c", "-DFAULT=exits()", flag)
    assert mapped.locate(mapped.entry_of("main") or 0).file == "firmware/faults.c"


def test_without_debug_information_functions_are_still_known(tmp_path: Path) -> None:
    elf = build(tmp_path, "faults.c", "-DFAULT=exits()")
    subprocess.run(["arm-none-eabi-strip", "--strip-debug", str(elf)], check=True)
    program = Firmware.load(elf, TARGET)
    place = program.locate(program.entry_of("main") or 0)
    assert (place.function, place.file, place.line) == ("main", None, None)


@pytest.mark.parametrize("initial", ["", " = {1, 3, 5}"])
def test_a_variable_called_vector_table_is_none(tmp_path: Path, initial: str) -> None:
    source = tmp_path / "relocated.c"
    source.write_text(f"unsigned vector_table[166]{initial};\nint main(void) {{ return vector_table[0] = 0; }}\n")
    program = firmware(tmp_path, str(source))
    assert program.initial_sp == 0x2002_0000
    assert program.reset_pc == program.entry_of("reset_handler")


def test_a_size_that_a_linker_script_sets_is_no_function(tmp_path: Path) -> None:
    without = firmware(tmp_path, "stack_shapes.c", "-DSHAPE=0")
    inside = without.entry_of("from_itcm")
    assert inside is not None
    program = firmware(tmp_path, "stack_shapes.c", "-DSHAPE=0", f"-Wl,--defsym=_Min_Heap_Size={inside + 4:#x}")
    assert program.symbol("_Min_Heap_Size") is not None
    assert program.functions == without.functions


@pytest.mark.parametrize("dwarf", ["-gdwarf-3", "-gdwarf-5"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_code_at_address_0_has_lines_and_is_unwound(tmp_path: Path, level: str, dwarf: str) -> None:
    flags = ("-ffunction-sections", "-Wl,--gc-sections", "-Wl,--defsym=_itcm_origin=0", level, dwarf)
    program = firmware(tmp_path, "itcm.c", *flags)
    function = program.function_at(0)
    assert function is not None
    assert (function.name, function.start) == ("at_zero", 0)
    assert program.entry_of("discarded") is None
    lines = {program.locate(address).line for address in range(0, function.end, 2)}
    assert line_of("itcm.c", "at_zero") in lines
    assert line_of("itcm.c", "discarded") not in lines
    with UnicornMachine(program, TARGET) as machine:
        assert machine.boot().exit_status == 0
        measured = machine.measure()
    frames = measured.stack.backtrace
    assert [frame.function for frame in frames].count("at_zero") == 6
    assert frames[-1].function == "reset_handler"
    assert sum(frame.frame_bytes or 0 for frame in frames) == measured.stack_peak_bytes
