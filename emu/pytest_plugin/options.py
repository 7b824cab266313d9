"""The plugin's options, settings and markers, by name."""

import pytest

from emu.figures import BUDGETS

DEFAULT_TARGET = "stm32h7-unicorn"

LIMIT_MARKERS = {f"limit_{name}": budget for name, budget in BUDGETS.items()}
"""The figure that each limits."""

_OTHER_MARKERS = {
    "parity(atol=None, argmax=True)": "the outputs agree with PyTorch's: every logit within atol (without it, the mean "
    "as closely as `emu run` asks for), and with argmax every class",
    "no_memory_errors(suppressions=None)": "run with the memory checker, which finds nothing but what the .toml file "
    "`suppressions` accepts",
}
_EVERY_MARKER = "Holds for each run that the test makes with emu_run; target='*-unicorn' restricts it to such targets."

MARKERS = (*LIMIT_MARKERS, "parity", "no_memory_errors")


def register(parser: pytest.Parser) -> None:
    """Register the options, and the settings of the same meaning for pyproject.toml or pytest.ini."""
    group = parser.getgroup("emu", "firmware in emulators (emu)")
    group.addoption(
        "--emu-target",
        action="append",
        default=[],
        metavar="TARGET",
        help=f"Run on this target: a board on an emulator as `emu targets` lists them, or all. Repeatable. "
        f"Default: the setting emu_target, else {DEFAULT_TARGET}.",
    )
    group.addoption(
        "--emu-board",
        action="append",
        default=[],
        metavar="FILE",
        help="A board file (.toml) of your own, whose targets join emu's. Repeatable; joins the setting emu_boards.",
    )
    group.addoption(
        "--emu-strict",
        action="store_true",
        default=False,
        help="Fail where a target's emulator or compiler is missing, and do not skip.",
    )
    group.addoption("--emu-baseline", metavar="FILE", help="Compare each run with the figures in FILE (JSON).")
    group.addoption(
        "--emu-update-baseline",
        action="store_true",
        default=False,
        help="Write the figures of this session to the baseline, and compare with nothing.",
    )
    group.addoption(
        "--emu-fail-on-increase",
        metavar="FIGURE=INCREASE,...",
        help="How much figures may grow over the baseline, such as stack=0,flash=1%%,instructions=2%%; others may grow "
        "freely. Without it nothing may grow.",
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
    """Return the option ``--emu-name``, or the setting ``emu_name`` where it is not given; empty where neither is."""
    return config.getoption(f"emu_{name}") or config.getini(f"emu_{name}")


def are_given(config: pytest.Config) -> bool:
    """Return whether any option or setting of the plugin has a value."""
    names = ("target", "baseline", "fail_on_increase")
    limits = any(config.getini(f"emu_{name}") for name in LIMIT_MARKERS)
    boards = config.getoption("emu_board") or config.getini("emu_boards")
    return bool(limits or boards or config.getoption("emu_update_baseline") or any(setting(config, n) for n in names))


def uses_emu(item: pytest.Item) -> bool:
    """Return whether a test runs firmware, or is marked as if it did."""
    if "emu_run" in getattr(item, "fixturenames", ()):
        return True
    return any(mark.name in MARKERS for mark in item.own_markers)
