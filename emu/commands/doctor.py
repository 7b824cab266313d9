"""`emu doctor`: what is installed."""

import typer
from rich.console import Console
from rich.markup import escape

from emu.commands.parameters import BoardFiles
from emu.doctor import examine
from emu.targets import load_targets


def doctor(board: BoardFiles = None) -> None:
    """Say what is installed, which targets can run, and how to get the rest."""
    console = Console()
    findings = examine(load_targets(board or ()).values())
    for finding in findings:
        mark = "[green]✓[/]" if finding.ok else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        remedy = "" if finding.ok else f"  [bold]{escape(finding.remedy)}[/]"
        console.print(f"{mark} {finding.name}: {escape(finding.detail)}{remedy}", soft_wrap=True, highlight=False)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(3)
