"""Memory errors: the checker's findings in words, with the owner of the memory and the origin of a value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from emu.architectures.access import NULL_PAGE
from emu.architectures.armv7em.dataflow import Access
from emu.architectures.core import Core, Memory
from emu.elf import Symbol
from emu.firmware import Firmware
from emu.machines.unicorn.addressability import kept_sections
from emu.machines.unicorn.same_mistake import Described, by_mistake
from emu.native.unicorn.instructions import ByteState, FindingKind
from emu.native.unicorn.shadow import Finding, NativeShadow
from emu.probes.heap import HeapLedger
from emu.record import Frame, MemoryCheck, MemoryFinding, Origin

_NEAR_BLOCK = 256
"""Bytes around a heap block; an access in them is taken for a miss of the block."""
_NEAR_OBJECT = 64
_LATEST = 64
"""Earlier findings that an access can continue: more than a copy has instructions."""
_CLEARED_SECTIONS = (".bss", ".sbss", ".tbss")
_SP = 13
_UNDEFINED = {
    FindingKind.UNINITIALISED_BRANCH: ("uninitialised_branch", "what runs next depends on a value that was never set"),
    FindingKind.UNINITIALISED_ADDRESS: ("uninitialised_address", "the address depends on a value that was never set"),
    FindingKind.UNINITIALISED_OUTPUT: ("uninitialised_output", "a value that was never set leaves the firmware"),
}


@dataclass(frozen=True)
class _Owner:
    """The owner of an address: where the address is, in or near what, and in which memory."""

    where: str
    what: str
    place: str = ""
    section: str | None = None
    """The name of the variable's section if the ELF has no values for it and it is not one that is cleared."""
    is_block: bool = False

    @property
    def text(self) -> str:
        return f"{self.where} {self.what}{self.place}".strip()


class MemoryErrors:
    """The findings of one run. ``take`` must be called before the heap changes after a finding."""

    def __init__(
        self,
        firmware: Firmware,
        core: Core,
        ledger: HeapLedger,
        shadow: NativeShadow,
        peek: Memory,
        *,
        replaced: bool,
    ):
        self._firmware, self._core, self._ledger, self._shadow, self._peek = firmware, core, ledger, shadow, peek
        self._replaced = replaced
        self._described: list[Described] = []
        self._outputs: dict[int, MemoryFinding] = {}
        """Findings by the address of the code that gave the bytes to the host."""

    def take(self) -> None:
        """Describe the findings since the last call."""
        findings = self._shadow.findings
        for number in range(len(self._described), len(findings)):
            described = self._describe(findings[number])
            continued = self._continued(findings[number], findings[:number])
            self._described.append(described._replace(continues=continued))

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
            memory=self._owner(undefined, ()).text,
        )

    def measure(self) -> MemoryCheck:
        """Return the findings, oldest first."""
        for described, finding in zip(self._described, self._shadow.findings, strict=False):
            described.finding.times = finding.times
        return MemoryCheck(
            allocator="replaced" if self._replaced else "faithful",
            findings=[*by_mistake(self._described), *self._outputs.values()],
            cut=self._shadow.findings_cut,
            taken_as_set=[section.name for section in kept_sections(self._firmware)],
        )

    # ---- describing --------------------------------------------------------------------------------------------------

    def _describe(self, finding: Finding) -> Described:
        backtrace = self._backtrace(finding)
        frames = _spans(backtrace, finding.registers[_SP])
        kind, detail = self._classify(finding)
        address = finding.address if finding.access or finding.kind == FindingKind.OVERLAP else None
        origin = finding.origin
        owner = self._owner(address, frames, finding.registers[_SP]) if address is not None else None
        source = self._owner(origin.address, frames) if origin.pc != 0 else None
        if source is not None and source.section is not None:
            detail += (
                f"; at power-on {source.section} holds anything (if the code allows for that, suppress the finding, or "
                f"name {source.section} in kept_over_reset of the board file)"
            )
        described = MemoryFinding(
            **self._firmware.locate(finding.pc).model_dump(),
            kind=kind,
            address=address,
            pc=finding.pc,
            detail=detail,
            backtrace=backtrace,
            memory=None if owner is None else owner.text,
            origin=None
            if source is None
            else Origin(
                **self._firmware.locate(origin.pc).model_dump(),
                pc=origin.pc,
                address=origin.address,
                memory=source.text,
            ),
            times=finding.times,
            task=self._ledger.callers.task_of(finding.thread),
        )
        if owner is None and source is not None and not source.is_block:
            return Described(described, None)  # two variables that nobody set are two mistakes
        about = owner or source
        return Described(described, None if about is None else about.what)

    def _continued(self, finding: Finding, earlier: Sequence[Finding]) -> int | None:
        """Return the index of the latest earlier finding whose access this one continues, or None.

        An access continues another if it is of the same sort, and only bytes that may be accessed lie between the two.
        """
        for number in reversed(range(max(0, len(earlier) - _LATEST), len(earlier))):
            other = earlier[number]
            low, high = sorted([(finding.address, finding.size), (other.last_address, other.size)])
            if finding.access and finding.access == other.access and self._shadow.is_accessible(sum(low), high[0]):
                return number
        return None

    def _classify(self, finding: Finding) -> tuple[str, str]:
        kind = FindingKind(finding.kind)
        if kind in _UNDEFINED:
            return _UNDEFINED[kind]
        if kind == FindingKind.OVERLAP:
            return "overlapping_copy", _copy(*finding.registers[:3])
        access = "read" if finding.access == Access.LOAD else "write"
        what = f"{access} of {finding.size} byte{'s' * (finding.size != 1)} at {finding.address:#010x}"
        if kind == FindingKind.UNALIGNED:
            return "unaligned_access", f"{what}: this instruction faults unless the address is a multiple of 4"
        match ByteState(finding.state):
            case ByteState.BELOW_STACK:
                return f"{access}_below_stack", f"{what}, {self._below_sp(finding)}"
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

    def _below_sp(self, finding: Finding) -> str:
        sp = finding.registers[_SP]
        distance, stack = sp - finding.address, self._firmware.variable_at(finding.address)
        if stack is not None and stack != self._firmware.variable_at(sp - 1):
            return f"below the SP of the stack `{stack.readable}`: what was there is gone"
        if self._object_nearer_than(finding.address, distance) is None:
            return "below SP: what was there is gone"
        return f"{distance:,} bytes below SP: no object is there, and no frame"

    def _just_behind_a_block(self, address: int) -> bool:
        block = self._ledger.block_near(address, 4)
        return block is not None and block.freed is None and block.address <= address

    def _backtrace(self, finding: Finding) -> list[Frame]:
        registers = list(finding.registers)
        start = registers[_SP]
        stack = bytes(finding.stack[: finding.stack_bytes]) if finding.stack_bytes else b""

        def read(address: int, size: int) -> bytes:
            kept = stack[address - start :][:size] if address >= start else b""
            return kept if len(kept) == size else self._peek(address, size)  # the stack of an interrupted task waits

        return self._core.backtrace(registers, read)

    def _owner(self, address: int, frames: Sequence[tuple[int, int, str]], sp: int | None = None) -> _Owner:
        """Return the owner of ``address``; ``frames`` are start, end and function of the stack's frames.

        In the stack's memory below ``sp``, an object that is nearer than ``sp`` is taken for the owner.
        """
        firmware = self._firmware
        block = self._ledger.block_near(address) or self._ledger.block_near(address, _NEAR_BLOCK)
        if block is not None:
            where = _offset(address, block.address, block.size)
            return _Owner(where, self._ledger.describe(block), is_block=True)
        for start, end, function in frames:
            if start <= address < end:
                return _Owner("", f"the stack frame of {function}")
        if firmware.stack_limit is not None and firmware.stack_limit <= address < firmware.initial_sp:
            missed = self._object_nearer_than(address, sp - address) if sp is not None else None
            return _Owner("", "the stack") if missed is None else _object(address, missed, "in the stack's memory")
        section = next((s for s in firmware.sections if s.address <= address < s.end), None)
        symbol = self._object_nearer_than(address, _NEAR_OBJECT)
        if symbol is not None:
            kept = section is not None and section.data is None and not section.name.startswith(_CLEARED_SECTIONS)
            if section is None or not kept or not symbol.address <= address < symbol.end:
                return _object(address, symbol)
            return replace(_object(address, symbol, f"in {section.name}"), section=section.name)
        region = firmware.board.region_at(address)
        if region is None:
            return _Owner("", "no memory")
        place = f"unused memory of {region.name}" if section is None else f"the section {section.name}"
        before = self._object_nearer_than(address, address - region.start)
        return _Owner("", place) if before is None else _object(address, before, f"in {place}")

    def _object_nearer_than(self, address: int, distance: int) -> Symbol | None:
        """Return the object that holds ``address``, or the nearest one that ends at most ``distance`` bytes before."""
        candidates = (s for s in self._firmware.objects if s.address <= address < s.end + distance)
        return min(candidates, key=lambda s: max(0, address - s.end + 1), default=None)


def _object(address: int, symbol: Symbol, place: str = "") -> _Owner:
    where = _offset(address, symbol.address, symbol.size)
    return _Owner(where, f"`{symbol.readable}` ({symbol.size} bytes)", f", {place}" if place else "")


def _offset(address: int, start: int, size: int) -> str:
    """Return the place of ``address``, relative to ``size`` bytes of memory at ``start``."""
    if address < start:
        return _bytes(start - address, "before")
    if address < start + size:
        return _bytes(address - start, "into")
    return _bytes(address - start - size, "after") if address > start + size else "right after"


def _copy(target: int, source: int, size: int) -> str:
    """Return what is wrong with the arguments of a call of memcpy."""
    shared = size - abs(target - source)
    return (
        f"memcpy of {size:,} bytes from {source:#010x} to {target:#010x}: {_bytes(shared, 'are')} in both (memmove may "
        "do that)"
    )


def _bytes(count: int, where: str) -> str:
    return f"{count:,} byte{'s' * (count != 1)} {where}"


def _spans(backtrace: list[Frame], sp: int) -> list[tuple[int, int, str]]:
    """Return start, end and function of the frames, innermost first, up to a frame of unknown size.

    The frames before an exception may be on another stack, so they are left out.
    """
    spans = []
    for frame in backtrace:
        if frame.frame_bytes is None or frame.interrupted_by is not None:
            break
        spans.append((sp, sp + frame.frame_bytes, frame.function or "an unnamed function"))
        sp += frame.frame_bytes
    return spans
