"""The site: it builds without a warning, and in a real Chromium every page fits, and fetches nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import REPOSITORY
from playwright.sync_api import Browser

import emu


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build as CONTRIBUTING.md says."""
    site = tmp_path_factory.mktemp("site")
    process = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--nitpicky", "docs", str(site)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(Path(emu.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return site


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_every_page_fits_and_fetches_nothing(site: Path, browser: Browser, width: int, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    files = sorted(file for file in site.rglob("*.html") if not file.is_relative_to(site / "_static"))
    assert len(files) > 15
    for file in files:
        page.goto(file.as_uri(), wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(background.removeprefix("rgb(").split(",")[0]) < 128) == (scheme == "dark")
    assert complaints == []
    assert [request for request in requests if not request.startswith(("data:", site.as_uri()))] == []
    page.close()


def test_the_reference_has_everything(site: Path, browser: Browser):
    """For each part, a name that users type and that only the code has."""
    page = browser.new_page()
    for name, words in {
        "command-line": ("emu run", "--replace-allocator", "--trace-input", "emu toolchain install"),
        "board-files": ("linker_script", "not_emulated", "peripherals"),
        "run-record": ("schema", "stack_peak_bytes", "by_function", "not_measured", "heap_region_bytes"),
        "pytest": ("limit_stack", "no_memory_errors", "--emu-update-baseline", "emu_fail_on_increase", "emu_build("),
        "inputs": ("logits64", "reason"),
    }.items():
        page.goto((site / f"reference/{name}.html").as_uri())
        text = page.locator("article").inner_text()
        assert [word for word in words if word not in text] == []
    page.close()


def test_the_reference_has_each_option_as_help_has_it(site: Path, browser: Browser):
    page = browser.new_page()
    page.goto((site / "reference/command-line.html").as_uri())
    text = page.locator("article").inner_text()
    for command in ("doctor", "targets", "export", "build", "run", "report", "robot", "diff", "size", "board new",
                    "toolchain install"):  # fmt: skip
        arguments = [sys.executable, "-m", "emu", *command.split(), "--help"]
        environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
        told = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout
        told = re.sub(r"-\n +", "-", told)  # an option's name may go on in the next line
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told.partition("Options")[2])) - {"--help"}
        section = re.search(rf"^emu {command}\n(.*?)(?=^emu [a-z ]+\n|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section is not None, command
        assert {option for option in options if not re.search(rf"{option}(?![\w-])", section[1])} == set(), command
    page.close()


def test_a_search_finds_its_page(site: Path, browser: Browser):
    page = browser.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q=suppressions")
    page.get_by_role("link", name="Find memory errors").first.wait_for()
    page.close()
