"""A Cortex-M in Renode."""

from emu.architectures.armv7em.core import IDLE_LOOP
from emu.architectures.armv7em.exceptions import REGISTERS
from emu.machines.renode.core import RenodeCore
from emu.machines.renode.monitor import CPU
from emu.machines.renode.stack_code import write_stack_code

CORTEX_M = RenodeCore(
    platform="""\
cpu: CPU.CortexM @ sysbus
    cpuType: "{cpu}"
    nvic: nvic

nvic: IRQControllers.NVIC @ sysbus 0xE000E000
    priorityMask: 0xF0
    -> cpu@0
""",
    platform_registers=frozenset({"scs"}),
    # 22 is OtherSP: PSP while a handler runs, which is when the walk through the stack needs PSP.
    registers={name: number for number, name in enumerate(REGISTERS)} | {"xpsr": 25, "psp": 22},
    frame_registers={"control": 18},
    write_stack_code=write_stack_code,
    sleeps_at=IDLE_LOOP,
    # The core reads the vector table when it first runs.
    start=lambda firmware: f"{CPU} VectorTableOffset {firmware.start.vector_table:#x}",
)
