"""The lowest stack pointer: a hook before every instruction halts the core when SP is lower than ever before.

The hook only compares. Each new lowest SP sets a new hook, so Renode keeps no state. The first SP halts in any case, so
a hook that never runs is not taken for a peak of 0.
"""

from dataclasses import replace

from emu.architectures.core import Core, Memory, StackPeak, StoppedCore, stack_bytes
from emu.firmware import Firmware
from emu.machines.renode.core import Registers
from emu.machines.renode.monitor import BLOCK_SIZE, Monitor, State, block_hook, no_block_hook, register
from emu.machines.renode.robot_server import RenodeError
from emu.probes.main_stack import main_stack_use
from emu.record import StackUse

_ANSWER_SECONDS = 30.0
_BELOW_SP = 16
"""Bytes below SP that are kept with the stack: an Xtensa spills windows there."""


class StackWatch:
    """Follows SP on the firmware's first stack through one run; ``numbers`` are Renode's numbers of registers."""

    def __init__(self, firmware: Firmware, core: Core, numbers: Registers, other_stops: list[int]):
        self._firmware, self._core, self._numbers = firmware, core, numbers
        self._other_stops = frozenset(other_stops)
        self._floor, self._top = firmware.stack_region.start, firmware.initial_sp
        self._lowest: StackPeak | None = None
        """The machine at the lowest SP; the instruction before its pc has lowered SP."""
        self._left_stack = False

    def commands_at_reset(self) -> list[str]:
        """Return the commands that make Renode check SP before every instruction."""
        return [f"{BLOCK_SIZE} 1", self._hook()]

    def require_hook(self, monitor: Monitor) -> None:
        """Raise RenodeError if Renode's blocks are longer than one instruction."""
        size = monitor.number(BLOCK_SIZE, _ANSWER_SECONDS)
        if size != 1:
            raise RenodeError(f"a block has at most {size} instructions, but 1 was requested")

    def has_halted(self, state: State) -> bool:
        """Return whether the core has halted because of SP."""
        core = self._core
        if self._left_stack:
            return False
        if self._lowest is None and self._firmware.architecture.code_address(state.pc) in self._other_stops:
            return False  # another hook has halted the core first
        if core.not_on_stack is not None and state.registers[core.not_on_stack[0]] & core.not_on_stack[1]:
            return False
        return not self._lowest_sp <= state.registers[core.stack_register] <= self._top

    def look(self, stopped: StoppedCore, read: Memory) -> str:
        """Note SP, and return the command that continues the watch.

        ``read`` returns memory.
        """
        sp = stopped.register(self._core.stack_register)
        if not self._floor <= sp <= self._top:
            self._left_stack = True
            return no_block_hook()
        start = max(self._floor, sp - _BELOW_SP)
        stack = read(start, self._top - start)
        self._lowest = StackPeak(sp, stopped.register("pc"), self._core.registers(stopped), start, stack)
        return self._hook()

    def measure(self) -> StackUse | str:
        """Return the stack's use, or why it is not known."""
        core, lowest = self._core, self._lowest
        if self._left_stack:
            return "SP left the stack's memory, or the firmware has other stacks: in Renode emu can measure only one"
        if lowest is None:
            return "Renode's hook before every instruction has not run once"
        peak = stack_bytes(core, lowest.lowest, self._top)
        backtrace = core.peak_backtrace(replace(lowest, lowered_from=self._before(lowest.lowered_from)), self._top)
        use = main_stack_use(self._firmware, core.stack_pointer, lowest.lowest, peak, backtrace)
        return use or "the firmware has more than one stack, and in Renode emu can measure only one"

    @property
    def _lowest_sp(self) -> int:
        return self._top + 1 if self._lowest is None else self._lowest.lowest

    def _hook(self) -> str:
        core = self._core
        condition = f"not {self._lowest_sp:#x} <= {register(self._numbers[core.stack_register])} <= {self._top:#x}"
        if core.not_on_stack is not None:
            name, bits = core.not_on_stack
            condition += f" and not {register(self._numbers[name])} & {bits:#x}"
        return block_hook(condition)

    def _before(self, pc: int) -> int:
        """Return the instruction before ``pc``: it lowered SP, as instructions that lower SP do not branch."""
        firmware = self._firmware
        function = firmware.function_at(pc)
        if function is None:
            return pc
        code = firmware.bytes_at(function.start, pc - function.start)
        *_, before = [pc, *firmware.architecture.instruction_addresses(code, function.start)]
        return before
