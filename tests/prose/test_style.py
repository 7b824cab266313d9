"""Prose is plain: no sentence has a turn that our rules forbid and that a pattern can recognise."""

import re

import pytest
from reading import Passage, read, written_files

EXCEPTIONS = {
    "emu/toolchains/xtensa/": "the key of the recipe covers every byte here, so a new comment builds GCC again",
}
"""Files and folders whose prose may break the patterns, each with the reason."""

PATTERNS = {
    '"where" opens a condition': re.compile(r"(?:^|[.;:] )Where (?!\|)(?![^.]*\?)"),
    '"where" follows a value': re.compile(r"\b(?:None|null|empty|Error|code is \d) where\b"),
    '"where there is" means "if there is"': re.compile(r", where (?:there|all|none) (?:is|are)\b"),
    '"Of" opens a sentence': re.compile(r"(?:^|[.:] )Of "),
    '"beside" means "next to"': re.compile(r"(?<!`)\b[Bb]eside\b"),
}


def broken_rules(text: str) -> list[str]:
    joined = " ".join(text.split())
    return [rule for rule, pattern in PATTERNS.items() if pattern.search(joined)]


def test_no_prose_breaks_a_rule():
    broken = {str(passage): rules for passage in _prose() if (rules := broken_rules(passage.text))}
    assert {place: rules for place, rules in broken.items() if not place.startswith(tuple(EXCEPTIONS))} == {}
    assert {name for name in EXCEPTIONS if not any(place.startswith(name) for place in broken)} == set()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ('"where" opens a condition', "Where it fails, ask."),
        ('"where" follows a value', "Return the name; None where it has none."),
        ('"where there is" means "if there is"', "Every test is skipped, where there\nis no compiler."),
        ('"Of" opens a sentence', "It is known. Of the\nheap nothing is."),
        ('"beside" means "next to"', "The linker script lies beside the board file."),
    ],
)
def test_a_broken_rule_is_found(rule: str, text: str):
    assert broken_rules(text) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "Return None if there is none.",
        "The file where it is kept.",
        "Where is it? Here.",
        "No file besides this; see ``beside``.",
    ],
)
def test_plain_prose_is_not_reported(text: str):
    assert not broken_rules(text)


def _prose() -> list[Passage]:
    return [passage for path in written_files() for passage in read(path).prose]
