"""The values of the fixtures: builds and runs, each made once in a session and shared by content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emu.build import BuildOptions, build_firmware
from emu.cache import cached
from emu.errors import EmuError, MissingToolError
from emu.inputs import EvaluationInputs
from emu.machines.shared import Shared
from emu.model.sources import find_model
from emu.pytest_plugin.expectations import expectations
from emu.pytest_plugin.session import is_strict, known_targets, remember
from emu.record import Run, RunFile, read_run_file
from emu.run import Job, RunOptions, emulator_version, plan, read_request
from emu.run.second_run import needs_second_run
from emu.targets import Target, find_target


def provide_target(name: str, config: pytest.Config) -> Target:
    """Return the target ``name``. A missing emulator skips the test, or fails it in a strict session."""
    __tracebackhide__ = True
    try:
        target = find_target(name, known_targets(config))
        emulator_version(target)
    except EmuError as error:
        raise _outcome(error, config) from None
    return target


class Builder:
    """Builds firmware for a target. Builds are cached by content, and later sessions reuse them."""

    def __init__(self, target: Target, config: pytest.Config):
        self._target, self._config = target, config

    def __call__(self, model: str | Path, *, input_rows: int = BuildOptions.input_rows) -> Path:
        """Return an ELF that runs ``model``: a demo's name, a checkpoint or an image.

        The mailbox of the firmware has room for ``input_rows`` rows at a time.
        """
        __tracebackhide__ = True
        try:
            return build_firmware(find_model(str(model)).image, self._target.board, BuildOptions(input_rows))
        except EmuError as error:
            raise _outcome(error, self._config) from None


class Runner:
    """Runs firmware on a target. Tests and workers that ask for the same run share it within a session."""

    def __init__(self, target: Target, item: pytest.Item, tmp_path_factory: pytest.TempPathFactory, shared: Shared):
        """``shared`` is what the machines of the session share."""
        self._target, self._item, self._shared = target, item, shared
        directory = tmp_path_factory.getbasetemp()
        # The directories of pytest-xdist's workers have one parent.
        self._records = directory.parent if hasattr(item.config, "workerinput") else directory

    def __call__(
        self,
        model: str | Path,
        inputs: EvaluationInputs | str | Path | None = None,
        *,
        limit: int | None = None,
        name: str | None = None,
        options: RunOptions | None = None,
        check: bool = True,
    ) -> Run:
        """Run a demo (by name), a checkpoint, an image or an ELF, and return the record of the run.

        A demo has ``inputs`` of its own; ``limit`` is how many inputs to take. Reports and the baseline call the run
        ``name``, or by default its file's name. With ``check`` the test fails at its end if the run has a fault, or
        breaks a marker, a limit of the suite or the baseline.
        """
        __tracebackhide__ = True
        expected = expectations(self._item)
        options = options or RunOptions()
        if expected.memcheck:
            options = replace(options, memcheck=True, suppressions=(*options.suppressions, *expected.suppressions))
        if expected.stack_peak and needs_second_run(self._target):  # a second run costs time: only if a test needs it
            options = replace(options, stack_peak=True)
        try:
            given = Path(inputs) if isinstance(inputs, str) else inputs
            (job,) = plan([read_request(model, given, limit, name)], [self._target], options)
            record = self._record(job)
            (run,) = read_run_file(record).runs
        except EmuError as error:
            raise _outcome(error, self._item.config) from None
        if check:
            expected.runs.append(run)
            if run.on_board and not run.faults:
                remember(self._item.config, record)
        return run

    def _record(self, job: Job) -> Path:
        """Return the file with the record of a run; make the run if no test of the session has made it yet."""

        def make(directory: Path) -> None:
            run = job.run(lambda _done, _total: None, shared=self._shared)
            (directory / "run.json").write_text(RunFile(schema=1, runs=[run]).model_dump_json(by_alias=True))

        return cached("runs", job.content(), make, self._records) / "run.json"


def _outcome(error: EmuError, config: pytest.Config) -> BaseException:
    """Return a skip if a tool is missing and the session is not strict, else a failure."""
    if isinstance(error, MissingToolError) and not is_strict(config):
        return pytest.skip.Exception(str(error))
    return pytest.fail.Exception(str(error))
