"""`emu run --memcheck`: what a person and a program read, and what a suppression file accepts."""

from pathlib import Path

import pytest
from test_faulty_firmware import build, line_of_fault

from emu.record import Run, read_run_file

# Three errors in three functions; the last error happens a thousand times.
FAULTY = """
int decisions, counted[4];
__attribute__((noipa)) void keep(volatile int *values) { values[0] = 1; }
__attribute__((noipa)) void vendor_decide(volatile int *value) {
    int loaded = *value;
    if (loaded == 3) decisions++; /* FAULT */
}
__attribute__((noipa)) void vendor_poll(void) {
    volatile int values[8];
    keep(values);
    vendor_decide(&values[5]);
}
__attribute__((noipa)) volatile int *lost(volatile int *local) { return local; }
__attribute__((noipa)) volatile int *stale(void) {
    volatile int local = 1;
    return lost(&local);
}
__attribute__((noipa)) void application(void) { decisions = *stale(); }
__attribute__((noipa)) void repeat(volatile int *null) {
    for (int i = 0; i < 1000; i++) counted[1] = *null;
}
int main(void) {
    MAIN;
    __asm__ volatile("movs r0, #0x18; ldr r1, =0x20026; bkpt #0xab" ::: "r0", "r1");
    return 0;
}
"""
ALL = "vendor_poll(); application(); repeat(0)"
KINDS = ["uninitialised_branch", "read_below_stack", "null_pointer_read"]


def run(emu, directory: Path, main: str, *options: str | Path, source: str = FAULTY) -> tuple[int, str, Run]:
    elf = build(directory, "program", source.replace("MAIN", main))
    arguments = ("--memcheck", "--json", directory / "r.json", *options)
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", *arguments)
    assert outcome.stderr == ""
    (record,) = read_run_file(directory / "r.json").runs
    return outcome.code, outcome.stdout, record


def kinds(record: Run) -> list[str]:
    assert record.memory_check is not None
    return [finding.kind for finding in record.memory_check.findings]


def test_nothing_wrong(emu, tmp_path: Path):
    code, text, record = run(emu, tmp_path, "keep(counted)")
    assert code == 0, text
    assert kinds(record) == []
    assert "Memory check: 0 errors  with the firmware's own allocator" in text
    (verdict,) = (verdict for verdict in record.verdicts if verdict.name == "no memory error")
    assert verdict.ok


def test_without_the_option_the_record_says_why_there_is_nothing(emu, tmp_path: Path):
    elf = build(tmp_path, "program", FAULTY.replace("MAIN", "vendor_poll()"))
    outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome
    (record,) = read_run_file(tmp_path / "r.json").runs
    assert record.memory_check is None
    assert "--memcheck" in record.not_measured["memory_check"]


def test_what_a_person_reads_of_an_error(emu, tmp_path: Path):
    code, text, record = run(emu, tmp_path, ALL)
    assert code == 1, text
    assert kinds(record) == KINDS
    assert record.memory_check is not None
    undefined, _, null = record.memory_check.findings
    assert "no memory error" in text
    assert "3 memory errors" in text
    assert "Memory check: 3 errors" in text
    lines = [line.strip(" │") for line in text.splitlines()]
    first = next(index for index, line in enumerate(lines) if line.startswith("uninitialised branch: "))
    place, origin, *backtrace = lines[first + 1 : first + 7]
    assert place.startswith(f"in vendor_decide program.c:{line_of_fault(FAULTY)} (pc 0x08")
    assert undefined.origin is not None
    assert origin == (
        f"first loaded in vendor_decide program.c:{line_of_fault(FAULTY) - 1} from {undefined.origin.address:#010x},"
        " the stack frame of vendor_poll"
    )
    assert [line.split()[2] for line in backtrace[:3]] == ["vendor_decide", "vendor_poll", "main"]
    assert null.times == 1000
    assert "1,000 times" in lines
    assert "null pointer read: read of 4 bytes at 0x00000000, through a null pointer" in lines
    assert any(line.startswith("0x00000000 is ") for line in lines)


def test_errors_survive_the_way_through_json(emu, tmp_path: Path):
    _, _, record = run(emu, tmp_path, ALL)
    assert record.memory_check is not None
    for finding in record.memory_check.findings:
        assert finding.file is not None
        assert finding.file.endswith("program.c")
        assert (finding.function, finding.line) == (finding.backtrace[0].function, finding.backtrace[0].line)
        assert (finding.origin is not None) == (finding.kind == "uninitialised_branch")
        assert (finding.memory is None) == (finding.kind == "uninitialised_branch")
    again = read_run_file(tmp_path / "r.json")
    (tmp_path / "again.json").write_text(again.model_dump_json(by_alias=True))
    assert read_run_file(tmp_path / "again.json") == again


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        (['kind = "null_*"'], [0, 1]),
        (['function = "vendor_*"'], [1, 2]),
        (['function = "vendor_poll"'], [1, 2]),  # only calls the function with the error
        (['file = "*program.c"'], []),
        (['file = "*/elsewhere.c"'], [0, 1, 2]),
        (['kind = "null_*"\nfunction = "vendor_*"'], [0, 1, 2]),
        (['kind = "read_below_stack"', 'function = "repeat"\nfile = "program.c"'], [0]),
        ([], [0, 1, 2]),
    ],
)
def test_what_is_accepted_is_no_finding(emu, tmp_path: Path, entries: list[str], left: list[int]):
    accepted = tmp_path / "accepted.toml"
    accepted.write_text("".join(f'[[suppress]]\n{entry}\nreason = "known"\n' for entry in entries))
    code, text, record = run(emu, tmp_path, ALL, "--suppressions", accepted)
    assert kinds(record) == [KINDS[index] for index in left]
    assert record.memory_check is not None
    assert record.memory_check.suppressed == 3 - len(left)
    assert (f"{3 - len(left)} suppressed" in text) == (len(left) < 3)
    assert code == (1 if left else 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[suppress]]\nkinds = "null_*"\nreason = "known"', ("suppress.0.kinds: is not known",)),
        ('[[suppress]]\nkind = "null_*"', ("suppress.0.reason: is missing",)),
        ("[[suppress]]\nkind = 3\nreason = 'known'", ("suppress.0.kind: 3 is not text",)),
        ('[[supress]]\nreason = "known"', ("supress: is not known",)),
        ("[[suppress]]\nkind = null", ("line 2",)),
        (None, ("accepted.toml: No such file",)),
    ],
)
def test_a_suppression_file_that_cannot_be(emu, tmp_path: Path, text: str | None, says: tuple[str, ...]):
    path = tmp_path / "accepted.toml"
    if text is not None:
        path.write_text(text)
    outcome = emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "1", "--memcheck", "--suppressions", path)
    outcome.assert_one_clear_line("accepted.toml", *says)


@pytest.mark.parametrize("option", [("--suppressions", "accepted.toml"), ("--replace-allocator",)])
def test_an_option_of_the_check_without_it(emu, tmp_path: Path, monkeypatch, option: tuple[str, ...]):
    monkeypatch.chdir(tmp_path)
    Path("accepted.toml").write_text('[[suppress]]\nreason = "known"')
    outcome = emu("run", "har", "-t", "stm32h7-unicorn", *option)
    outcome.assert_one_clear_line(f"error: {option[0]} needs --memcheck")
