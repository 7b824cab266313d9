"""What is installed here, and what that lets run."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from emu.errors import EmuError, MissingToolError
from emu.machines.qemu import core_type, qemu_version
from emu.machines.qemu.core import QemuCore
from emu.machines.renode import renode_version
from emu.targets import Target
from emu.toolchains import find_toolchain


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """The command that mends it."""
    required: bool = True


def examine(targets: Collection[Target]) -> list[Finding]:
    """Look for everything that a run on one of ``targets`` needs, in the order in which it needs it."""
    findings = [_toolchain("host", required=True, purpose="compiles the probes that run inside the emulator")]
    needed = {target.board.build.toolchain for target in targets if _is_required(target)}
    for name in sorted({target.board.build.toolchain for target in targets}):
        findings.append(_toolchain(name, required=name in needed))
    findings.append(_package("unicorn", required=True, remedy="pip install unicorn"))
    findings.append(
        _package(
            "torch", required=False, remedy="only for .pt checkpoints and --trace-layers: pip install 'emu-mcu[torch]'"
        )
    )
    on_qemu = [target for target in targets if target.emulator_name == "qemu"]
    findings += [_qemu(core) for core in dict.fromkeys(core_type(target.board) for target in on_qemu)]
    findings.append(_renode())
    ready = {finding.name: finding.ok for finding in findings}
    for target in targets:
        emulator = core_type(target.board).command if target in on_qemu else target.emulator_name
        needs = ("host", target.board.build.toolchain, emulator)
        missing = [need for need in needs if not ready.get(need, True)]  # native code needs no emulator
        detail = "ready" if not missing else f"needs {', '.join(missing)}"
        findings.append(Finding(f"target {target.name}", not missing, detail, required=_is_required(target)))
    return findings


def _is_required(target: Target) -> bool:
    """Return whether doctor fails where the target cannot run: only Unicorn is for everyone."""
    return target.emulator_name == "unicorn"


def _toolchain(name: str, required: bool, purpose: str = "") -> Finding:
    try:
        toolchain = find_toolchain(name)
    except EmuError as error:
        return Finding(name, False, str(error), required=required)
    detail = f"{toolchain.version}, {toolchain.compiler}{f' ({purpose})' if purpose else ''}"
    return Finding(name, True, detail, required=required)


def _qemu(core: type[QemuCore]) -> Finding:
    try:
        return Finding(core.command, True, qemu_version(core), required=False)
    except MissingToolError as error:
        return Finding(core.command, False, str(error), required=False)


def _renode() -> Finding:
    try:
        return Finding("renode", True, renode_version(), required=False)
    except MissingToolError as error:
        return Finding("renode", False, str(error), required=False)


def _package(name: str, required: bool, remedy: str) -> Finding:
    try:
        return Finding(name, True, version(name), required=required)
    except PackageNotFoundError:
        return Finding(name, False, "not installed", remedy, required)
