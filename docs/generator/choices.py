"""The choices of a model's forward pass as Markdown."""

from collections.abc import Iterator

from emu.model.choices import CHOICES


def describe() -> str:
    """Return a table of the choices, with the values of each and those that the engine computes."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| Choice | Values | The engine computes |"
    yield "|---|---|---|"
    for choice in CHOICES:
        values = "; ".join(f"`{value}`: {words}" for value, words in choice.values.items())
        computed = ", ".join(f"`{value}`" for value in choice.values if value in choice.computed)
        yield f"| `{choice.key}` | {values} | {computed} |"
    yield "| `norm_epsilon`, `inner_norm_epsilon` | a number between 0 and 1 | any |"
