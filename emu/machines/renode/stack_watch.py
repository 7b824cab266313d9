"""The lowest stack pointer of each stack: a hook in C# halts the core before a block that takes SP lower than ever.

Renode compiles the hook, ``stack_watch.cs``. On a Cortex-M it runs before whole blocks, and knows what the instructions
in them do to SP. On an Xtensa each block is one instruction. The first SP halts in any case, so a hook that never runs
is not taken for a peak of 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emu.architectures.core import Core, Memory, StackPeak, StoppedCore, stack_bytes
from emu.architectures.cores import core_of
from emu.firmware import Firmware
from emu.machines.renode.core import RenodeCore
from emu.machines.renode.monitor import BLOCK_SIZE, CPU, Monitor
from emu.machines.renode.robot_server import RenodeError
from emu.probes.main_stack import main_stack_by_region, main_stack_use
from emu.probes.stacks import FoundStacks, Pointer
from emu.record import StackUse

_HOOK = Path(__file__).with_suffix(".cs")
_COMPILE_SECONDS, _ANSWER_SECONDS = 120.0, 30.0
_BELOW_SP = 16
"""Bytes below SP that are kept with the stack: an Xtensa spills windows there."""
_MOST_STACKS = 64
_IPSR, _SPSEL = 0x1FF, 2


@dataclass
class _Watched:
    """A stack that the hook knows, and the machine at its lowest SP so far."""

    floor: int
    top: int
    peak: StackPeak | None = None

    @property
    def lowest(self) -> int:
        return self.top + 1 if self.peak is None else self.peak.lowest

    def command(self) -> str:
        return f"{CPU} WatchStack {self.floor:#x} {self.top:#x} {self.lowest:#x}"


class StackWatch:
    """Follows SP through one run: on every stack of a Cortex-M, on the first stack of an Xtensa."""

    def __init__(self, firmware: Firmware, in_renode: RenodeCore, read: Memory):
        """``read`` returns the machine's memory."""
        self._firmware, self._in_renode, self._read = firmware, in_renode, read
        self._core: Core = core_of(firmware)
        follows_all = in_renode.write_stack_code is not None
        self._found = FoundStacks(firmware, read, _MOST_STACKS) if follows_all else None
        floor = firmware.stack_region.start if self._found is None else self._found.floor(self._found.stacks[0])
        self._stacks = [_Watched(floor, firmware.initial_sp)]
        """The stacks; those of a Cortex-M in the order of ``FoundStacks``."""
        self._left_stacks = False

    # ---- the hook ----------------------------------------------------------------------------------------------------

    def begin(self, monitor: Monitor, include: Callable[[Path], None], directory: Path) -> None:
        """Let Renode call the hook; raises RenodeError. ``include`` lets Renode compile a file once."""
        include(_HOOK)
        sp = self._in_renode.registers[self._core.stack_register]
        name, bits = self._core.not_on_stack or (self._core.stack_register, 0)
        commands = [f"{CPU} BeginStackWatch {sp} {self._in_renode.registers[name]} {bits:#x}"]
        if self._in_renode.write_stack_code is None:
            commands.insert(0, f"{BLOCK_SIZE} 1")
        else:
            path = directory / "stack_code"
            self._in_renode.write_stack_code(self._firmware, path)
            commands.append(f'{CPU} LoadStackCode "{path}"')
        for command in [*commands, self._stacks[0].command()]:
            monitor.run([command], _COMPILE_SECONDS)
        if self._in_renode.write_stack_code is None and (size := monitor.number(BLOCK_SIZE, _ANSWER_SECONDS)) != 1:
            raise RenodeError(f"a block has at most {size} instructions, but 1 was requested")

    def seen(self, monitor: Monitor) -> int:
        """Return where SP goes that the hook has halted the core for; 0 if another hook has halted the core."""
        return 0 if self._left_stacks else monitor.number(f"{CPU} StackSeen", _ANSWER_SECONDS)

    def look(self, stopped: StoppedCore, seen: int) -> list[str]:
        """Note SP, which goes to ``seen``, and return the commands that continue the watch."""
        sp = stopped.register(self._core.stack_register)
        stack = self._stack_at(sp, seen, stopped)
        if stack is None:
            self._left_stacks = True
            return [f"{CPU} ClearHookAtBlockBegin"]
        region = next(region for region in self._firmware.board.ram if stack.top - 1 in region)
        start = max(region.start, sp - _BELOW_SP)
        pc = stopped.register("pc")
        if seen < stack.lowest:
            lowered_from = pc if seen < sp else self._before(pc)
            memory = self._read(start, stack.top - start)
            stack.peak = StackPeak(seen, lowered_from, self._core.registers(stopped), start, memory)
        return [each.command() for each in self._stacks]

    def _stack_at(self, sp: int, seen: int, stopped: StoppedCore) -> _Watched | None:
        """Return the stack that SP is on; None if it is on none that can be followed."""
        if self._found is None:
            (stack,) = self._stacks
            return stack if stack.floor <= sp <= stack.top else None
        handler = stopped.register("xpsr") & _IPSR
        pointer: Pointer = "PSP" if not handler and stopped.register("control") & _SPSEL else "MSP"
        known = [
            stack
            for stack, found in zip(self._stacks, self._found.stacks, strict=True)
            if found.pointer == pointer and stack.floor <= sp <= stack.top
        ]
        if known:
            stack = min(known, key=lambda each: each.top)
            stack.floor = min(stack.floor, seen)  # an overflow
            return stack
        number = self._found.find(sp, pointer, lambda _: None, lambda number: self._stacks[number - 1].lowest)
        if number == 0:
            return None
        for stack, found in zip(self._stacks, self._found.stacks, strict=False):
            stack.floor = max(stack.floor, self._found.floor(found)) if stack.top > sp else stack.floor
        if number > len(self._stacks):
            found = self._found.stacks[number - 1]
            self._stacks.append(_Watched(min(self._found.floor(found), seen), found.top))
        return self._stacks[number - 1]

    def _before(self, pc: int) -> int:
        """Return the instruction before ``pc``: it lowered SP, as instructions that lower SP do not branch."""
        firmware = self._firmware
        function = firmware.function_at(pc)
        if function is None:
            return pc
        code = firmware.bytes_at(function.start, pc - function.start)
        *_, before = [pc, *firmware.architecture.instruction_addresses(code, function.start)]
        return before

    # ---- the figures -------------------------------------------------------------------------------------------------

    def measure(self, monitor: Monitor) -> list[StackUse] | str:
        """Return each stack's use, the first stack's first, or why it is not known."""
        if self._left_stacks:
            return "SP left the stack's memory, or the firmware has other stacks, which emu cannot tell apart in Renode"
        if self._stacks[0].peak is None:
            return "Renode's hook before each block has not run once"
        if self._found is None:
            return self._measure_first(self._stacks[0].peak)
        unknown = monitor.number(f"{CPU} UnknownStackCode", _ANSWER_SECONDS)
        if unknown:
            return f"code ran at {unknown:#010x} that the ELF does not contain, so what it does to SP is not known"
        return [
            found.use(stack.peak.lowest, self._core.peak_backtrace(stack.peak, stack.top))
            for stack, found in zip(self._stacks, self._found.stacks, strict=True)
            if stack.peak is not None
        ]

    def by_region(self, stacks: list[StackUse]) -> dict[str, int] | None:
        """Return the peaks of ``stacks``, which were measured, by memory."""
        if self._found is None:
            return main_stack_by_region(self._firmware, stacks[0])
        return self._found.bytes_by_region(stacks)

    @property
    def not_measured(self) -> dict[str, str]:
        """The reason for each unknown figure of the stacks, by the figure's name."""
        return {} if self._found is None else self._found.not_measured

    def _measure_first(self, lowest: StackPeak) -> list[StackUse] | str:
        core, top = self._core, self._firmware.initial_sp
        peak = stack_bytes(core, lowest.lowest, top)
        backtrace = core.peak_backtrace(lowest, top)
        use = main_stack_use(self._firmware, core.stack_pointer, lowest.lowest, peak, backtrace)
        return "the firmware has more than one stack, and in Renode emu can measure only one" if use is None else [use]
