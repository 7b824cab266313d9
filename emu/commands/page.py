"""The HTML page. The template engine is imported only when a page is written."""

from collections.abc import Sequence

from emu.record import Run


def render_page(runs: Sequence[Run]) -> str:
    """Return the page of ``runs``."""
    from emu.reports.html import render_html

    return render_html(runs)
