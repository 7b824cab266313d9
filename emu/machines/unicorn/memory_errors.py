"""Memory errors: the checker's findings in words, with the owner of the memory and the origin of a value."""

from collections.abc import Callable, Sequence

from emu.architectures.access import NULL_PAGE
from emu.architectures.armv7em.dataflow import Access
from emu.architectures.core import Core
from emu.elf import Symbol
from emu.firmware import Firmware
from emu.native.unicorn.instructions import FindingKind
from emu.native.unicorn.shadow import ByteState, Finding, NativeShadow
from emu.probes.heap import HeapLedger
from emu.record import Frame, MemoryCheck, MemoryFinding, Origin

_NEAR_BLOCK = 256
"""Bytes around a heap block; an access in them is taken for a miss of the block."""
_NEAR_OBJECT = 64
_UNDEFINED = {
    FindingKind.UNINITIALISED_BRANCH: ("uninitialised_branch", "what runs next depends on a value that was never set"),
    FindingKind.UNINITIALISED_ADDRESS: ("uninitialised_address", "the address depends on a value that was never set"),
    FindingKind.UNINITIALISED_OUTPUT: ("uninitialised_output", "a value that was never set leaves the firmware"),
}


class MemoryErrors:
    """The findings of one run. ``take`` must be called before the heap changes after a finding."""

    def __init__(self, firmware: Firmware, core: Core, ledger: HeapLedger, shadow: NativeShadow, *, replaced: bool):
        self._firmware, self._core, self._ledger, self._shadow = firmware, core, ledger, shadow
        self._replaced = replaced
        self._described: list[MemoryFinding] = []
        self._outputs: dict[int, MemoryFinding] = {}
        """Findings by the address of the code that gave the bytes to the host."""

    def take(self) -> None:
        """Describe the findings since the last call."""
        for finding in self._shadow.findings[len(self._described) :]:
            self._described.append(self._describe(finding))

    def check_output(self, address: int, size: int, pc: int, backtrace: Callable[[], list[Frame]]) -> None:
        """Note a finding if the firmware at ``pc`` gives uninitialised bytes to the host."""
        undefined = self._shadow.first_undefined(address, size)
        if undefined is None:
            return
        if pc in self._outputs:
            self._outputs[pc].times += 1
            return
        kind, detail = _UNDEFINED[FindingKind.UNINITIALISED_OUTPUT]
        self._outputs[pc] = MemoryFinding(
            **self._firmware.locate(pc).model_dump(),
            kind=kind,
            address=undefined,
            pc=pc,
            detail=f"{detail}: {_bytes(undefined - address, 'into')} the {size} that it hands out",
            backtrace=backtrace(),
            memory=self._owner(undefined, ()),
        )

    def measure(self) -> MemoryCheck:
        """Return the findings, oldest first."""
        for described, finding in zip(self._described, self._shadow.findings, strict=False):
            described.times = finding.times
        return MemoryCheck(
            allocator="replaced" if self._replaced else "faithful",
            findings=[*self._described, *self._outputs.values()],
            cut=self._shadow.findings_cut,
        )

    # ---- describing --------------------------------------------------------------------------------------------------

    def _describe(self, finding: Finding) -> MemoryFinding:
        backtrace = self._backtrace(finding)
        frames = _spans(backtrace, finding.registers[13])
        kind, detail = self._classify(finding)
        address = finding.address if finding.access else None
        origin = finding.origin
        return MemoryFinding(
            **self._firmware.locate(finding.pc).model_dump(),
            kind=kind,
            address=address,
            pc=finding.pc,
            detail=detail,
            backtrace=backtrace,
            memory=self._owner(address, frames) if address is not None else None,
            origin=None
            if origin.pc == 0
            else Origin(
                **self._firmware.locate(origin.pc).model_dump(),
                pc=origin.pc,
                address=origin.address,
                memory=self._owner(origin.address, frames),
            ),
            times=finding.times,
        )

    def _classify(self, finding: Finding) -> tuple[str, str]:
        kind = FindingKind(finding.kind)
        if kind in _UNDEFINED:
            return _UNDEFINED[kind]
        access = "read" if finding.access == Access.LOAD else "write"
        what = f"{access} of {finding.size} byte{'s' * (finding.size != 1)} at {finding.address:#010x}"
        if kind == FindingKind.UNALIGNED:
            return "unaligned_access", f"{what}: this instruction faults unless the address is a multiple of 4"
        match ByteState(finding.state):
            case ByteState.BELOW_STACK:
                return f"{access}_below_stack", f"{what}, below SP: what was there is gone"
            case ByteState.READ_ONLY:
                return "write_to_read_only", f"{what}: constants"
            case ByteState.FREED if not self._just_behind_a_block(finding.address):
                return f"use_after_free_{access}", f"{what}, in a heap block that was freed"
            case ByteState.NULL:
                return f"null_pointer_{access}", f"{what}, through a null pointer"
            case ByteState.PADDING:
                return f"{access}_outside_objects", f"{what}: no object is there"
        if self._ledger.block_near(finding.address, _NEAR_BLOCK) is not None or finding.state != ByteState.OUTSIDE:
            return f"heap_out_of_bounds_{access}", f"{what}, outside of any heap block"
        if finding.address < NULL_PAGE:
            return f"null_pointer_{access}", f"{what}, through a null pointer"
        return f"{access}_outside_objects", f"{what}: no section of the linker script is there"

    def _just_behind_a_block(self, address: int) -> bool:
        block = self._ledger.block_near(address, 4)
        return block is not None and block.freed is None and block.address <= address

    def _backtrace(self, finding: Finding) -> list[Frame]:
        registers = list(finding.registers)
        start = registers[13]
        stack = bytes(finding.stack[: finding.stack_bytes]) if finding.stack_bytes else b""

        def read(address: int, size: int) -> bytes:
            return stack[address - start :][:size] if address >= start else b""

        return self._core.backtrace(registers, read)

    def _owner(self, address: int, frames: Sequence[tuple[int, int, str]]) -> str:
        """Return the owner of ``address``; ``frames`` are start, end and function of the stack's frames."""
        firmware = self._firmware
        block = self._ledger.block_near(address) or self._ledger.block_near(address, _NEAR_BLOCK)
        if block is not None:
            return f"{_offset(address, block.address, block.size)} {self._ledger.describe(block)}"
        for start, end, function in frames:
            if start <= address < end:
                return f"the stack frame of {function}"
        if firmware.stack_limit is not None and firmware.stack_limit <= address < firmware.initial_sp:
            return "the stack"
        symbol = self._nearest_object(address)
        if symbol is not None:
            return f"{_offset(address, symbol.address, symbol.size)} `{symbol.readable}` ({symbol.size} bytes)"
        section = next((s for s in firmware.sections if s.address <= address < s.end), None)
        if section is not None:
            return f"the section {section.name}"
        region = firmware.board.region_at(address)
        return f"unused memory of {region.name}" if region is not None else "no memory"

    def _nearest_object(self, address: int) -> Symbol | None:
        """Return the object that holds ``address``, or the nearest object that ends shortly before it."""
        candidates = (s for s in self._firmware.objects if s.address <= address < s.address + s.size + _NEAR_OBJECT)
        return min(candidates, key=lambda s: max(0, address - s.address - s.size + 1), default=None)


def _offset(address: int, start: int, size: int) -> str:
    """Return the place of ``address``, relative to ``size`` bytes of memory at ``start``."""
    if address < start:
        return _bytes(start - address, "before")
    if address < start + size:
        return _bytes(address - start, "into")
    return _bytes(address - start - size, "after") if address > start + size else "right after"


def _bytes(count: int, where: str) -> str:
    return f"{count} byte{'s' * (count != 1)} {where}"


def _spans(backtrace: list[Frame], sp: int) -> list[tuple[int, int, str]]:
    """Return start, end and function of the frames, innermost first, up to a frame of unknown size."""
    spans = []
    for frame in backtrace:
        if frame.frame_bytes is None:
            break
        spans.append((sp, sp + frame.frame_bytes, frame.function or "an unnamed function"))
        sp += frame.frame_bytes
    return spans
