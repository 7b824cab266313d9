"""A plan: requests on targets. What can be refused is refused before the first run, and no run is made twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emu.cache import content_key
from emu.errors import InputError
from emu.file_names import told_apart
from emu.firmware import Firmware
from emu.instruments import require
from emu.machines.shared import Shared
from emu.options import RunOptions
from emu.reading import read_bytes
from emu.record import Reading, Run
from emu.run.driving import Progress, find_mailbox
from emu.run.emulators import emulator_version
from emu.run.failures import raise_first_failure
from emu.run.request import FirmwareRequest
from emu.run.running import SoFar, cut_short, forget, run_firmware, run_model
from emu.targets import Target
from emu.toolchains import find_toolchain

if TYPE_CHECKING:
    from emu.run.request import Request


@dataclass(frozen=True, eq=False)
class Job:
    """One run that is to be made."""

    request: Request
    target: Target
    options: RunOptions
    reading: Reading | None = None
    """What the request's checkpoint is taken to compute."""

    def content(self) -> str:
        """Return a hash of all that the record depends on. A model's firmware is built for this.

        Raises InputError if the firmware cannot be read.
        """
        request, elf, inputs = self.request, self.request.elf_for(self.target), self.request.inputs
        board = self.target.board.model_dump_json()
        parts: list[bytes | str] = [str(elf), read_bytes(elf), request.name, self.target.name, board]
        parts += [repr(self.options), repr(self.reading)]
        if self.options.trace_input is not None and not isinstance(request, FirmwareRequest):
            parts += request.layers_key()
        arrays: list[Any] = [] if inputs is None else [inputs.x, inputs.labels, inputs.logits64, inputs.logits32]
        for array in arrays:
            parts += ["none"] if array is None else [str(array.dtype), str(array.shape), array.tobytes()]
        return content_key(parts)

    def run(self, progress: Progress, so_far: SoFar = forget, shared: Shared | None = None) -> Run:
        """Make the run, and return its record with the verdicts. ``shared`` is what its machines share with others."""
        request = self.request
        if isinstance(request, FirmwareRequest):
            return run_firmware(
                request.elf, request.name, self.target, request.inputs, self.options, progress, so_far, shared
            )
        return run_model(
            request.model, self.target, request.inputs, self.options, progress, self.reading, so_far, shared
        )


def plan(requests: Sequence[Request], targets: Sequence[Target], options: RunOptions) -> list[Job]:
    """Return each request on each target, in this order.

    Requests whose names would be equal are named by their paths. The reading of each checkpoint is compared with the
    reference logits, before anything is built.

    Raises InputError for what the options cannot ask of a request or of a target, and if the inputs or the logits are
    not the model's.
    """
    for target in targets:
        require(options, target)
    for request in requests:
        _require_input_to_trace(request, options)
    jobs: list[Job] = []
    for request in _told_apart(requests):
        reading = None if isinstance(request, FirmwareRequest) else request.read(options.reading_tolerance)
        jobs += [Job(request, target, options, reading) for target in targets]
    return jobs


def _told_apart(requests: Sequence[Request]) -> list[Request]:
    """Return the requests with different names for different files: reports and `emu diff` know a run by its name."""
    names = told_apart([(request.name, request.path) for request in requests])
    return [
        request if name == request.name else request.named(name) for request, name in zip(requests, names, strict=True)
    ]


def execute(
    jobs: Sequence[Job],
    progress: Callable[[str], AbstractContextManager[Progress]],
    show: Callable[[Run, Target], None],
    keep: Callable[[list[Run]], None],
) -> list[Run]:
    """Make the runs one after the other, and return their records.

    If a part of a run fails, the other runs are made before the failure is raised as the error that it was.
    ``progress`` is entered with a run's name while it is made. After each run ``keep`` gets all records so far, before
    ``show`` gets the new one: whatever ends the runs or the printing, what was made is not lost. If a further part
    of a run, such as the layers, is interrupted, the record so far is kept.
    """
    _require_tools(jobs)
    for job in jobs:
        _require_fit(job)
    runs: list[Run] = []
    made: dict[str, Run] = {}

    def take(run: Run, target: Target) -> None:
        runs.append(run)
        try:
            keep(runs)
        finally:  # what cannot be kept can still be seen
            show(run, target)

    with Shared() as shared:
        for job in jobs:
            content = job.content()
            if content not in made:
                so_far: list[tuple[Run, str]] = []
                try:
                    with progress(job.request.name) as moved:
                        made[content] = job.run(
                            moved, lambda run, part, so_far=so_far: so_far.append((run, part)), shared
                        )
                except (KeyboardInterrupt, SystemExit) as interrupt:
                    if so_far:
                        take(cut_short(*so_far[-1], interrupt, job.options), job.target)
                    raise
            take(made[content], job.target)
    raise_first_failure(runs)
    return runs


def _require_input_to_trace(request: Request, options: RunOptions) -> None:
    if options.trace_input is None:
        return
    if isinstance(request, FirmwareRequest):
        raise InputError("--trace-layers builds its own firmware: give the model instead of an ELF")
    request.require_layers(options.trace_input)


def _require_tools(jobs: Sequence[Job]) -> None:
    """Raise MissingToolError if a job lacks its emulator or compiler. Each is asked once: it is a process."""
    for target in {job.target.name: job.target for job in jobs}.values():
        emulator_version(target)
    for name in dict.fromkeys(
        job.target.board.build.toolchain for job in jobs if not isinstance(job.request, FirmwareRequest)
    ):
        find_toolchain(name)


def _require_fit(job: Job) -> None:
    """Raise InputError if the firmware or the inputs are not for the target or the model."""
    request = job.request
    if isinstance(request, FirmwareRequest):
        find_mailbox(Firmware.load(request.elf, job.target), request.inputs)
    else:
        request.require_fit()
