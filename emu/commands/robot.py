"""`emu robot`: the Robot Framework suites."""

from pathlib import Path
from typing import Annotated

import typer

from emu.commands.parameters import BoardFiles, board_files, known_targets


def robot(
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="A board on Renode; repeatable. Default: all boards.")
    ] = None,
    board: BoardFiles = None,
    limit: Annotated[int, typer.Option(min=1, help="Inputs of each demo.")] = 10,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Directory for logs, reports and robot.xml (JUnit).")
    ] = Path("robot-results"),
) -> None:
    """Run the Robot Framework suites on Renode.

    In them boards boot, give PyTorch's answers, and print.

    `emu report RUN.json --junit FILE --robot DIR/robot.xml` adds the results to the results of runs.
    """
    from emu.printable import printable
    from emu.robot import run_suites
    from emu.targets import find_target
    from emu.writing import require_distinct

    known = known_targets(board)
    names = target or [name for name, each in known.items() if each.emulator_name == "renode"]
    targets = [find_target(name, known) for name in names]
    written = [output / name for name in ("robot.xml", "log.html", "report.html", *{each.name for each in targets})]
    require_distinct(board_files(board, targets), written)
    results = run_suites(targets, limit, output.absolute())
    print(f"{printable(str(results.xunit))}: {'all suites pass' if results.passed else 'a suite fails'}")
    if not results.passed:
        raise typer.Exit(1)
