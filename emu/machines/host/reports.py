"""Errors read from the sanitizers' text, which names each place by its code address only."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from emu.firmware import Firmware
from emu.record import Frame, Location, MemoryFinding

_ADDRESS_ERROR = re.compile(r"^==\d+==ERROR: AddressSanitizer: (.*)$", re.MULTILINE)
_MEMORY_LIMIT = re.compile(r"^==\d+==AddressSanitizer: hard rss limit exhausted \((\d+)Mb", re.MULTILINE)
_UNDEFINED = re.compile(r"^.*?:(?P<line>\d+):\d+: runtime error: (?P<message>.*)$", re.MULTILINE)
_ACCESS = re.compile(r"^(READ|WRITE) of size (\d+)", re.MULTILINE)
_SIGNAL_ACCESS = re.compile(r"signal is caused by a (READ|WRITE) memory access")
_AT = re.compile(r"(?:on|on unknown|malloc\(\)-ed:)(?: address)? (0x[0-9a-f]+)")
_PC = re.compile(r"\(pc (0x[0-9a-f]+)")
_FRAME = re.compile(r"^ +#\d+ (0x[0-9a-f]+)", re.MULTILINE)
_HISTORY = re.compile(r"^(?:previously )?(allocated|freed) by thread .* here:\n((?: +#.*\n)+)", re.MULTILINE)
_LOCATED = re.compile(r"^0x[0-9a-f]+ is located (.*?)(?: \[0x[0-9a-f]+,0x[0-9a-f]+\))?$", re.MULTILINE)
_VARIABLE = re.compile(r"^ +\[\d+, \d+\) ('.*) <== Memory access at offset \d+ (.*)$", re.MULTILINE)
_SIGNALS = {
    "ABRT": ("exception", "abort was called"),
    "BUS": ("exception", "bus error"),
    "FPE": ("exception", "arithmetic exception"),
    "TRAP": ("breakpoint", "breakpoint, and no debugger; on some processors also __builtin_trap"),
    "ILL": ("invalid_instruction", "the processor does not know the instruction, such as that of __builtin_trap"),
}
_NULL_PAGE = 0x1000
_NO_ADDRESS = "caused by a dereference of a high value address"
_MOST_FRAMES = 64
_STARTUP = "_start"


@dataclass(frozen=True)
class _Text:
    """One report."""

    whole: str
    firmware: Firmware

    @property
    def history(self) -> str:
        """The callers that allocated and freed the accessed block."""
        parts = []
        for what, frames in _HISTORY.findall(self.whole):
            by = self._backtrace(frames)[:1]
            parts += [f"{what} by {frame.function} ({frame.file}:{frame.line})" for frame in by]
        return ", ".join(reversed(parts))

    @property
    def memory(self) -> str | None:
        """The owner of the accessed memory."""
        variable = _VARIABLE.search(self.whole)
        if variable is not None:
            return f"on the stack, {variable[1]}: the access {variable[2]}"
        located = _LOCATED.search(self.whole)
        if located is None:
            return None
        where = re.sub(r" defined in '.*?' \(0x[0-9a-f]+\)", "", located[1])
        return ", ".join(filter(None, (where, self.history)))

    @property
    def backtrace(self) -> list[Frame]:
        """The firmware's own frames, innermost first, without frames of the C library before them."""
        first = re.search(r"(?:^ +#.*\n)+", self.whole + "\n", re.MULTILINE)
        return self._backtrace(first[0]) if first else []

    def _backtrace(self, frames: str) -> list[Frame]:
        pcs = [int(pc, 16) for pc in _FRAME.findall(frames)]
        located = [(pc, self.firmware.locate(pc)) for pc in pcs if self.firmware.function_at(pc) is not None]
        own = [(pc, place) for pc, place in located if place.function != _STARTUP][:_MOST_FRAMES]
        return [Frame(pc=pc, frame_bytes=None, **place.model_dump()) for pc, place in own]


def read_report(said: str, firmware: Firmware) -> MemoryFinding | None:
    """Return the error in the sanitizers' text; None if it reports none.

    The sanitizers stop at the first error. Its kind is one of a memory error, or else one of a fault.
    """
    readers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Text], MemoryFinding]], ...] = (
        (_ADDRESS_ERROR, _read_address_error),
        (_MEMORY_LIMIT, _read_memory_limit),
        (_UNDEFINED, _read_undefined_behaviour),
    )
    for pattern, read in readers:
        if (headline := pattern.search(said)) is not None:
            return read(headline, _Text(said[headline.start() :], firmware))
    return None


def _read_undefined_behaviour(headline: re.Match[str], text: _Text) -> MemoryFinding:
    message = headline["message"]
    kind = "undefined_behaviour"
    accesses = {"load of": "read", "store to": "write"}
    for words, access in accesses.items():
        if message.startswith(f"{words} null pointer"):
            kind = f"null_pointer_{access}"
        elif message.startswith(f"{words} misaligned address"):
            kind = "unaligned_access"
    address = re.search(r"address (0x[0-9a-f]+)", message)
    finding = _finding(kind, message, text, address=int(address[1], 16) if address else None)
    if finding.file is not None:
        finding.line = int(headline["line"])  # the headline is more exact than the code address
    return finding


def _read_address_error(headline: re.Match[str], text: _Text) -> MemoryFinding:
    message = headline[1]
    name = message.partition(" ")[0]
    at = _AT.search(message)
    address = int(at[1], 16) if at else None
    if name in _SIGNALS:
        kind, detail = _SIGNALS[name]
        return _finding(kind, detail, text)
    if name == "SEGV":
        return _read_bad_access(message, address or 0, text)
    if name == "stack-overflow":
        return _finding("stack_overflow", "the stack is used up", text, address=address)
    if message.startswith("attempting double-free"):
        return _finding("double_free", "a block is freed that was freed before", text, address=address)
    if message.startswith("attempting free"):
        return _finding("invalid_free", "what is freed is no block of the heap", text, address=address)
    if name.startswith("memcpy-param-overlap"):
        return _finding("overlapping_copy", message, text, address=address)
    access = _ACCESS.search(text.whole)
    if access is None:
        return _finding("undefined_behaviour", message, text, address=address)
    way = access[1].lower()
    kinds = {
        "heap-buffer-overflow": f"heap_out_of_bounds_{way}",
        "heap-use-after-free": f"use_after_free_{way}",
        "stack-use-after-return": f"{way}_below_stack",
    }
    size = int(access[2])
    detail = f"{way} of {size} byte{'s' * (size != 1)} at {address or 0:#010x}, {name}"
    return _finding(kinds.get(name, f"{way}_outside_objects"), detail, text, address=address)


def _read_memory_limit(headline: re.Match[str], text: _Text) -> MemoryFinding:
    """Return the finding of a program that takes too much memory; the sanitizer's own thread reports it."""
    return _finding("firmware_error", f"the program takes more than {headline[1]} MB of memory", text)


def _read_bad_access(message: str, address: int, text: _Text) -> MemoryFinding:
    """Return the finding of an access to an address without memory."""
    pc = _PC.search(message)
    if pc is not None and int(pc[1], 16) == address:
        return _finding("unmapped_fetch", f"jump to {address:#010x}: no code is there", text, address=address)
    access = _SIGNAL_ACCESS.search(text.whole)
    way = access[1].lower() if access else "read"
    if _NO_ADDRESS in text.whole:  # the processor does not give the address, and the report says 0
        return _finding(f"unmapped_{way}", "an access or a jump to an address that no memory can have", text)
    if address < _NULL_PAGE:
        kind, detail = f"null_pointer_{way}", f"{way} at {address:#010x}, through a null pointer"
    else:
        kind, detail = f"unmapped_{way}", f"{way} at {address:#010x}: no memory is there, or none for that"
    return _finding(kind, detail, text, address=address)


def _finding(kind: str, detail: str, text: _Text, address: int | None = None) -> MemoryFinding:
    backtrace = text.backtrace
    place = backtrace[0].model_dump(include=set(Location.model_fields)) if backtrace else {}
    return MemoryFinding(
        **place,
        kind=kind,
        address=address,
        pc=backtrace[0].pc if backtrace else None,
        detail=detail,
        backtrace=backtrace,
        memory=text.memory,
    )
