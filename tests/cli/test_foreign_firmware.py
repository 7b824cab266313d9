"""Firmware that was built elsewhere: the names that it may have, and the parts of it that emu must not trust."""

from pathlib import Path

import numpy as np
import pytest
from records import read_runs
from test_faulty_firmware import build

from emu.resources import resource

MAILBOX = """
#include <stdint.h>
#include "{header}"
__attribute__((section(".mailbox"))) struct emu_mailbox emu_mailbox;
static float input[60], output[8];
__attribute__((noinline)) void emu_yield(void) {{ __asm__ volatile("" ::: "memory"); }}
int main(void) {{
    volatile uint32_t *words = (volatile uint32_t *)&emu_mailbox;
    for (unsigned i = 0; i < sizeof emu_mailbox / 4; i++) words[i] = 0;
    emu_mailbox.magic = EMU_MAILBOX_MAGIC, emu_mailbox.version = EMU_MAILBOX_VERSION;
    emu_mailbox.columns = 6, emu_mailbox.input_floats = 60, emu_mailbox.outputs = 7;
    emu_mailbox.input_address = (uintptr_t)input, emu_mailbox.output_address = (uintptr_t)output;
    {change};
    for (;;) emu_yield();
}}
"""


def with_mailbox(directory: Path, change: str) -> Path:
    header = resource("runtime") / "port" / "mailbox.h"
    return build(directory, "boxed", MAILBOX.format(header=header, change=change))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 20, 6), np.float32))
    return tmp_path / "x.npz"


def test_a_mailbox_as_it_should_be(emu, tmp_path: Path, inputs: Path):
    elf = with_mailbox(tmp_path, "")
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--inputs", inputs, "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert run.instructions.per_inference is not None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("emu_mailbox.columns = 0", "but a row has 0 columns"),
        ("emu_mailbox.input_floats = 5", "input_floats is 5, but a row has"),
        ("emu_mailbox.outputs = 0", "outputs is 0"),
        ("emu_mailbox.input_floats = 0xFFFFFFFFu", "input buffer, 4294967295 floats"),
        ("emu_mailbox.outputs = 0x40000000u", "output buffer, 1073741824 floats"),
        ("emu_mailbox.input_address = 0x08000000u", "input buffer, 60 floats at 0x08000000, is not in RAM"),
        ("emu_mailbox.input_address = 0x40011000u", "input buffer"),
        ("emu_mailbox.output_address = 0x2001FFF0u", "output buffer, 7 floats at 0x2001fff0"),
        (
            "emu_mailbox.trace_floats = 3, emu_mailbox.trace_address = 0x10000000u",
            "trace buffer, 3 floats at 0x10000000",
        ),
        ("emu_mailbox.magic = 1", "magic 0x1"),
    ],
)
def test_a_mailbox_that_cannot_be(emu, tmp_path: Path, inputs: Path, change: str, says: str):
    elf = with_mailbox(tmp_path, change)
    emu("run", elf, "-t", "stm32h7-unicorn", "--inputs", inputs).assert_one_clear_line("emu_mailbox", says)


@pytest.mark.parametrize(("written", "code"), [(7, 0), (6, 1)])
def test_an_output_that_was_never_written(emu, tmp_path: Path, inputs: Path, written: int, code: int):
    answer = 'static float answers[7] __attribute__((section(".mailbox"))); volatile float *out = answers; '
    answer += f"emu_mailbox.output_address = (uintptr_t)out; for (int i = 0; i < {written}; i++) out[i] = 1"
    elf = with_mailbox(tmp_path, answer)
    options = ("--memcheck", "--inputs", inputs, "--json", tmp_path / "r.json")
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", *options)
    assert outcome.code == code, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert run.memory_check is not None
    found = [(each.kind, each.times, (each.memory or "")[:21]) for each in run.memory_check.findings]
    assert found == [("uninitialised_output", 2, "24 bytes into `answer")][:code]


def test_an_input_that_faults_is_no_inference(emu, tmp_path: Path, inputs: Path):
    elf = with_mailbox(tmp_path, "emu_yield(); *(volatile int *)0x60000000 = 1")
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--inputs", inputs, "--json", tmp_path / "r.json")
    assert outcome.code == 1, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert run.faults[0].kind == "unmapped_write"
    assert (run.instructions.per_inference, run.instructions.per_inference_smallest) == (None, None)
    assert run.not_measured["per_inference"] == "no input was answered"


END = '__asm__ volatile("movs r0, #0x18; ldr r1, =0x20026; bkpt #0xab" ::: "r0", "r1")'


@pytest.mark.parametrize("name", ["program.axf", "program.out", "program"])
def test_an_elf_is_known_by_what_it_is(emu, tmp_path: Path, name: str):
    elf = build(tmp_path, "source", f"int main(void) {{ {END}; return 0; }}").rename(tmp_path / name)
    outcome = emu("run", elf, "-t", "stm32h7-unicorn")
    assert outcome.code == 0, outcome
    assert "program on stm32h7-unicorn" in outcome.stdout


def test_symbol_names_do_not_command_the_terminal(emu, tmp_path: Path):
    loop = "for (volatile int i = 0; i < 100; i++)"
    source = f"__attribute__((noipa)) void deeeeeeep(void) {{ {loop}; }}\nint main(void) {{ deeeeeeep(); {END}; }}"
    elf = build(tmp_path, "named", source)
    elf.write_bytes(elf.read_bytes().replace(b"deeeeeeep", b"\x1b[2J[/r]\x07"))
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert "\x1b[2J[/r]\x07" in run.instructions.by_function, "the record keeps the name as it is"
    assert "\x1b" not in outcome.stdout
    assert "\x07" not in outcome.stdout
    assert r"\x1b[2J[/r]\x07" in outcome.stdout


def test_ram_is_shown_against_the_memory_that_it_is_in(emu, tmp_path: Path):
    source = f"""
    static char data[1000], big[0x8000] __attribute__((section(".mailbox")));
    int main(void) {{ ((volatile char *)data)[0] = big[0]; {END}; return 0; }}
    """
    outcome = emu("run", build(tmp_path, "regions", source), "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json")
    (run,) = read_runs(tmp_path / "r.json")
    memory = run.memory
    assert memory.ram_peak_bytes is not None
    assert memory.stack_peak_bytes is not None
    by_region = {use.name: use for use in memory.by_region}
    assert set(by_region) == {"flash", "dtcm", "axi"}
    assert by_region["flash"].static_bytes == memory.flash_bytes
    assert by_region["dtcm"].static_bytes == memory.static_ram_bytes == 1000
    assert by_region["dtcm"].stack_bytes == memory.stack_peak_bytes
    assert by_region["axi"].mailbox_bytes == memory.mailbox_bytes == 0x8000
    assert memory.ram_peak_bytes == by_region["dtcm"].static_bytes + memory.stack_peak_bytes
    row = next(line for line in outcome.stdout.splitlines() if "- dtcm" in line)
    assert f"{memory.ram_peak_bytes:,} B" in row
    assert f"{memory.ram_peak_bytes / 0x20000:.1%} of 128 KB" in row
    assert "- axi" not in outcome.stdout, "which only the mailbox is in"


def test_a_second_stack_is_shown(emu, tmp_path: Path):
    source = f"""
    static char task[1024] __attribute__((aligned(8), used));
    __attribute__((noipa)) void use(volatile char *bytes) {{ bytes[0] = 1; }}
    __attribute__((noipa)) void job(void) {{ volatile char bytes[100]; use(bytes); {END}; }}
    int main(void) {{
        __asm__ volatile("msr psp, %0; movs r0, #2; msr control, r0; b job" :: "r"(task + sizeof task) : "r0");
        return 0;
    }}
    """
    outcome = emu("run", build(tmp_path, "tasks", source), "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    task = run.stack.stacks[1]
    assert task.name == "task"
    assert 100 <= task.peak_bytes < 150
    assert [verdict.limit for verdict in run.verdicts if verdict.name == "stack task fits"] == ["1,024 B"]
    row = next(line for line in outcome.stdout.splitlines() if "stack task" in line and "KB" in line)
    assert f"{task.peak_bytes:,} B" in row
    assert "Stack task at its peak" in outcome.stdout


def test_the_largest_symbols_of_each_memory(emu, tmp_path: Path):
    source = f"""
    static const char constants[700] = {{1}};
    static char initialised[400] = {{2}}, cleared[900];
    static char boxed[2000] __attribute__((section(".mailbox")));
    int main(void) {{
        volatile char *const written[] = {{initialised, cleared, boxed}};
        for (unsigned i = 0; i < 3; i++) written[i][1] = *(const volatile char *)constants;
        {END};
        return 0;
    }}
    """
    outcome = emu("run", build(tmp_path, "symbols", source), "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    ram = [(use.name, use.bytes) for use in run.memory.static_ram_symbols]
    assert ram == [("cleared", 900), ("initialised", 400)]
    flash = [(use.name, use.bytes) for use in run.memory.flash_symbols]
    assert flash[:2] == [("constants", 700), ("initialised", 400)]
    assert {"main", "reset_handler"} <= {name for name, _ in flash}
    assert sum(size for _, size in flash) <= (run.memory.flash_bytes or 0)
