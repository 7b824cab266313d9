"""What all tests of a session share: the chosen targets, the baseline, and the runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from emu.budgets.baseline import Baseline, read_baseline
from emu.budgets.comparison import NO_INCREASE, Gates, parse_gates
from emu.budgets.limits import parse_limit
from emu.emulators import DEFAULT_TARGET
from emu.errors import EmuError, InputError, OutputError
from emu.project import Project, find_project
from emu.pytest_plugin.options import LIMIT_MARKERS, setting
from emu.record import read_run_file
from emu.targets import Target, find_target, load_targets
from emu.wording import counted
from emu.writing import write_file

_FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
_WORKER_OUTPUT = "emu_records"


@dataclass
class _Session:
    records: set[str] = field(default_factory=set)
    """Paths of the run records whose figures go to the baseline."""
    summary: str = ""


_TARGETS = pytest.StashKey[dict[str, Target]]()
_PROJECT = pytest.StashKey[Project]()
_SESSION = pytest.StashKey[_Session]()
_BASELINE = pytest.StashKey[tuple[Baseline, Gates] | None]()


def check_settings(config: pytest.Config) -> None:
    """Raise UsageError, in one line, if an option or a setting is not valid."""
    chosen_targets(config)
    for name, budget in LIMIT_MARKERS.items():
        text = config.getini(f"emu_{name}")
        try:
            _ = text and parse_limit(budget.short, text)
        except ValueError as error:
            raise pytest.UsageError(f"emu_{name}: {error}") from error
    if config.getoption("emu_update_baseline"):
        path = baseline_path(config)
        if path is None:
            raise pytest.UsageError("--emu-update-baseline needs --emu-baseline FILE, or the setting emu_baseline")
        if not path.parent.is_dir():  # now, not after the tests
            raise pytest.UsageError(f"{path}: no such directory to write the baseline to")
    if setting(config, "fail_on_increase") and baseline_path(config) is None:
        raise pytest.UsageError("--emu-fail-on-increase needs --emu-baseline FILE, or the setting emu_baseline")
    baseline(config)


def chosen_targets(config: pytest.Config) -> list[str]:
    """Return the names of the targets to run on; raises UsageError if no target has a given name."""
    chosen = config.getoption("emu_target") or config.getini("emu_target")
    try:
        chosen = chosen or project(config).targets or [DEFAULT_TARGET]
        known = known_targets(config)
        names = [name for text in chosen for name in (known if text == "all" else [find_target(text, known).name])]
    except EmuError as error:
        raise pytest.UsageError(str(error)) from error
    return list(dict.fromkeys(names))


def project(config: pytest.Config) -> Project:
    """Return the settings of the project in pytest's root directory; raises InputError if they are not valid."""
    if _PROJECT not in config.stash:
        config.stash[_PROJECT] = find_project(config.rootpath)
    return config.stash[_PROJECT]


def known_targets(config: pytest.Config) -> dict[str, Target]:
    """Return emu's targets and those of the session's board files; raises InputError if a file is not valid."""
    if _TARGETS not in config.stash:
        given = [config.invocation_params.dir / path for path in config.getoption("emu_board") or ()]
        config.stash[_TARGETS] = load_targets([*project(config).boards, *config.getini("emu_boards"), *given])
    return config.stash[_TARGETS]


def is_strict(config: pytest.Config) -> bool:
    """Return whether a missing tool is a failure."""
    return config.getoption("emu_strict") or config.getini("emu_strict")


# ---- the baseline ----------------------------------------------------------------------------------------------------


def baseline_path(config: pytest.Config) -> Path | None:
    """Return the baseline's file, or None if none is given."""
    given = config.getoption("emu_baseline")
    if given:
        return config.invocation_params.dir / given
    named = config.getini("emu_baseline")
    return (config.inipath.parent if config.inipath else config.rootpath) / named if named else None


def baseline(config: pytest.Config) -> tuple[Baseline, Gates] | None:
    """Return the baseline to compare with, and what may grow, or None if nothing is compared. Raises UsageError."""
    if _BASELINE not in config.stash:
        config.stash[_BASELINE] = _read_baseline(config)
    return config.stash[_BASELINE]


def _read_baseline(config: pytest.Config) -> tuple[Baseline, Gates] | None:
    path, increases = baseline_path(config), setting(config, "fail_on_increase")
    try:
        gates = parse_gates(increases) if increases else NO_INCREASE
        if path is None or config.getoption("emu_update_baseline"):
            return None
        if not path.is_file():
            raise InputError(f"{path}: no such baseline; write it with --emu-update-baseline")
        return read_baseline(path), gates
    except InputError as error:
        raise pytest.UsageError(str(error)) from error


# ---- the runs --------------------------------------------------------------------------------------------------------


def remember(config: pytest.Config, record: Path) -> None:
    """Mark a run, by the file of its record: its figures go to the baseline."""
    _session(config).records.add(str(record))


def update_baseline(session: pytest.Session) -> None:
    """Write the figures of the session's runs to the baseline; the figures of other runs stay.

    A worker of pytest-xdist hands its runs to its controller instead.
    """
    config = session.config
    made, path = _session(config), baseline_path(config)
    if hasattr(config, "workeroutput"):
        config.workeroutput[_WORKER_OUTPUT] = sorted(made.records)  # pyright: ignore[reportAttributeAccessIssue]
        return
    assert path is not None, "check_settings asks for it"
    if session.exitstatus not in _FINISHED:
        made.summary = f"emu: {path} was not written: the tests did not run to their end"
        return
    try:
        new = Baseline.of(run for record in sorted(made.records) for run in read_run_file(Path(record)).runs)
        old = read_baseline(path) if path.is_file() else Baseline()
        write_file(path, Baseline(schema=1, runs={**old.runs, **new.runs}).to_json().encode())
    except (InputError, OutputError) as error:
        made.summary = f"emu: {path} was not written: {error}"
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        return
    kept = len(old.runs.keys() - new.runs.keys())
    made.summary = f"emu: {path}: figures of {counted(len(new.runs), 'run')} written, of {counted(kept, 'other')} kept"


def take_over(node: Any) -> None:
    """Add the runs of a worker of pytest-xdist to its controller's."""
    for record in getattr(node, "workeroutput", {}).get(_WORKER_OUTPUT, ()):
        remember(node.config, Path(record))


def summary(config: pytest.Config) -> str:
    """Return a line that says whether the baseline was written."""
    return _session(config).summary


def _session(config: pytest.Config) -> _Session:
    return config.stash.setdefault(_SESSION, _Session())
