"""`emu doctor`: what is installed, and on which targets a run starts."""

import typer

from emu.commands.parameters import BoardFiles, known_targets


def doctor(board: BoardFiles = None) -> None:
    """Say what is installed, and on which targets a run begins.

    Each line about what is missing names the command that installs it.
    """
    from rich.console import Console
    from rich.markup import escape

    from emu.doctor import examine

    console = Console()
    complete = True
    for finding in examine(known_targets(board).values()):
        complete &= finding.ok or not finding.required
        mark = "[green]✓[/]" if finding.ok else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        remedy = "" if finding.ok else f"  [bold]{escape(finding.remedy)}[/]"
        console.print(f"{mark} {finding.name}: {escape(finding.detail)}{remedy}", soft_wrap=True, highlight=False)
    if not complete:
        raise typer.Exit(3)
