"""Faulty firmware ends within its budget, with exit code 1 and a fault entry that names the place."""

from pathlib import Path

import pytest
from records import read_runs

from emu.resources import resource
from emu.targets import find_target
from emu.toolchains import find_toolchain

# name: (source, kind of fault, function with the fault); a mark in the source names the line
PLANTED = {
    "wild_write": (
        """
        __attribute__((noinline)) static void poke(void) {
            *(volatile int *)0x60000000 = 1; /* FAULT */
        }
        int main(void) { poke(); return 0; }
        """,
        "unmapped_write",
        "poke",
    ),
    "write_to_flash": (
        """
        static const int table[2] = {1, 2};
        int main(void) {
            *(volatile int *)table = 3; /* FAULT */
            return 0;
        }
        """,
        "write_to_read_only",
        "main",
    ),
    "never_yields": (
        """
        __attribute__((noinline)) static void spin(void) {
            for (;;) __asm__ volatile("nop"); /* FAULT */
        }
        int main(void) { spin(); return 0; }
        """,
        "instruction_budget",
        "spin",
    ),
    "stack_overflow": (
        """
        __attribute__((noinline)) static int deep(volatile int n) { /* FAULT */
            volatile char frame[256];
            frame[0] = (char)n;
            return n == 0 ? frame[0] : deep(n - 1) + frame[0];
        }
        int main(void) { return deep(1000); }
        """,
        "stack_overflow",
        "deep",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_at_its_line(emu, tmp_path: Path, name: str):
    source, kind, function = PLANTED[name]
    elf = build(tmp_path, name, source)
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json", "--max-instructions", "1000000")
    assert outcome.code == 1, outcome
    (run,) = read_runs(tmp_path / "r.json")
    fault = run.faults[0]
    assert (fault.kind, fault.function) == (kind, function)
    assert fault.file is not None
    assert fault.file.endswith(f"{name}.c")
    assert fault.line is not None
    assert fault.line == line_of_fault(source)
    assert function in outcome.stdout  # a person sees the fault, too
    assert not run.ok


def test_its_clean_twin_is_clean(emu, tmp_path: Path):
    elf = build(
        tmp_path, "clean", "static volatile int sink;\nint main(void) { sink = 1; return 0; }\nvoid _exit(int);"
    )
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json", "--max-instructions", "1000000")
    (run,) = read_runs(tmp_path / "r.json")
    # The port's start-up code spins after main, which ends the run.
    assert run.faults == []
    assert outcome.code == 0


def build(directory: Path, name: str, source: str) -> Path:
    """Compile a program with the project's own start-up code for the STM32H7."""
    board = find_target("stm32h7-unicorn").board
    (directory / f"{name}.c").write_text(source)
    find_toolchain("arm-none-eabi").run(
        [
            *board.build.flags,
            *(
                "-g",
                "-O1",
                "-std=gnu99",
                "-ffreestanding",
                "-nostdlib",
                f"-T{board.build.linker_script}",
            ),
            f"{name}.c",
            str(resource("runtime") / "port" / board.architecture / "startup.c"),
            *("-o", f"{name}.elf"),
        ],
        directory,
    )
    return directory / f"{name}.elf"


def line_of_fault(source: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), 1) if "FAULT" in line)


def test_what_firmware_prints_is_shown_without_commanding_the_terminal(emu, tmp_path: Path):
    source = r"""
    static void print(const char *text) {
        register int operation __asm__("r0") = 4;
        register const char *parameter __asm__("r1") = text;
        __asm__ volatile("bkpt #0xab" : "+r"(operation) : "r"(parameter) : "memory");
    }
    int main(void) {
        for (int i = 0; i < 30; i++) print("a line\n");
        print("[red]\x1b[2J\xff\n");
        __asm__ volatile("movs r0, #0x18; ldr r1, =0x20026; bkpt #0xab" ::: "r0", "r1");
        return 0;
    }
    """
    elf = build(tmp_path, "prints", source)
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert run.output == 30 * "a line\n" + "[red]\x1b[2J\ufffd\n"
    assert "the last 20 of 31 lines" in outcome.stdout
    assert outcome.stdout.count("| a line") == 19
    assert r"| [red]\x1b[2J" in outcome.stdout
