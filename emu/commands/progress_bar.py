"""A progress bar over the inputs, on stderr. The bar disappears when the run ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from emu.run import Progress as Callback


@contextmanager
def progress_bar(name: str) -> Iterator[Callback]:
    """Show a bar called ``name``, and yield the function that moves the bar."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
