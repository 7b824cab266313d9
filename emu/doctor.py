"""What is installed here, and on which targets a run starts."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from emu.emulators import EMULATORS
from emu.errors import EmuError, MissingToolError, as_emu_error
from emu.machines.shared import Shared
from emu.run import emulator_version
from emu.run.trial import Trial
from emu.targets import Target
from emu.temporary import temporary_directory
from emu.toolchains import find_toolchain


@dataclass(frozen=True)
class Finding:
    """A program, a package or a target, and whether it is ready."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """The command that installs what is missing."""
    required: bool = True


def examine(targets: Collection[Target]) -> Iterator[Finding]:
    """Look for everything that runs on ``targets`` need, in the order in which a run needs it, and begin a run on each.

    A finding is yielded as soon as it is made: the runs take seconds.
    """
    ready: dict[str, bool] = {}
    for finding in _tools(targets):
        ready[finding.name] = finding.ok
        yield finding
    with temporary_directory("emu-doctor-") as directory, Shared() as shared:
        trial = Trial(directory, shared)
        for target in targets:
            missing = [need for need in _needs(target) if not ready[need]]
            why = f"needs {', '.join(missing)}" if missing else _why_no_run_starts(trial, target)
            required = target.emulator.comes_with_emu
            yield Finding(f"target {target.name}", why is None, why or "ready", required=required)


def _tools(targets: Collection[Target]) -> Iterator[Finding]:
    yield _toolchain("host", required=True, purpose="compiles the probes that run inside the emulator")
    needed = {target.board.build.toolchain for target in targets if target.emulator.comes_with_emu}
    for name in sorted({target.board.build.toolchain for target in targets}):
        yield _toolchain(name, required=name in needed)
    by_emulator = [target for row in EMULATORS.values() for target in targets if target.emulator is row]
    programs = {_program(target): target for target in by_emulator if _program(target)}
    yield from (_emulator(name, target) for name, target in programs.items())
    yield _torch()


def _why_no_run_starts(trial: Trial, target: Target) -> str | None:
    """Return why `emu run` would fail on ``target`` before the first input, or None if it would not."""
    try:
        trial.begin(target)
    except Exception as error:  # each is what the run would end with
        return f"a run does not start: {as_emu_error(error)}"
    return None


def _program(target: Target) -> str:
    return target.emulator.programs[target.board.architecture]


def _needs(target: Target) -> list[str]:
    probes = ["host"] if target.emulator.compiles_probes else []
    return [*probes, target.board.build.toolchain, *filter(None, [_program(target)])]


def _toolchain(name: str, required: bool, purpose: str = "") -> Finding:
    try:
        toolchain = find_toolchain(name)
    except EmuError as error:
        return Finding(name, False, str(error), required=required)
    detail = f"{toolchain.version}, {toolchain.compiler}{f' ({purpose})' if purpose else ''}"
    return Finding(name, True, detail, required=required)


def _emulator(name: str, target: Target) -> Finding:
    try:
        return Finding(name, True, *emulator_version(target).values(), required=target.emulator.comes_with_emu)
    except MissingToolError as error:
        return Finding(name, False, str(error), required=target.emulator.comes_with_emu)


def _torch() -> Finding:
    try:
        return Finding("torch", True, version("torch"), required=False)
    except PackageNotFoundError:
        remedy = "only for .pt checkpoints and --trace-layers: pip install 'emu-mcu[torch]'"
        return Finding("torch", False, "not installed", remedy, required=False)
