"""The emulators: one row for each says what it runs, what it measures, and which package drives it.

Nothing here imports an emulator, so that board files, help and refusals can ask without starting one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EmulatorName = Literal["native", "qemu", "renode", "unicorn"]
How = Literal["always", "on request", "in a second run"]
"""When an emulator measures something. A second run makes the run again, very slowly, for this figure alone."""


@dataclass(frozen=True)
class Emulator:
    """What emu knows of an emulator without importing it."""

    package: str
    """The package that drives it, with ``open_machine`` and ``version`` (see ``emu.run.emulators``)."""
    programs: Mapping[str, str]
    """The architectures that it runs, each with the program that has to be installed; "" if the compiler is enough."""
    measures: Mapping[str, How]
    """What it measures of all that some emulators cannot: options of a run (see ``emu.instruments``) and figures."""
    counts_instructions: bool = True
    compiles_probes: bool = False
    """Whether the host's compiler has to be there, because C code of emu watches inside the emulator."""
    comes_with_emu: bool = False
    """Whether each installation has to have it."""


EMULATORS: Mapping[EmulatorName, Emulator] = {
    "unicorn": Emulator(
        package="emu.machines.unicorn",
        programs={"armv7em": "unicorn"},
        measures={
            "profile": "on request",
            "coverage": "on request",
            "traffic": "on request",
            "memcheck": "on request",
            "replace_allocator": "on request",
            "stack_peak": "always",
            "timeline": "always",
            "by_function": "always",
        },
        compiles_probes=True,
        comes_with_emu=True,
    ),
    "qemu": Emulator(
        package="emu.machines.qemu",
        programs={"armv7em": "qemu-system-arm", "xtensa": "qemu-system-xtensa"},
        measures={
            "profile": "on request",
            "coverage": "on request",
            "traffic": "on request",
            "stack_peak": "always",
            "timeline": "always",
            "by_function": "always",
        },
        compiles_probes=True,
    ),
    "renode": Emulator(
        package="emu.machines.renode",
        programs={"armv7em": "renode", "xtensa": "renode"},
        measures={"stack_peak": "in a second run"},
    ),
    "native": Emulator(
        package="emu.machines.host",
        programs={"host": ""},
        measures={"memcheck": "always"},
        counts_instructions=False,
    ),
}
