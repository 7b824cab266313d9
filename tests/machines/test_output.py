"""What firmware prints through a debugger or a UART is captured, ends as it says, and changes no figure."""

import subprocess
from pathlib import Path

import pytest
from builds import SOURCES, TARGET, firmware, line_of

from emu.errors import InputError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.output import KEPT_BYTES
from emu.machines.unicorn import UnicornMachine
from emu.record import Run
from emu.resources import resource
from emu.run import RunOptions, run_firmware
from emu.targets import Target, load_board

SOURCE = "prints.c"
USARTS = {"USART1": 0x40011000, "USART2": 0x40004400, "USART3": 0x40004800, "UART4": 0x40004C00, "UART5": 0x40005000}


def run(
    directory: Path,
    call: str,
    *flags: str,
    limits: Limits | None = None,
    traffic: bool = False,
) -> tuple[Stop, Measurements]:
    program = firmware(directory, SOURCE, *flags, f"-DPRINTS={call}")
    with UnicornMachine(program, TARGET, Instruments(limits=limits or Limits(seconds=20), traffic=traffic)) as machine:
        assert machine.boot().reason == "yield"
        return machine.resume(), machine.measure()


# ---- semihosting -----------------------------------------------------------------------------------------------------


def rdimon(directory: Path, status: int, *flags: str) -> Path:
    """Return the ELF of a program that leaves everything but its first jump to newlib."""
    elf = directory / "semihosting_newlib.elf"
    names = {"__bss_start__": "_bss_start", "__bss_end__": "_bss_end", "end": "_bss_end", "__end__": "_bss_end"}
    command = ["arm-none-eabi-gcc", *TARGET.board.build.flags, "-g", "-O2", f"-DSTATUS={status}", *flags]
    command += ["--specs=rdimon.specs", "-Wl,--no-warn-rwx-segments", f"-T{SOURCES / 'test.ld'}"]
    command += [f"-Wl,--defsym={name}={value}" for name, value in names.items()]
    subprocess.run([*command, str(SOURCES / "semihosting_newlib.c"), "-o", str(elf)], check=True)
    return elf


def run_whole(elf: Path) -> Run:
    return run_firmware(elf, "program", TARGET, None, RunOptions(), lambda _done, _of: None)


@pytest.mark.parametrize("flags", [(), ("--specs=nano.specs", "-u", "_printf_float")], ids=["newlib", "newlib-nano"])
@pytest.mark.parametrize("symbols", [True, False])
def test_newlib_with_rdimon_prints_and_ends_with_its_status(
    tmp_path: Path, flags: tuple[str, ...], symbols: bool
) -> None:
    elf = rdimon(tmp_path, 7, *flags)
    if not symbols:  # so that it ends by its call, not at the function _exit
        subprocess.run(["arm-none-eabi-strip", str(elf)], check=True)
    record = run_whole(elf)
    lines = record.output.splitlines()
    assert lines[:2] == ["3.141593 -1e-09 6.022e+23", "to stderr: 0 arguments, no name"]
    assert lines[2] in ("file 0, key -1", "file 0x0, key -1")
    assert [fault.detail for fault in record.faults] == ["the firmware ended with exit status 7"]
    assert not record.ok


def test_status_zero_is_no_fault(tmp_path: Path) -> None:
    record = run_whole(rdimon(tmp_path, 0))
    assert record.faults == []
    assert record.ok


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('write0("one\\ntwo\\n")', "one\ntwo\n"),
        ('writec("Grüße")', "Grüße"),
        ('write_error("a\\0b\\xff", 4)', "a\0b\ufffd"),
    ],
)
def test_each_way_to_print(tmp_path: Path, call: str, text: str) -> None:
    stop, measured = run(tmp_path, call)
    assert stop.reason == "yield"
    assert measured.output == text
    assert measured.faults == ()


@pytest.mark.parametrize(
    ("letters", "found"), [(4, []), (3, [("uninitialised_output", "3 bytes into the 5 that it hands out")])]
)
def test_the_memory_checker_looks_at_a_text_up_to_its_end(
    tmp_path: Path, letters: int, found: list[tuple[str, str]]
) -> None:
    program = firmware(tmp_path, SOURCE, f"-DPRINTS=write0_of_local({letters})")
    with UnicornMachine(program, TARGET, Instruments(limits=Limits(seconds=20), memcheck=True)) as machine:
        machine.boot()
        machine.resume()
        check = machine.measure().memory_check
    assert check is not None
    assert [(each.kind, each.detail.rpartition(": ")[2]) for each in check.findings] == found
    assert {each.backtrace[0].function for each in check.findings} <= {"write0_of_local"}


@pytest.mark.parametrize(("call", "status"), [("exits()", 0), ("aborts()", 1), ("exits_with(42)", 42)])
def test_a_call_ends_the_program(tmp_path: Path, call: str, status: int) -> None:
    stop, _ = run(tmp_path, call)
    assert (stop.reason, stop.exit_status, stop.fault) == ("exit", status, None)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("system_call()", "SYS_SYSTEM (semihosting operation 0x12) is not served"),
        ("no_operation()", "semihosting has no operation 0x77"),
        ('write_error("x", 0xFFFFFFF0u)', "SYS_WRITE with parameter 0x2001"),
    ],
)
def test_a_call_that_cannot_be_served_is_a_fault(tmp_path: Path, call: str, words: str) -> None:
    stop, _ = run(tmp_path, call, "-O1")
    fault = stop.fault
    assert fault is not None
    assert fault.kind == "semihosting"
    assert words in fault.detail
    name = call.partition("(")[0]
    assert name in [frame.function for frame in fault.backtrace]
    assert fault.backtrace[-1].function == "reset_handler"


def test_a_call_counts_as_the_instruction_that_it_is(tmp_path: Path) -> None:
    code = "movs r0, #0x10; bkpt #0xab; movs r0, #0x10; bkpt #0xab; nop"
    stop, measured = run(tmp_path, f'__asm__ volatile("{code}" ::: "r0", "r1")')
    assert stop.instructions == 6  # these five, and the call of emu_yield
    assert sum(measured.instructions.by_function.values()) == measured.instructions.total


def test_calls_without_end_run_into_the_limits(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "never_ending()", limits=Limits(instructions=30_000))
    assert stop.fault is not None
    assert stop.fault.kind == "instruction_budget"
    stop, _ = run(tmp_path, "never_ending()", limits=Limits(seconds=0.3))
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function) == ("time_limit", "never_ending")


def test_of_much_output_the_end_is_kept(tmp_path: Path) -> None:
    lines = 40_000
    _, measured = run(tmp_path, f'floods({lines}); write0("the end")')
    assert len(measured.output) == KEPT_BYTES
    assert measured.output.endswith("cde\nthe end")
    assert measured.output_cut_bytes == lines * 64 + len("the end") - KEPT_BYTES


# ---- peripherals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", [False, True])
@pytest.mark.parametrize("name", USARTS)
def test_a_polling_uart_prints(tmp_path: Path, name: str, traffic: bool) -> None:
    stop, measured = run(tmp_path, f'put((struct uart *){USARTS[name]:#x}, "hello, {name}\\n")', traffic=traffic)
    assert stop.reason == "yield"
    assert measured.output == f"hello, {name}\n"
    assert measured.faults == ()


@pytest.mark.parametrize("traffic", [False, True])
def test_what_goes_to_the_trace_port_is_printed(tmp_path: Path, traffic: bool) -> None:
    stop, measured = run(tmp_path, 'put_by_itm("hello, ITM\\n")', traffic=traffic)
    assert stop.reason == "yield"
    assert measured.output == "hello, ITM\n"
    assert measured.faults == ()


def test_every_chip_has_the_same_identity(tmp_path: Path) -> None:
    program = firmware(tmp_path, SOURCE, "-DPRINTS=exits_with(flash_kilobytes() == 2048 && identity())")
    with UnicornMachine(program, TARGET) as machine:
        machine.boot()
        assert machine.resume().exit_status == 1


def test_capturing_changes_no_count(tmp_path: Path) -> None:
    text = "the same code in the same places, into RAM"
    _, plain = run(tmp_path, f'put_in_ram("{text}")')
    _, captured = run(tmp_path, f'put((struct uart *)0x40011000, "{text}")')
    assert (plain.output, captured.output) == ("", text)
    assert captured.instructions.by_function["put"] == plain.instructions.by_function["put"]
    assert captured.instructions.by_function["put"] > 5 * len(text)


@pytest.mark.parametrize("traffic", [False, True])
@pytest.mark.parametrize(
    ("call", "kind", "address", "words", "output"),
    [
        (
            "unmodelled_write",
            "unmapped_write",
            0x58026410,
            "write of 4 bytes at 0x58026410: HSEM is not modelled; add `stub = true` to it in the board file of "
            "stm32h7",
            "",
        ),
        ("unmodelled_neighbour", "unmapped_read", 0x40005400, "read of 4 bytes at 0x40005400: I2C1 is not mod", "!"),
        ("unmodelled_fetch", "unmapped_fetch", 0x58024400, "jump to 0x58024400: RCC holds no instructions", ""),
    ],
)
def test_an_unmodelled_peripheral_is_named(
    tmp_path: Path, call: str, kind: str, address: int, words: str, output: str, traffic: bool
) -> None:
    stop, measured = run(tmp_path, f"{call}()", traffic=traffic)
    fault = stop.fault
    assert fault is not None
    assert (fault.kind, fault.address) == (kind, address)
    assert words in fault.detail
    assert (fault.function, fault.line) == (call, line_of(SOURCE, call))
    assert [frame.function for frame in fault.backtrace] == [call, "main", "reset_handler"]
    assert measured.output == output
    assert sum(measured.instructions.by_function.values()) == measured.instructions.total


def board_with(directory: Path, old: str, new: str) -> Target:
    text = (resource("targets") / "stm32h7.toml").read_text()
    assert text.count(old) == 1
    path = directory / "stm32h7.toml"
    path.write_text(text.replace(old, new).replace('"../linker/', f'"{resource("linker")}/'))
    return Target(load_board(path), "unicorn")


HSEM = 'name = "HSEM", start = 0x58026400, size = "1 KB"'


def test_a_stub_keeps_what_is_written(tmp_path: Path) -> None:
    target = board_with(tmp_path, HSEM, f"{HSEM}, stub = true")
    program = Firmware.load(firmware(tmp_path, SOURCE, "-DPRINTS=exits_with(stubbed())").path, target)
    with UnicornMachine(program, target) as machine:
        machine.boot()
        assert machine.resume().exit_status == 0
        machine.boot()
        assert machine.read(0x58026400, 4) == bytes(4)  # a reset forgets


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        (", output = 0x400", "HSEM has 1024 bytes of registers, and an offset that is not in them"),
        (", reads = { 0x1C4C = 1 }", "HSEM has 1024 bytes"),
        (", reads = { soon = 1 }", "soon"),
    ],
)
def test_a_board_file_that_makes_no_sense_is_refused(tmp_path: Path, addition: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        board_with(tmp_path, HSEM, HSEM + addition)


def test_peripherals_do_not_overlap(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="GPIOK and HSEM overlap"):
        board_with(tmp_path, HSEM, HSEM.replace("0x58026400", "0x58022900"))
