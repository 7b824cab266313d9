"""What fills the memories: as text for a terminal, as Markdown, as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence

from emu.figures import written
from emu.printable import printable
from emu.sizes import WAYS, By, Fill, Grown, Layout, changes, fills, groups

_NO_MAP = "no linker's map is known; link with -Wl,-Map=FIRMWARE.map, next to FIRMWARE.elf, or give --map FILE"
_LONGEST_NAME = 48
_Row = Sequence[str]
_Table = Callable[[_Row, Sequence[_Row]], str]
"""Draws a table from its headings and its rows."""


def sizes_as_text(layout: Layout, by: Iterable[By], most: int | None) -> str:
    """Return the layout as text: the memories, then each grouping with at most ``most`` groups of each memory."""
    return _document(layout, by, most, _text_table, heading="{}")


def sizes_as_markdown(layout: Layout, by: Iterable[By], most: int | None) -> str:
    """Return the layout as Markdown."""
    return _document(layout, by, most, _markdown_table, heading="**{}**")


def changes_as_text(before: Layout, after: Layout, by: Iterable[By], most: int | None) -> str:
    """Return what grew and shrank from one layout to another, as text."""
    parts = [f"{printable(before.name)} -> {printable(after.name)}"]
    ways: list[By] = ["region", *(each for each in by if each != "region")]
    for way in ways:
        rows = changes(before.pieces, after.pieces, way)
        parts.append(f"By {way}")
        parts.append(_text_table(("memory", way, "before", "after", "change"), _changed(rows[:most])) if rows else "=")
        parts += _more(len(rows), most)
    return "\n\n".join(parts) + "\n"


def sizes_as_csv(layouts: Iterable[Layout]) -> str:
    """Return every piece as a line of CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ("region", "section", "address", "bytes", "symbol", "file", "archive", "initial_values", "reserved")
    writer.writerow(("firmware", *fields))
    for layout in layouts:
        for piece in layout.pieces:
            row = piece.model_dump()
            row["address"] = f"{piece.address:#010x}"
            writer.writerow((layout.name, *(row[field] for field in fields)))
    return text.getvalue()


def sizes_as_json(layouts: Iterable[Layout]) -> str:
    """Return the memories, every grouping and every piece as JSON."""
    documents = [
        {
            "name": layout.name,
            "memories": [_fill(fill) for fill in fills(layout.pieces, layout.spaces)],
            "by": {
                way: [
                    {"region": row.region, "name": row.name, "address": row.address, "bytes": row.bytes}
                    for row in groups(layout.pieces, way)
                ]
                for way in WAYS
            },
            "pieces": [piece.model_dump() for piece in layout.pieces],
        }
        for layout in layouts
    ]
    return json.dumps({"schema": 1, "layouts": documents}, indent=2) + "\n"


def _fill(fill: Fill) -> dict[str, object]:
    return {
        "region": fill.space.name,
        "start": fill.space.start,
        "size": fill.space.size,
        "used": fill.used,
        "reserved": fill.reserved,
        "free": fill.free,
        "largest_gap": fill.largest_gap,
    }


def _document(layout: Layout, by: Iterable[By], most: int | None, table: _Table, heading: str) -> str:
    memories = ("memory", "from", "used", "of", "", "reserved", "free", "in one piece")
    rows = [
        (
            fill.space.name,
            f"{fill.space.start:#010x}",
            *(written(fill.used, "B"), written(fill.space.size, "B"), f"{fill.used / fill.space.size:.1%}"),
            *(written(amount, "B") for amount in (fill.reserved, fill.free, fill.largest_gap)),
        )
        for fill in fills(layout.pieces, layout.spaces)
    ]
    parts = [heading.format(printable(layout.name)), table(memories, rows)]
    for way in by:
        parts.append(heading.format(f"By {way}"))
        if way == "archive" and not layout.has_map:
            parts.append(_NO_MAP)
            continue
        for region in dict.fromkeys(piece.region for piece in layout.pieces):
            found = [row for row in groups(layout.pieces, way) if row.region == region]
            if found:
                whole = sum(row.bytes for row in found)
                shown = [
                    (region, f"{row.address:#010x}", written(row.bytes, "B"), f"{row.bytes / whole:.1%}", row.name)
                    for row in found[:most]
                ]
                parts.append(table(("memory", "from", "bytes", "share", way), shown))
                parts += _more(len(found), most)
    return "\n\n".join(parts) + "\n"


def _changed(rows: Iterable[Grown]) -> list[_Row]:
    return [
        (row.region, row.name, written(row.before, "B"), written(row.after, "B"), f"{row.increase:+,} B")
        for row in rows
    ]


def _more(number: int, most: int | None) -> list[str]:
    return [f"{number - most:,} more (--top 0 shows all)"] if most is not None and number > most else []


def _text_table(headings: _Row, rows: Sequence[_Row]) -> str:
    cells = [[_short(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    is_number = [all(row[column][:1] in "+-0123456789" for row in rows) for column in range(len(headings))]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def _markdown_table(headings: _Row, rows: Sequence[_Row]) -> str:
    is_number = [all(row[column][:1] in "+-0123456789" for row in rows) for column in range(len(headings))]
    lines = [headings, ["--:" if number else "---" for number in is_number], *([_code(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(cell: str) -> str:
    return "`" + printable(cell).replace("`", "'").replace("|", "\\|") + "`" if cell else ""


def _short(cell: str) -> str:
    text = printable(cell)
    return text if len(text) <= _LONGEST_NAME else f"…{text[1 - _LONGEST_NAME :]}"
