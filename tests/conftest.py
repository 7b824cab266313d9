"""Fixtures for tests in several directories."""

import os
import shutil
from collections.abc import Iterator

import pytest
from children import pytest_configure as pytest_configure
from children import pytest_unconfigure as pytest_unconfigure
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a process: playwright cannot start a second one."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: apt-get install {BROWSERS[0]}")
    without_sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to be root in its sandbox
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=without_sandbox)
        yield browser
        browser.close()
