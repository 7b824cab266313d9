"""A GitHub action's inputs and outputs as Markdown, from its definition."""

from collections.abc import Iterator
from pathlib import Path

import yaml

_REPOSITORY = Path(__file__).parents[2]


def describe(path: str) -> str:
    """Return the inputs and outputs of the action at ``path``."""
    action = yaml.safe_load((_REPOSITORY / path).read_text())
    return "\n".join(_lines(action))


def _lines(action: dict) -> Iterator[str]:
    for name, given in action["inputs"].items():
        default = given.get("default")
        note = " Required." if given.get("required") else f" Default: `{default}`." if default else ""
        yield f"`{name}`\n: {given['description']}{note}\n"
    if "outputs" in action:
        yield "And gives back:\n"
        for name, output in action["outputs"].items():
            yield f"`{name}`\n: {output['description']}\n"
