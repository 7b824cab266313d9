"""`emu diff`: compare two records."""

from pathlib import Path
from typing import Annotated

import typer


def diff(
    base: Annotated[Path, typer.Argument(metavar="BASE.json", help="Run records of `emu run --json`, or a baseline.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The newer records, or a baseline.")],
    fail_on_increase: Annotated[
        str | None,
        typer.Option(
            metavar="FIGURE=INCREASE,...",
            help="How much figures may grow, for example stack=0,flash=1%,heap=512 B; others may grow freely. "
            "Without this option nothing may grow.",
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Compare the figures of runs. The exit code is 1 if a figure grew more than it may.

    The figures are flash, heap, instructions, ram, stack and static_ram.
    """
    from emu.budgets.baseline import read_baseline
    from emu.budgets.comparison import NO_INCREASE, compare, parse_gates
    from emu.errors import InputError
    from emu.reports.difference import difference_as_markdown, difference_as_text

    gates = NO_INCREASE if fail_on_increase is None else parse_gates(fail_on_increase)
    comparison = compare(read_baseline(base), read_baseline(new), gates)
    if not comparison.changes:
        raise InputError(f"{base} and {new} have no run of the same model and target")
    print(difference_as_markdown(comparison) if markdown else difference_as_text(comparison), end="")
    if not comparison.ok:
        raise typer.Exit(1)
