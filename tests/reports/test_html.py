"""The HTML page as a parser reads it; another test looks at the page in a browser."""

import re
from html.parser import HTMLParser
from pathlib import Path

from emu.record import Run, read_run_file
from emu.reports.html import render_html

# The tags and attributes of the templates; any other came out of a record.
TAGS = """
html head meta link title style body header p h1 h2 h3 span main section div table thead tbody tr th td a small
article ol ul li dl dt dd code strong details summary figure figcaption output svg path pre footer script
"""
VOID = {"meta", "link"}


class Page(HTMLParser):
    """Collects tags, attributes and texts, and checks that every tag is closed where it should be."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(text for text in self.texts if text)


def test_the_page_is_made_of_our_own_markup_alone(runs: list[Run]):
    text = render_html(runs)
    page = Page(text)
    assert set(page.tags) <= set(TAGS.split())
    assert page.tags.count("script") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "srcdoc", "action")]
    links = {value for name, value in page.attributes if name == "href"}
    assert all(re.fullmatch(r"#run-\d+|data:,", link) for link in links)
    assert not re.search(r"[^\n -~\xa0-\uffff]", text), "control characters"
    assert "\u202e" not in text
    assert len(text) < 3_000_000
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    described = {value for name, value in page.attributes if name == "aria-labelledby"}
    assert described <= set(names)


def test_every_figure_of_a_run_is_there(written: Path):
    page = Page((written / "report.html").read_text()).text
    for run in read_run_file(written / "run.json").runs:
        memory, instructions, parity = run.memory, run.instructions, run.parity
        assert memory.ram_peak_bytes is not None
        assert memory.stack_peak_bytes is not None
        assert instructions.total is not None
        assert instructions.per_inference is not None
        assert parity is not None
        for count in (memory.flash_bytes, memory.static_ram_bytes, memory.ram_peak_bytes, memory.stack_peak_bytes):
            assert f"{count:,} B" in page
        for count in (instructions.total, instructions.per_inference, *instructions.by_function.values()):
            assert f"{count:,}" in page or count < instructions.total / 1000
        for verdict in run.verdicts:
            assert f"{verdict.name} {verdict.value} limit: {verdict.limit}" in page
        for frame in run.stack.backtrace:
            assert f"{frame.frame_bytes:,} B {frame.function} {frame.file}:{frame.line}" in page
        for each in parity.by_class:
            assert each.name is not None
            assert each.name in page
        assert run.firmware.sha256 in page
        assert "All 10 verdicts hold" in page


def test_what_failed_comes_first_with_its_place_and_callers(faulty: Run):
    page = Page(render_html([faulty])).text
    assert "2 of 3 verdicts failed" in page
    verdicts = page[page.index("Verdicts") : page.index("Faults")]
    assert verdicts.index("no memory error") < verdicts.index("stack fits")
    faults = page[page.index("Faults") : page.index("Stack at its peak")]
    for words in (
        "double free",
        "unmapped write",
        "uninitialised branch",
        "in store_far_away",
        "in close_twice",
        "in decide",
    ):
        assert words in faults
    source = (Path(__file__).parent / "leaks_and_faults.c").read_text().splitlines()
    line = next(number for number, text in enumerate(source, start=1) if "/* unmapped */" in text)
    assert f"leaks_and_faults.c:{line} (pc 0x" in faults
    leaks = page[page.index("Never freed") :]
    assert "copy" in leaks
    assert "called by load_names < main" in leaks
    assert "<script>alert('printed')</script> | `a` ]]> \\x1b[31mred" in page


def test_a_second_build_names_the_function_that_grew(regressed: list[Run]):
    page = Page(render_html(regressed)).text
    compared = page[page.index("side by side") :]
    base, worse = (run.memory.stack_peak_bytes for run in regressed)
    assert f"stack, reserved {base:,} B {worse:,} B +4,096 B" in compared
    assert f"flash {regressed[0].memory.flash_bytes:,} B {regressed[0].memory.flash_bytes:,} B same" in compared
    differing = compared[compared.index("Frames at the stack's peak that differ") : compared.index("Verdicts")]
    assert "scan_and_gate" in differing
    assert "mamba_step" not in differing
    assert "the firmware no class" in page


def test_what_was_not_measured_says_why(unmeasured: Run):
    page = Page(render_html([unmeasured])).text
    assert "Nothing was judged" in page
    assert page.count("not measured the machine ran bare") == 4  # reserved, touched, heap, and RAM, which is their sum
    assert "0 instructions" not in page
    assert "0.0%" not in page


def test_an_attack_is_shown_as_text(poisoned: list[Run]):
    page = Page(render_html(poisoned)).text
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in page
    assert "\\x1b[2J\\x7f\\u202e\\n\\r" in page
    assert "{{7*7}}" in page
    assert "The last 400 of" in page
