"""Show the progress of a build: on a terminal a line that changes, elsewhere a line for each step."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class BuildDisplay:
    """A watcher that shows the steps of a build on ``console``, and the last line that the current step printed."""

    def __init__(self, console: Console):
        self._console = console
        columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=None, visible=False)
        self._began = time.monotonic()
        self._step = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def waits(self) -> None:
        """Say that another process builds this toolchain."""
        self._say("waiting for another process that builds the same toolchain")

    def begins(self, number: int, count: int, title: str) -> None:
        """Say which step begins."""
        self._began = time.monotonic()
        self._step = f"{number}/{count} {title}"
        if not self._console.is_terminal:
            self._say(self._step)
        self._progress.reset(self._task, total=count, completed=number, description=escape(title), visible=True)

    def prints(self, line: str) -> None:
        """Show the end of the line: in a compiler's command line, the name of the source file."""
        title = self._step.partition(" ")[2]
        room = max(0, self._console.width - len(title) - 30)
        description = f"{escape(title)} [dim]{escape(line[-room:] if room else '')}[/]"
        self._progress.update(self._task, description=description)

    def ends(self) -> None:
        """Say how long the step took."""
        self._say(f"{self._step}: done in {time.monotonic() - self._began:.0f} s")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
