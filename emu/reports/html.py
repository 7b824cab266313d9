"""Runs as one HTML page that needs no network and no other file. JavaScript adds conveniences only.

The templates are in ``page/``. Everything that a template prints is escaped and passes ``_safe``. So no text of a
record, such as a function's name or the firmware's output, can become markup or control a terminal.
"""

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import emu
from emu import wording
from emu.figures import readings, reasons, why_not, written
from emu.printable import printable
from emu.record import Run
from emu.reports import comparison, evidence
from emu.reports.charts import coverage_by_file, hottest_lines, level_path, region_parts
from emu.reports.flame_graph import lay_out
from emu.reports.treemap import draw
from emu.sizes import groups


def render_html(runs: Sequence[Run]) -> str:
    """Return the page about all ``runs``."""
    page = _environment()
    script = page.get_template("script.js").render()
    return page.get_template("page.html").render(
        runs=runs,
        comparisons=comparison.compare_runs(runs),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(page.get_template("style.css").render()),
        version=emu.__version__,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("emu.reports", "page"),
        autoescape=True,
        finalize=_safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": lambda number: "?" if number is None else f"{number:,} B",
        "number": lambda number: f"{number:,}",
        "percent": _percent,
        "css_percent": lambda share: f"{100 * share:.3f}%",
        "scientific": lambda number: written(number, "error"),
        "hex": lambda number: f"{number:#010x}",
        "drawing": _drawing,
    }
    environment.tests["finite"] = math.isfinite
    functions = [
        *(wording.counted, wording.kind, wording.last_lines, wording.left_out, wording.margin, wording.place),
        *(wording.allocator, wording.call_path, wording.function_of, wording.memory_size, wording.title),
        *(wording.error_of, wording.number_of, wording.frame_note, wording.interrupts_note, wording.repeated),
        wording.without_numbers,
        *(evidence.class_name, evidence.disagreements, evidence.finding_notes, evidence.refusal_note, evidence.where),
        *(readings, reasons, why_not),
        *(coverage_by_file, draw, groups, hottest_lines, lay_out, level_path, region_parts),
    ]
    environment.globals |= {function.__name__: function for function in functions}
    return environment


def _safe(value: Any) -> Any:
    """Return a value for a template to print: text loses control characters, and is cut if it is very long."""
    return printable(value) if type(value) is str else value


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _drawing(numbers: str) -> Markup:
    """Return the coordinates of a drawing, uncut and unescaped, because they may be long and are not text."""
    assert re.fullmatch(r"[\d.eMHVZ +-]*", numbers), "nothing but numbers and the letters of a path"
    return Markup(numbers)
