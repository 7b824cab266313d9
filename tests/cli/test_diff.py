"""`emu diff`: two sets of figures side by side, and who made a figure grow."""

import json
from pathlib import Path

import pytest
from test_faulty_firmware import build

from emu.budgets.comparison import parse_gates
from emu.errors import InputError
from emu.figures import BUDGETS

PROGRAM = """
__attribute__((noipa)) void keep(volatile char *bytes) { bytes[0] = 1; }
__attribute__((noipa)) void filter(void) { volatile char window[WINDOW]; keep(window); }
int main(void) {
    filter();
    __asm__ volatile("movs r0, #0x18; ldr r1, =0x20026; bkpt #0xab" ::: "r0", "r1");
    return 0;
}
"""

NOTHING_GREW = f"0 of {len(BUDGETS)} figures grew more than they may"


@pytest.fixture(scope="module")
def records(emu, tmp_path_factory) -> Path:
    """A directory with base.json and new.json; in new.json the frame of filter is 2 KB larger."""
    directory = tmp_path_factory.mktemp("records")
    for name, window in (("base", 64), ("new", 64 + 2048)):
        elf = build(directory, "program", PROGRAM.replace("WINDOW", str(window)))
        outcome = emu("run", elf, "-t", "stm32h7-unicorn", "--json", directory / f"{name}.json")
        assert outcome.code == 0, outcome
    return directory


def test_what_grew_is_named_beside_absolute_values(emu, records: Path):
    stack = [json.loads((records / f"{name}.json").read_text())["runs"][0]["memory"] for name in ("base", "new")]
    base, new = (memory["stack_peak_bytes"] for memory in stack)
    outcome = emu("diff", records / "base.json", records / "new.json")
    assert outcome.code == 1, outcome
    lines = outcome.stdout.splitlines()
    assert lines[0] == "program@stm32h7-unicorn"
    (row,) = (index for index, line in enumerate(lines) if "stack peak" in line)
    share = f"{(new - base) / base:+.1%}"
    assert lines[row].split() == f"✗ stack peak {base} B {new:,} B +2,048 B ({share}) 0".split()
    assert lines[row + 1].split()[0] == "filter"
    assert lines[row + 1].endswith("(+2,048 B)")
    assert lines[-1] != NOTHING_GREW


def test_nothing_grew(emu, records: Path):
    for base, new in (("base", "base"), ("new", "base")):
        outcome = emu("diff", records / f"{base}.json", records / f"{new}.json")
        assert outcome.code == 0, outcome
        assert outcome.stdout.splitlines()[-1] == NOTHING_GREW


@pytest.mark.parametrize(
    ("gates", "code"),
    [("stack=2 KB,ram=2048", 0), ("stack=2047", 1), ("heap=0", 0), ("ram=1%", 1), ("stack=10000%", 0)],
)
def test_what_may_grow(emu, records: Path, gates: str, code: int):
    outcome = emu("diff", records / "base.json", records / "new.json", "--fail-on-increase", gates)
    assert outcome.code == code, outcome


def test_markdown_is_a_table(emu, records: Path):
    outcome = emu("diff", records / "base.json", records / "new.json", "--markdown")
    assert outcome.code == 1, outcome
    table = [line for line in outcome.stdout.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(BUDGETS)
    assert {line.count("|") for line in table} == {8}
    assert "**stack peak** of `program@stm32h7-unicorn` grew in:" in outcome.stdout
    assert "- `filter` " in outcome.stdout


def test_runs_that_only_one_side_has_are_told(emu, records: Path, tmp_path: Path):
    both = json.loads((records / "base.json").read_text())
    both["runs"].append({**both["runs"][0], "model": "other"})
    (tmp_path / "both.json").write_text(json.dumps(both))
    added = emu("diff", records / "base.json", tmp_path / "both.json")
    assert (added.code, "other@stm32h7-unicorn: only in the new figures" in added.stdout) == (0, True)
    missing = emu("diff", tmp_path / "both.json", records / "base.json")
    assert (missing.code, "other@stm32h7-unicorn: only in the base" in missing.stdout) == (0, True)


def test_names_do_not_command_the_terminal(emu, records: Path, tmp_path: Path):
    escapes = {'"filter"': r'"\u001b[2Jfilter"', '"program"': r'"pro\u0007gram"'}
    for name in ("base", "new"):
        text = (records / f"{name}.json").read_text()
        for plain, escaped in escapes.items():
            text = text.replace(plain, escaped)
        (tmp_path / f"{name}.json").write_text(text)
    outcome = emu("diff", tmp_path / "base.json", tmp_path / "new.json")
    assert outcome.code == 1, outcome
    assert r"\x1b[2Jfilter" in outcome.stdout
    assert outcome.stdout.replace("\n", "").isprintable()


def test_what_cannot_be_compared(emu, records: Path, tmp_path: Path):
    base, other = records / "base.json", tmp_path / "other.json"
    emu("diff", base, other).assert_one_clear_line("other.json: No such file")
    for text in ("", "[]", "3", '{"runs": 3}', "\x00"):
        other.write_text(text)
        emu("diff", base, other).assert_one_clear_line("other.json")
    other.write_text('{"schema": 1, "runs": {}}')
    emu("diff", base, other).assert_one_clear_line("no run of the same model and target")
    emu("diff", base, base, "--fail-on-increase", "stacks=0").assert_one_clear_line('"stacks=0"', "static_ram")
    twice = json.loads(base.read_text())
    twice["runs"].append({**twice["runs"][0], "firmware": {"path": "x", "sha256": "0", "toolchain": None}})
    other.write_text(json.dumps(twice))
    emu("diff", other, base).assert_one_clear_line("different firmware is called program@stm32h7-unicorn")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stak=0", '"stak=0" of "stak=0" is not FIGURE=INCREASE; the figures are flash, heap'),
        ("flash=1%,stack", '"stack" of "flash=1%,stack" is not FIGURE=INCREASE'),
        ("stack=-1", "an increase is a number, a size or a share"),
        ("stack=1 GB", "an increase is a number, a size or a share"),
        ("stack=%", "an increase is a number, a size or a share"),
        (" , ", "names no figure"),
    ],
)
def test_increases_that_cannot_be(text: str, says: str):
    with pytest.raises(InputError) as error:
        parse_gates(text)
    assert says in str(error.value)
