"""The emulators: one row for each says what it runs, what it measures, and which package drives it.

Nothing here imports an emulator, so that board files, help and refusals can ask without starting one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EmulatorName = Literal["native", "qemu", "renode", "unicorn"]
How = Literal["always", "on request", "in a second run"]
"""When an emulator measures something. A second run makes the run again, more slowly, for this figure alone."""


DEFAULT_TARGET = "stm32h7-unicorn"
"""The target of a run for which neither an option nor a setting names one."""


@dataclass(frozen=True)
class Emulator:
    """An emulator, as emu knows it without an import of its package."""

    package: str
    """The package that drives the emulator, with ``open_machine`` and ``version`` (see ``emu.run.emulators``)."""
    programs: Mapping[str, str]
    """The architectures that the emulator runs, each with the program that it needs; "" if the compiler is enough."""
    measures: Mapping[str, How]
    """What the emulator measures, among the figures and options (see ``emu.instruments``) that some emulators lack."""
    not_checked: tuple[str, ...] = ()
    """What a chip refuses and this emulator lets pass, so that a run without faults does not say that it is right."""
    counts_instructions: bool = True
    compiles_probes: bool = False
    """Whether the emulator needs the host's compiler, because C code of emu watches inside the emulator."""
    comes_with_emu: bool = False
    """Whether every installation needs the emulator."""


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
        not_checked=(
            "alignment of LDRD, LDM, VLDR and their like: only --memcheck finds it, or the firmware's own trap "
            "(CCR.UNALIGN_TRP)",
            "alignment of accesses to peripherals",
            "use of the FPU before the firmware enables it (CPACR)",
            "MPU rules for frames that exceptions push, and for code after the first instruction of a block",
        ),
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
        not_checked=(
            "alignment of accesses to peripherals",
            "on the ESP32-S3: a second stack that grows into other RAM, and accesses to IRAM that are not 32 bits wide",
        ),
        compiles_probes=True,
    ),
    "renode": Emulator(
        package="emu.machines.renode",
        programs={"armv7em": "renode", "xtensa": "renode"},
        measures={"stack_peak": "in a second run"},
        not_checked=(
            "unaligned accesses: none faults, not even where the firmware traps them (CCR.UNALIGN_TRP)",
            "accesses to addresses that hold nothing: the firmware goes on until emu looks at Renode's count of them",
            "writes to flash: only what has changed at the end of the run is found",
            "a stack that grows into other RAM: only --stack-peak finds it, for the first stack",
        ),
    ),
    "native": Emulator(
        package="emu.machines.host",
        programs={"host": ""},
        measures={"memcheck": "always"},
        not_checked=(
            "what does not fit the board: flash, RAM, heap and stacks have no limits here",
            "uninitialised values: the sanitizers do not look for them",
        ),
        counts_instructions=False,
    ),
}
