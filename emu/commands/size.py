"""`emu size`: what fills flash and RAM."""

from pathlib import Path
from typing import Annotated

import typer

from emu.commands.parameters import BoardFiles, known_targets, target_names


def size(
    firmware: Annotated[
        Path, typer.Argument(metavar="FIRMWARE.elf|RUN.json", help="Firmware, or records of `emu run --json`.")
    ],
    against: Annotated[
        Path | None, typer.Option(metavar="BASE", help="Show what changed since this ELF or record.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="region|section|archive|file|symbol",
            help="How to group the bytes; repeatable. Default: by section, file and symbol.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="The most groups of each memory; 0 shows all.")] = 15,
    linker_map: Annotated[
        Path | None,
        typer.Option("--map", help="The linker's map, which tells libraries. Default: FIRMWARE.map next to the ELF."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            autocompletion=target_names,
            help="A target of the board. Default: the first board that fits.",
        ),
    ] = None,
    board: BoardFiles = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write every grouping and every piece as JSON; - prints it.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every piece as CSV; - prints it.")] = None,
) -> None:
    """Say what fills flash and RAM, without a run.

    The bytes are grouped by memory, section, library, file and symbol.
    """
    from emu.reports import sizes as render
    from emu.run.sizing import read_layouts
    from emu.sizes import parse_ways
    from emu.targets import find_target
    from emu.writing import require_distinct, write_output

    ways = parse_ways(by or ("section", "file", "symbol"))
    require_distinct([firmware, against, linker_map, *(board or ())], [json, csv])
    known = known_targets(board)
    chosen = None if target is None else find_target(target, known)
    layouts = read_layouts(firmware, known, chosen, linker_map)
    for path, render_all in ((json, render.sizes_as_json), (csv, render.sizes_as_csv)):
        if path is not None:
            write_output(path, render_all(layouts).encode())
    most = top or None
    if against is not None:
        (before, after), *_ = zip(read_layouts(against, known, chosen), layouts, strict=False)
        print(render.changes_as_text(before, after, ways, most), end="")
    elif json is None and csv is None:
        text = render.sizes_as_markdown if markdown else render.sizes_as_text
        print("\n".join(text(layout, ways, most) for layout in layouts), end="")
