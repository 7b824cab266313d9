"""`emu targets`: what each target emulates."""

from itertools import groupby

from emu.commands.parameters import BoardFiles, known_targets


def targets(board: BoardFiles = None) -> None:
    """List the targets: what each emulates, and what it leaves out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    console = Console()
    for of_board, its_targets in groupby(known_targets(board).values(), key=lambda target: target.board):
        console.print(f"[bold]{escape(of_board.title)}[/]")
        for target in its_targets:
            console.print(Padding(f"[bold]{target.name}[/]  {escape(target.emulation.title)}", (0, 0, 0, 2)))
            gaps = Table.grid(padding=(0, 1))
            for gap in target.emulation.not_emulated:
                gaps.add_row("[dim]not emulated:[/]", f"[dim]{escape(gap)}[/]")
            console.print(Padding(gaps, (0, 0, 0, 4)))
        console.print()
