"""What is installed here, and which targets can run."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from emu.emulators import EMULATORS
from emu.errors import EmuError, MissingToolError
from emu.run import emulator_version
from emu.targets import Target
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


def examine(targets: Collection[Target]) -> list[Finding]:
    """Look for everything that runs on ``targets`` need, in the order in which a run needs it."""
    findings = [_toolchain("host", required=True, purpose="compiles the probes that run inside the emulator")]
    needed = {target.board.build.toolchain for target in targets if target.emulator.comes_with_emu}
    for name in sorted({target.board.build.toolchain for target in targets}):
        findings.append(_toolchain(name, required=name in needed))
    by_emulator = [target for row in EMULATORS.values() for target in targets if target.emulator is row]
    programs = {_program(target): target for target in by_emulator if _program(target)}
    findings += [_emulator(name, target) for name, target in programs.items()]
    findings.append(_torch())
    ready = {finding.name: finding.ok for finding in findings}
    for target in targets:
        missing = [need for need in _needs(target) if not ready[need]]
        detail = "ready" if not missing else f"needs {', '.join(missing)}"
        required = target.emulator.comes_with_emu
        findings.append(Finding(f"target {target.name}", not missing, detail, required=required))
    return findings


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
