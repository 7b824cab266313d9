"""The machine that a target names, and what has to be there for it.

Each emulator is imported when it is asked for: together they take longer than many a command.
"""

from emu.errors import InputError
from emu.firmware import Firmware
from emu.machines import Limits, Machine
from emu.run.options import RunOptions
from emu.targets import Target
from emu.toolchains import find_toolchain

_LACKS = {
    "native": ("profile", "coverage", "traffic", "replace_allocator"),
    "qemu": ("memcheck",),
    "renode": ("profile", "coverage", "memcheck", "traffic"),
}
"""What each emulator cannot do of what Unicorn can; the native sanitizers always check memory."""


def open_machine(firmware: Firmware, target: Target, options: RunOptions) -> Machine:
    """Return the machine of the target's emulator with ``firmware`` in it.

    Raises InputError for what only another emulator measures, and MissingToolError where the emulator is missing.
    """
    _require_options(target, options)
    match target.emulator_name:
        case "native":
            from emu.machines.host import HostMachine

            return HostMachine(firmware, limits=options.limits)
        case "renode":
            from emu.machines.renode import RenodeMachine

            return RenodeMachine(firmware, target, limits=options.limits)
        case "qemu":
            from emu.machines.qemu import QemuMachine

            return QemuMachine(
                firmware,
                target,
                limits=options.limits,
                traffic=options.traffic,
                profile=options.profile,
                coverage=options.coverage,
            )
        case _:
            from emu.machines.unicorn import UnicornMachine

            return UnicornMachine(
                firmware,
                target,
                limits=options.limits,
                traffic=options.traffic,
                profile=options.profile,
                coverage=options.coverage,
                memcheck=options.memcheck,
                replace_allocator=options.replace_allocator,
            )


def needs_second_run(target: Target) -> bool:
    """Return whether the target's emulator measures the stack's reserved peak in a run of its own."""
    return target.emulator_name == "renode"


def open_second_run(firmware: Firmware, target: Target, limits: Limits) -> Machine:
    """Return the machine that measures the stack's reserved peak, and nothing else."""
    from emu.machines.renode import RenodeMachine

    return RenodeMachine(firmware, target, limits=limits, watch_stack=True)


def emulator_version(target: Target) -> dict[str, str]:
    """Return the version of the program that runs the target's firmware, by its name; nothing for a part of this one.

    Raises MissingToolError, with the command that installs it, where it is missing.
    """
    match target.emulator_name:
        case "native":
            return {"cc": find_toolchain(target.board.build.toolchain).version}
        case "qemu":
            from emu.machines.qemu import core_type, qemu_version

            return {"qemu": qemu_version(core_type(target.board))}
        case "renode":
            from emu.machines.renode import renode_version

            return {"renode": renode_version()}
        case _:
            return {}


def _require_options(target: Target, options: RunOptions) -> None:
    if target.emulator_name == "native" and options.limits.instructions != Limits.instructions:
        raise InputError(f"{target.name} counts no instructions: --max-seconds ends what does not end by itself")
    asked = [name for name in _LACKS.get(target.emulator_name, ()) if getattr(options, name)]
    if asked:
        missing = " or ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise InputError(f"{target.name} has no {missing}: a target of Unicorn has it, such as stm32h7-unicorn")
