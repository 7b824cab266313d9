"""`emu doctor`: what is installed, and on which targets a run starts."""

import typer

from emu.commands.parameters import BoardFiles


def doctor(board: BoardFiles = None) -> None:
    """Say what is installed, begin a run on each target, and say how to get the rest."""
    from rich.console import Console
    from rich.markup import escape

    from emu.doctor import examine
    from emu.targets import load_targets

    console = Console()
    complete = True
    for finding in examine(load_targets(board or ()).values()):
        complete &= finding.ok or not finding.required
        mark = "[green]✓[/]" if finding.ok else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        remedy = "" if finding.ok else f"  [bold]{escape(finding.remedy)}[/]"
        console.print(f"{mark} {finding.name}: {escape(finding.detail)}{remedy}", soft_wrap=True, highlight=False)
    if not complete:
        raise typer.Exit(3)
