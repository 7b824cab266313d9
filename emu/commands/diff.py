"""`emu diff`: compare two records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emu.commands.parameters import BoardFiles, known_targets

if TYPE_CHECKING:
    from emu.budgets.baseline import Baseline


def diff(
    base: Annotated[
        Path, typer.Argument(metavar="BASE", help="Run records of `emu run --json`, a baseline, or firmware (.elf).")
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The newer records, baseline or firmware.")],
    fail_on_increase: Annotated[
        str | None,
        typer.Option(
            metavar="FIGURE=INCREASE,...",
            help="How much figures may grow, for example stack=0,flash=1%,heap=512 B; others may grow freely. "
            "Without this option nothing may grow.",
        ),
    ] = None,
    board: BoardFiles = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Compare the figures of runs. The exit code is 1 if a figure grew more than it may.

    The figures are flash, heap, instructions, ram, stack and static_ram. Firmware that has not run has only flash and
    static_ram. Two files with one run each are compared whatever the runs' names are.
    """
    from emu.budgets.comparison import NO_INCREASE, compare, figures_of_both, parse_gates
    from emu.errors import InputError
    from emu.reports.difference import difference_as_markdown, difference_as_text

    gates = NO_INCREASE if fail_on_increase is None else parse_gates(fail_on_increase)
    comparison = compare(*figures_of_both(_read(base, board), _read(new, board)), gates)
    if not comparison.changes:
        raise InputError(
            f"{base} and {new} have no run of the same model and target; give files with one run each, or give "
            "the runs the same names with `emu run --name`"
        )
    print(difference_as_markdown(comparison) if markdown else difference_as_text(comparison), end="")
    if not comparison.ok:
        raise typer.Exit(1)


def _read(path: Path, board: list[Path] | None) -> "Baseline":
    from emu.budgets.baseline import baseline_of_layout, read_baseline
    from emu.elf import is_elf

    if not is_elf(path):
        return read_baseline(path)
    from emu.run.sizing import read_layouts

    (layout,) = read_layouts(path, known_targets(board))
    return baseline_of_layout(layout)
