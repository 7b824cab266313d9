"""The HTML page in a real Chromium: nothing is fetched, nothing complains, everything fits and can be read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from emu.record import Run
from emu.reports.html import render_html

WIDTHS, SCHEMES = (400, 1400), ("light", "dark")

# The lowest contrast of a visible text against its background (WCAG 2), and its place.
LOWEST_CONTRAST = """() => {
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const [r, g, b, alpha = 1] = colour(getComputedStyle(element).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    throw new Error("nothing opaque behind the page");
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let lowest = [21, ""];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, .hidden")) continue;
    const two = [colour(getComputedStyle(element).color), behind(element)].map(luminance);
    const contrast = (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, element.outerHTML.slice(0, 200)];
  }
  return lowest;
}"""


def page_file(directory: Path, runs: list[Run]) -> str:
    path = directory / "report.html"
    path.write_text(render_html(runs))
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, tmp_path: Path, demos: list[Run]) -> Iterator[Page]:
    """The page about both demos, wide and light."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(page_file(tmp_path, demos))
    yield page
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_reads_well_and_fetches_nothing(browser: Browser, tmp_path: Path, runs: list[Run], width: int, scheme):
    address = page_file(tmp_path, runs)
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address, wait_until="load")
    page.evaluate("() => document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert complaints == []
    assert [request for request in requests if not request.startswith("data:")] == [address]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrast, where = page.evaluate(LOWEST_CONTRAST)
    assert contrast >= 4.5, where
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background.removeprefix("rgb(").split(",")[0]) < 128) == (scheme == "dark")
    page.close()


def test_without_javascript_nothing_is_missing(browser: Browser, tmp_path: Path, demos: list[Run]):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(page_file(tmp_path, demos))
    assert page.get_by_text("All 10 verdicts hold").is_visible()
    frame = page.locator(".flame li", has_text="scan_and_gate").first
    box, whole = frame.bounding_box(), page.locator(".flame ol").first.bounding_box()
    assert box is not None
    assert whole is not None
    profile, counts = demos[0].profile, demos[0].instructions
    assert profile is not None
    assert counts.total is not None
    inclusive = next(path.inclusive_instructions for path in profile.call_paths if path.function == "scan_and_gate")
    assert box["width"] / whole["width"] == pytest.approx(inclusive / counts.total, abs=0.01)
    drawing = page.locator(".levels svg").first.bounding_box()
    assert drawing is not None
    assert drawing["height"] > 50
    context.close()


def test_the_flame_graph_zooms_by_mouse_and_keyboard(page: Page):
    graph = page.locator(".flame").first
    frame = graph.locator("li", has_text="scan_and_gate").first
    whole = graph.locator("ol").bounding_box()
    assert whole is not None

    def width() -> float:
        page.wait_for_function("() => document.getAnimations().length === 0")
        box = frame.bounding_box()
        assert box is not None
        return box["width"] / whole["width"]

    narrow = width()
    assert narrow < 0.95
    frame.click()
    assert width() == pytest.approx(1.0, abs=0.01)
    assert graph.locator("li", has_text="project_and_convolve").first.is_hidden()
    page.keyboard.press("Escape")
    assert width() == pytest.approx(narrow, abs=1e-4)  # Chromium snaps widths to 1/64 of a pixel
    page.keyboard.press("ArrowUp")
    assert graph.locator("li:focus").inner_text() == "mamba_step"
    page.keyboard.press("ArrowDown")
    assert graph.locator("li:focus").inner_text() == "scan_and_gate"
    assert "of its own" in graph.locator("output").inner_text()
    page.keyboard.press("Enter")
    assert width() == pytest.approx(1.0, abs=0.01)


def test_levels_can_be_read_off(page: Page):
    chart = page.locator(".levels").first
    chart.locator("svg").hover()
    assert "452 B from instruction " in chart.locator("output").inner_text()


def test_every_stop_of_the_tab_key_can_be_seen(page: Page):
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        if page.evaluate("document.activeElement === document.body"):
            break
        assert page.evaluate(f"{style}.outlineStyle") != "none"
        seen.add(page.evaluate("document.activeElement.tagName"))
    assert {"A", "SUMMARY", "LI"} <= seen
