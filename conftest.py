"""``--target`` is a short name of ``--emu-target`` for this repository's own tests; its documents use the short name.

If pytest-embedded is installed, its own ``--target`` chooses the target: only the last value counts.
"""

import argparse
import contextlib

import pytest

from emu import pytest_plugin


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the option, and the plugin itself if the checkout is not installed."""
    if not pluginmanager.has_plugin("emu"):
        pluginmanager.register(pytest_plugin, "emu")
    with contextlib.suppress(ValueError, argparse.ArgumentError):
        parser.addoption("--target", action="append", dest="emu_target", default=[], help="the same as --emu-target")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take over the target that pytest-embedded was given."""
    if target := config.getoption("target", default=None):
        config.option.emu_target.append(target)
