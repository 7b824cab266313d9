"""The fixtures' values: builds and runs, each made once in a session and shared by content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emu.build import BuildOptions, build_firmware
from emu.cache import cached
from emu.errors import EmuError, MissingToolError
from emu.inputs import EvaluationInputs
from emu.model.sources import find_model
from emu.pytest_plugin.expectations import expectations
from emu.pytest_plugin.session import is_strict, known_targets, remember
from emu.record import Run, RunFile, read_run_file
from emu.run import Job, RunOptions, emulator_version, plan, read_request
from emu.run.second_run import needs_second_run
from emu.targets import Target, find_target


def provide_target(name: str, config: pytest.Config) -> Target:
    """Return the target called ``name``; skips the test where its emulator is missing, or fails it if asked to."""
    __tracebackhide__ = True
    try:
        target = find_target(name, known_targets(config))
        emulator_version(target)
    except EmuError as error:
        raise _outcome(error, config) from None
    return target


class Builder:
    """Builds firmware for a target. Builds are cached by content, also from one session to the next."""

    def __init__(self, target: Target, config: pytest.Config):
        self._target, self._config = target, config

    def __call__(self, model: str | Path, *, input_rows: int = BuildOptions.input_rows) -> Path:
        """Return the ELF that runs ``model``: a demo's name, a checkpoint or an image.

        Its mailbox has room for ``input_rows`` rows at a time.
        """
        __tracebackhide__ = True
        try:
            return build_firmware(find_model(str(model)).image, self._target.board, BuildOptions(input_rows))
        except EmuError as error:
            raise _outcome(error, self._config) from None


class Runner:
    """Runs firmware on a target, each of the same content once in a session, whatever tests and workers ask for it."""

    def __init__(self, target: Target, item: pytest.Item, tmp_path_factory: pytest.TempPathFactory):
        self._target, self._item = target, item
        directory = tmp_path_factory.getbasetemp()
        # The directories of pytest-xdist's workers are beside each other.
        self._shared = directory.parent if hasattr(item.config, "workerinput") else directory

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

        ``inputs`` are those of a demo where none are given; ``limit`` takes the first of them. The run is called
        ``name``, or after its file, in reports and in the baseline. With ``check`` the test fails, when it is done, on
        a fault in the run and on what its markers, the suite's limits and the baseline do not allow.
        """
        __tracebackhide__ = True
        expected = expectations(self._item)
        options = options or RunOptions()
        if expected.memcheck:
            options = replace(options, memcheck=True, suppressions=(*options.suppressions, *expected.suppressions))
        if expected.stack_peak and needs_second_run(self._target):
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
        """Return the file with the record of a run, made unless a test of the session has made it already."""

        def make(directory: Path) -> None:
            run = job.run(lambda _done, _total: None)
            (directory / "run.json").write_text(RunFile(schema=1, runs=[run]).model_dump_json(by_alias=True))

        return cached("runs", job.content(), make, self._shared) / "run.json"


def _outcome(error: EmuError, config: pytest.Config) -> BaseException:
    """Return what skips the test where a tool is missing and that is no failure, and what fails it for all else."""
    if isinstance(error, MissingToolError) and not is_strict(config):
        return pytest.skip.Exception(str(error))
    return pytest.fail.Exception(str(error))
