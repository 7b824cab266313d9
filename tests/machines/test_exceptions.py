"""The core's exceptions in Unicorn: small programs note words, and QEMU's own core notes the same ones."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from builds import SOURCES

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.unicorn import UnicornMachine
from emu.targets import find_target, load_targets

SUITE = SOURCES / "exceptions"
BOARD = SUITE / "board.toml"
QEMU = "qemu-system-arm"
LIMITS = Limits(instructions=2_000_000, seconds=20)
PROGRAMS = [
    (source.name, name)
    for source in sorted(SUITE.glob("*.c"))
    for name in re.findall(r"^#ifdef (\w+)", source.read_text(), re.MULTILINE)
]


DIFFERENT = {
    # C1.4.1 and B3.2.16: BKPT without a debugger is a HardFault with DEBUGEVT. QEMU reports FORCED.
    "breakpoint_without_debugger": "00000003 00000000 80000000 fffffff9 00000000",
    # B1.5.18: with SLEEPONEXIT the core sleeps again after each tick but the last. QEMU does not model the bit.
    "sleeps_on_exit": "00000003",
    # B3.5.9: only the second subregion is off. QEMU keeps the access to it for the rest of its page.
    "subregions": "00000007 00000004 00000082 fffffff9 00000000 00000001",
}
"""Words where QEMU does not do what the manual says, by program."""


MACHINES = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
"""QEMU's machines by core."""


def core_of(source: str) -> str:
    return "cortex-m4" if source == "cortex_m4.c" else "cortex-m7"


def board_of(directory: Path, core: str) -> Path:
    board = directory / "board.toml"
    board.write_text(BOARD.read_text().replace("cortex-m7", core))
    (directory / "suite.ld").write_text((SUITE / "suite.ld").read_text())
    return board


def build(directory: Path, source: str, program: str) -> Path:
    elf = directory / f"{program}.elf"
    fpu = "fpv4-sp-d16" if core_of(source) == "cortex-m4" else "fpv5-d16"
    flags = [f"-mcpu={core_of(source)}", "-mthumb", f"-mfpu={fpu}", "-mfloat-abi=hard", "-O1", "-g", "-Wall", "-Wextra"]
    command = ["arm-none-eabi-gcc", *flags, "-ffreestanding", "-nostdlib", "-nostartfiles", f"-T{SUITE / 'suite.ld'}"]
    command += [
        "-Wl,--no-warn-rwx-segments",
        f"-D{program}",
        f"-I{SUITE}",
        str(SUITE / "suite.c"),
        str(SUITE / source),
        "-lgcc",
    ]
    subprocess.run([*command, "-o", str(elf)], check=True)
    return elf


def run(elf: Path, instruments: Instruments | None = None, core: str = "cortex-m7") -> tuple[Stop, Measurements]:
    target = find_target("exceptions-unicorn", load_targets([board_of(elf.parent, core)]))
    with UnicornMachine(Firmware.load(elf, target), target, instruments or Instruments(limits=LIMITS)) as machine:
        return machine.boot(), machine.measure()


def words_in_qemu(elf: Path, core: str) -> str:
    command = [QEMU, "-M", MACHINES[core], "-nographic", "-monitor", "none", "-serial", "none", "-kernel", str(elf)]
    command += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")
@pytest.mark.parametrize(("source", "program"), PROGRAMS)
def test_a_program_notes_the_words_that_it_notes_in_qemu(tmp_path: Path, source: str, program: str) -> None:
    elf = build(tmp_path, source, program)
    stop, measured = run(elf, core=core_of(source))
    assert (stop.reason, stop.exit_status) == ("exit", 0), stop.fault
    in_qemu = words_in_qemu(elf, core_of(source))
    if program in DIFFERENT:
        assert measured.output.split() == DIFFERENT[program].split() != in_qemu.split()
    else:
        assert measured.output.split() == in_qemu.split()
    assert measured.output.split()


@pytest.mark.parametrize(
    "program", ["nesting", "nested_handlers", "two_tasks", "tail_chaining", "return_by_load", "ticks_wake", "bus_fault"]
)
def test_every_instrument_sees_the_same_program(tmp_path: Path, program: str) -> None:
    source = next(source for source, name in PROGRAMS if name == program)
    elf = build(tmp_path, source, program)
    plain_stop, plain = run(elf)
    asked = Instruments(limits=LIMITS, profile=True, coverage=True, traffic=True, memcheck=True)
    stop, measured = run(elf, asked)
    assert (stop, measured.output) == (plain_stop, plain.output)
    assert measured.instructions.total == plain.instructions.total == sum(plain.instructions.by_function.values())
    assert [stack.peak_bytes for stack in measured.stack.stacks] == [stack.peak_bytes for stack in plain.stack.stacks]
    assert measured.memory_check is not None
    assert measured.memory_check.findings == []


def test_two_runs_are_the_same_to_the_instruction(tmp_path: Path) -> None:
    elf = build(tmp_path, "waiting.c", "ticks_wake")
    (_, first), (_, second) = run(elf), run(elf)
    assert first.instructions == second.instructions


def test_the_peak_holds_the_frames_of_nested_exceptions(tmp_path: Path) -> None:
    _, measured = run(build(tmp_path, "floats.c", "nested_handlers"))
    stack = measured.stack.stacks[0]
    sizes = [(frame.function, frame.frame_bytes) for frame in stack.backtrace]
    assert [function for function, _ in sizes] == ["inner_body", "outer_body", "program", "main", "reset_handler"]
    assert sum(size or 0 for _, size in sizes) == stack.peak_bytes
    assert sizes[1][1] is not None
    assert sizes[1][1] >= 104  # the frame of the inner exception: 26 words, with the FPU's registers


def test_a_frame_on_the_process_stack_is_in_that_stack(tmp_path: Path) -> None:
    _, measured = run(build(tmp_path, "entry.c", "process_stack_in_thread_mode"))
    main, process = measured.stack.stacks
    assert (process.name, process.pointer, process.peak_bytes) == ("process_stack", "PSP", 32)
    assert process.backtrace[0].function == "program"
    assert main.peak_bytes >= 8


def test_a_handler_is_called_by_the_function_that_it_interrupts(tmp_path: Path) -> None:
    _, measured = run(build(tmp_path, "priorities.c", "nesting"), Instruments(limits=LIMITS, profile=True))
    assert measured.profile is not None
    paths = measured.profile.call_paths
    callers = {(path.function, paths[path.caller].function) for path in paths if path.caller is not None}
    assert {("interrupt", "program"), ("interrupt", "interrupt_body")} <= callers
    assert ("note", "program") in callers  # the program goes on as it was
    assert sum(path.self_instructions for path in paths) == measured.instructions.total


def test_a_frame_below_the_stack_is_an_overflow(tmp_path: Path) -> None:
    source = tmp_path / "overflow.c"
    source.write_text(
        '#include "suite.h"\nstatic uint32_t small[12] __attribute__((aligned(8)));\nstatic void nothing(void) {}\n'
        "void program(void)\n{\n    on(SVC, nothing);\n    WRITE_SPECIAL(psp, (uint32_t)(uintptr_t)(small + 6));\n"
        '    WRITE_SPECIAL(control, 2);\n    __asm__ volatile("svc 0");\n}\n'
    )
    stop, _ = run(build(tmp_path, str(source), "overflow"))
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function) == ("stack_overflow", "program")
    assert "below the limit" in stop.fault.detail
    assert "small" in stop.fault.detail


@pytest.mark.parametrize(
    ("statements", "kind", "words"),
    [
        ('__asm__ volatile("wfi");', "wait_for_interrupt", "waits in WFI for an interrupt that nothing enables"),
        ("AIRCR = 0x05FA0004u;", "reset", "AIRCR.SYSRESETREQ"),
        ("on(PEND_SV, 0); ICSR = PEND_SV_SET, barrier();", "exception", "PendSV has no handler"),
        ('on(SVC, 0); __asm__ volatile("svc 0");', "exception", "SVC has no handler"),
        ("VTOR = 0x60000000u; barrier(); REGISTER(0x90000000u);", "unmapped_read", "read of 4 bytes at 0x90000000"),
        (
            "on(HARD_FAULT, fails); REGISTER(0x90000000u);",
            "unmapped_write",
            "0x90000004: no memory there on exceptions",
        ),
        ("on(HARD_FAULT, fails); REGISTER(0x90000000u);", "unmapped_write", "the core locks up"),
        ("WRITE_SPECIAL(control, 1); VTOR;", "exception", "code without privilege accesses the core's register"),
    ],
)
def test_an_end_without_a_handler_says_why(tmp_path: Path, statements: str, kind: str, words: str) -> None:
    source = tmp_path / "ends.c"
    source.write_text(
        '#include "suite.h"\n__attribute__((unused)) static void fails(void) { REGISTER(0x90000004u) = 1; }\n'
        'static void endless(void) { for (;;) __asm__ volatile(""); }\n'
        f"void program(void)\n{{\n    on(BUS_FAULT, endless), on(HARD_FAULT, endless);\n    {statements}\n}}\n"
    )
    stop, measured = run(build(tmp_path, str(source), "ends"))
    assert stop.fault is not None, measured.output
    assert (stop.fault.kind, stop.reason) == (kind, "fault")
    assert words in stop.fault.detail
