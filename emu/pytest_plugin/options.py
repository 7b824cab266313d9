"""The plugin's options, settings and markers, by name."""

import pytest

from emu.emulators import DEFAULT_TARGET
from emu.figures import BUDGETS

LIMIT_MARKERS = {f"limit_{name}": budget for name, budget in BUDGETS.items()}
"""The figure that each marker limits."""

_OTHER_MARKERS = {
    "parity(atol=None, argmax=True)": "the outputs agree with PyTorch's: every logit is within atol (without atol, the "
    "mean error is within the limit of `emu run`), and with argmax every class is the same",
    "no_memory_errors(suppressions=None)": "the memory checker finds no error, except those that the .toml file "
    "`suppressions` accepts",
}
_EVERY_MARKER = "Holds for each run that the test makes with emu_run; target='*-unicorn' restricts it to such targets."

MARKERS = (*LIMIT_MARKERS, "parity", "no_memory_errors")
NOT_LOOKED_FOR = ".memory_errors_not_looked_for"
"""The end of the name of a test's property, which lists the errors that ``no_memory_errors`` did not look for."""


def register(parser: pytest.Parser) -> None:
    """Register the options, and their settings for pyproject.toml or pytest.ini."""
    group = parser.getgroup("emu", "firmware in emulators (emu)")
    group.addoption(
        "--emu-target",
        action="append",
        default=[],
        metavar="TARGET",
        help=f"Run on this target, one that `emu targets` lists, or on all. Repeatable. "
        f"Default: the setting emu_target, then the targets of emu.toml, then {DEFAULT_TARGET}.",
    )
    group.addoption(
        "--emu-board",
        action="append",
        default=[],
        metavar="FILE",
        help="Add the targets of a board file (.toml) of your own. Repeatable; adds to the setting emu_boards.",
    )
    group.addoption(
        "--emu-strict",
        action="store_true",
        default=False,
        help="Fail if a target's emulator or compiler is missing, instead of skipping the test.",
    )
    group.addoption("--emu-baseline", metavar="FILE", help="Compare each run with the figures in FILE (JSON).")
    group.addoption(
        "--emu-update-baseline",
        action="store_true",
        default=False,
        help="Write the figures of this session to the baseline, and compare nothing.",
    )
    group.addoption(
        "--emu-fail-on-increase",
        metavar="FIGURE=INCREASE,...",
        help="How much figures may grow over the baseline, such as stack=0,flash=1%%,instructions=2%%. Figures that it "
        "does not name may grow freely. Without this option no figure may grow.",
    )
    parser.addini("emu_target", "Targets to run on (see --emu-target).", type="args", default=[])
    parser.addini("emu_boards", "Board files of your own, relative to this file.", type="paths", default=[])
    parser.addini("emu_strict", "Whether a missing emulator or compiler is a failure.", type="bool", default=False)
    parser.addini("emu_baseline", "The baseline's file, relative to this file.", default="")
    parser.addini("emu_fail_on_increase", "How much figures may grow over the baseline.", default="")
    for name, budget in LIMIT_MARKERS.items():
        meaning = f"For every run without a {name} marker: {budget.meaning}, such as {budget.example}."
        parser.addini(f"emu_{name}", meaning, default="")


def register_markers(config: pytest.Config) -> None:
    """Register the markers, for --strict-markers and --markers."""
    for name, budget in LIMIT_MARKERS.items():
        config.addinivalue_line("markers", f"{name}({budget.example}): {budget.meaning}. {_EVERY_MARKER}")
    for name, meaning in _OTHER_MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}. {_EVERY_MARKER}")


def setting(config: pytest.Config, name: str) -> str:
    """Return the option ``--emu-NAME``, else the setting ``emu_NAME``; empty if neither is given."""
    return config.getoption(f"emu_{name}") or config.getini(f"emu_{name}")


def are_given(config: pytest.Config) -> bool:
    """Return whether an option or setting of the plugin has a value."""
    names = ("target", "baseline", "fail_on_increase")
    limits = any(config.getini(f"emu_{name}") for name in LIMIT_MARKERS)
    boards = config.getoption("emu_board") or config.getini("emu_boards")
    return bool(limits or boards or config.getoption("emu_update_baseline") or any(setting(config, n) for n in names))


def uses_emu(item: pytest.Item) -> bool:
    """Return whether a test runs firmware, or has a marker about runs."""
    if "emu_run" in getattr(item, "fixturenames", ()):
        return True
    return any(mark.name in MARKERS for mark in item.own_markers)
