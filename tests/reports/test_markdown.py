"""Markdown as another parser renders it."""

import re
from pathlib import Path

from hostile import ATTACK, hostile
from markdown_it import MarkdownIt

from emu.printable import printable
from emu.record import Run, read_run_file
from emu.reports.markdown import MOST_BYTES, render_markdown

IN_A_CELL = 4  # the parser's depth of a table's text
PARSER = MarkdownIt("commonmark").enable("table")
OUR_HTML = re.compile(r"</?(details( open)?|summary|br)>")


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of every table."""
    found: list[list[list[str]]] = []
    for token in PARSER.parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append("")
        elif token.type == "inline" and found and token.level == IN_A_CELL:
            found[-1][-1][-1] = "".join(child.content for child in token.children or [])
    return found


def test_no_text_of_a_record_becomes_markup(runs: list[Run]):
    text = render_markdown(runs)
    assert len(text.encode()) <= MOST_BYTES
    html = PARSER.render(text)
    tags = set(re.findall(r"<[^>]*>", html))
    ours = {
        "h2",
        "h3",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "strong",
        "em",
        "details",
        "summary",
        "br",
    }
    assert {re.sub(r"[</>]|\s.*|( open)", "", tag) for tag in tags} <= ours
    assert not re.search(r"[^\n -~\xa0-\U0010ffff]", text), "control characters"
    for table in tables(text):
        assert len({len(row) for row in table}) == 1, "a row has as many cells as its heading"
    assert html.count("<details") == html.count("</details>") > 0
    assert "\\_" not in html, "escapes are for Markdown, not for its readers"


def test_a_cell_shows_its_text_as_it_is(poisoned: list[Run]):
    failed, *_ = tables(render_markdown(poisoned))
    attack = printable(ATTACK, 160)
    assert [(row[3], row[4]) for row in failed[1:]] == [(attack, attack)] * 4


def test_absolute_figures_and_verdicts(written: Path):
    text = (written / "report.md").read_text()
    assert text.startswith("## ✅ 10 verdicts, all hold\n")
    verdicts, figures, *_ = tables(text)
    runs = read_run_file(written / "run.json").runs
    expected = [
        [f"{run.model} on {run.target}", verdict.name, verdict.value, verdict.limit]
        for run in runs
        for verdict in run.verdicts
    ]
    assert [row[1:5] for row in verdicts[1:]] == expected
    for run, row in zip(runs, figures[1:], strict=True):
        assert row[:4] == ["✅", f"{run.model} on {run.target}", f"{run.memory.ram_peak_bytes:,} B", "452 B"]
        assert f"{run.instructions.per_inference:,}" in row


def test_the_worst_comes_first(faulty: Run, demos: list[Run]):
    text = render_markdown([*demos, faulty])
    assert text.startswith("## ❌ 2 of 13 verdicts failed\n")
    failed = tables(text)[0][1:]
    assert {row[0] for row in failed} == {"❌"}
    assert [row[2] for row in failed] == ["no fault", "no memory error"]
    html = PARSER.render(text)
    assert html.index("<strong>double free</strong>") < html.index("kws on stm32h7-unicorn: the stack")
    assert re.search(r"in store_far_away .*leaks_and_faults.c:\d+ \(pc 0x[0-9a-f]+\)", html)


def test_it_stays_short_whatever_the_record(faulty: Run):
    worst = hostile(faulty)
    text = render_markdown([worst] * 200)
    assert len(text.encode()) <= MOST_BYTES
    assert "parts of this report left out" in text
    assert "200" in text.splitlines()[0] or "of 600 verdicts" in text.splitlines()[0]
    assert ATTACK not in text
