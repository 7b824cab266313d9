"""Turns a record into a record in which every text tries to break out of a report."""

from typing import Any

from emu.record import Run

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`|]]>--><!--&lt;{{7*7}}*_[a](http://b)\0\x1b[2J\x7f\u202e\n\r"
_FEW_WORDS = {"allocator", "pointer", "source"}  # the schema allows only a few values for these
_BY_NAME = {"by_function", "by_line", "environment", "lines", "loads_by_region", "not_measured", "stores_by_region"}


def hostile(run: Run) -> Run:
    """Return ``run`` with an attack in each text and each name, some of them very long, and 10^6 bytes of output."""
    document = _poisoned(run.model_dump(mode="json"), "")
    document["output"] = (ATTACK + "\n") * 5_000 + "x" * 1_000_000
    return Run.model_validate(document)


def _poisoned(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        named = [f"{ATTACK}{index}" for index in range(len(value))] if name in _BY_NAME else value
        return {key: _poisoned(each, old) for key, (old, each) in zip(named, value.items(), strict=True)}
    if name == "verdicts":  # their names decide what is shown next to them
        return [{**each, "value": ATTACK, "limit": ATTACK} for each in value]
    if isinstance(value, list):
        return [_poisoned(each, name) for each in value]
    if isinstance(value, str) and name not in _FEW_WORDS:
        return ATTACK + "long" * (20_000 if name == "function" else 1)
    return value
