"""Prose says "if" for a condition: the sentences that a pattern can recognise, in the folders that are reworded."""

import re

import pytest
from reading import REPOSITORY, Passage, read, written_files

REWORDED = (
    "README.md",
    "bench",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/conf.py",
    "docs/examples",
    "docs/generator",
    "docs/how-to",
    "docs/explanation",
    "docs/tutorial.md",
    "emu/architectures",
    "emu/machines",
    "emu/native",
    "emu/probes",
    "emu/firmware.py",
    "emu/elf.py",
    "emu/debug_info.py",
    "emu/mailbox.py",
    "emu/parity.py",
    "ci/",
    ".github",
    "emu/commands",
    "emu/doctor.py",
    "emu/inputs.py",
    "emu/record.py",
    "emu/robot.py",
    "emu/run/",
    "emu/suppressions.py",
    "emu/targets.py",
    "emu/toolchains/__init__.py",
    "emu/toolchains/display.py",
    "emu/toolchains/espressif.py",
    "emu/toolchains/installation.py",
    "emu/toolchains/recipe.py",
    "linker",
    "models",
    "robot",
    "targets/",
    "conftest.py",
    "tests/ci",
    "tests/faults",
    "tests/fuzz",
    "tests/machines",
)
"""Files and folders whose prose follows the patterns; a newly reworded one is added here."""

PATTERNS = {
    '"where" opens a condition': re.compile(r"(?:^|[.;:] )Where (?!\|)(?![^.]*\?)"),
    '"where" follows a value': re.compile(r"\b(?:None|null|empty|Error|code is \d) where\b"),
    '"Of" opens a sentence': re.compile(r"(?:^|[.:] )Of "),
}


def broken_rules(text: str) -> list[str]:
    joined = " ".join(text.split())
    return [rule for rule, pattern in PATTERNS.items() if pattern.search(joined)]


def test_reworded_prose_has_no_such_sentence():
    paths = [path for path in written_files() if path.relative_to(REPOSITORY).as_posix().startswith(REWORDED)]
    passages: list[Passage] = [passage for path in paths for passage in read(path).prose]
    assert {name for name in REWORDED if not any(str(passage).startswith(name) for passage in passages)} == set()
    assert [(str(passage), rules) for passage in passages if (rules := broken_rules(passage.text))] == []


@pytest.mark.parametrize(
    "text",
    ["Where it fails, ask.", "Return the name; None where it has none.", "It is known. Of the\nheap nothing is."],
)
def test_a_broken_rule_is_found(text: str):
    assert broken_rules(text)


@pytest.mark.parametrize("text", ["Return None if there is none.", "The file where it is kept.", "Where is it? Here."])
def test_plain_prose_is_not_reported(text: str):
    assert not broken_rules(text)
