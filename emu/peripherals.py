"""A board's peripherals: what the board file says of their registers, and the same as text for the emulators.

``emu/native/common/peripherals.c`` gives the registers their behaviour, in Unicorn and in QEMU alike.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from itertools import chain
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from emu.board_fields import Strict, parse_size

_ADDRESSES = 1 << 32
_WORD_BITS, _WORD_BYTES = 32, 4


class Bits(NamedTuple):
    """Bits of the register at ``offset``: ``width`` of them, from bit ``shift`` on."""

    offset: int
    shift: int = 0
    width: int = _WORD_BITS

    @property
    def mask(self) -> int:
        """The bits, from bit 0 on."""
        return (1 << self.width) - 1


def _parse_bits(text: object) -> Bits:
    """Return the bits that ``0x1C``, ``"0x1C[5]"`` or ``"0x1C[7:4]"`` stands for; raises ValueError if none."""
    if isinstance(text, Bits):
        return text
    if isinstance(text, tuple):  # a board's own description, read again
        return Bits(*text)
    match = re.fullmatch(r"(\w+)(?:\[(\d+)(?::(\d+))?\])?", str(text))
    try:
        offset = int(match[1], 0) if match else -1
    except ValueError:
        offset = -1
    if match is None or offset < 0:
        raise ValueError(f'"{text}" is not an offset such as 0x1C, and not bits such as "0x1C[5]" or "0x1C[7:4]"')
    if match[2] is None:
        return Bits(offset)
    high, low = int(match[2]), int(match[3] or match[2])
    if not low <= high < _WORD_BITS:
        raise ValueError(f'"{text}": a register has the bits 31 to 0; write the higher bit first, as in "0x1C[7:4]"')
    return Bits(offset, low, high - low + 1)


_Bits = Annotated[Bits, BeforeValidator(_parse_bits)]
_Value = Annotated[int, Field(ge=0, lt=1 << 32)]


class Counter(Strict):
    """A register that counts retired instructions."""

    value: _Bits
    """The register that counts."""
    enable: _Bits
    """The bit that switches the counter on."""
    reload: _Bits | None = None
    """The register with the counter's highest value, after which it starts again from 0."""
    prescaler: _Bits | None = None
    """The register with the number of instructions for a step, less 1."""
    flag: _Bits | None = None
    """The bit that is set when the counter starts again."""
    restart: _Bits | None = None
    """The bit that sets the counter to 0 and the flag to 1 when a one is written to it."""


class Transfer(Strict):
    """The registers of each channel of a DMA controller, with offsets from the channel's first register.

    The transfer is done at once when the firmware enables the channel. It moves data from memory to a peripheral, or
    between memories. No peripheral sends data, so a channel that waits for a peripheral's data waits for ever.
    """

    enable: _Bits
    """The bit that switches the channel on; the end of the transfer switches it off."""
    count: _Bits
    """The number of items."""
    peripheral: _Bits
    """The address of the peripheral's register, or of the other memory."""
    memory: _Bits
    """The address of the memory."""
    from_memory: _Bits
    """The bit that is set for a transfer from ``memory`` to ``peripheral``."""
    between_memories: _Bits | None = None
    """The bit that is set if ``peripheral`` is the address of memory."""
    peripheral_steps: _Bits | None = None
    """The bit that moves ``peripheral`` on after each item."""
    memory_steps: _Bits | None = None
    """The bit that moves ``memory`` on after each item."""
    size: _Bits | None = None
    """The bits with the size of an item: 0 is 1 byte, 1 is 2 bytes, 2 is 4 bytes."""
    circular: _Bits | None = None
    """The bit that lets the channel go on after the last item; here it stays enabled after one transfer."""


class Channel(Strict):
    """A channel of a DMA controller."""

    start: int = Field(ge=0)
    """The offset of the channel's first register."""
    done: _Bits
    """The bits of the controller that are set at the end of the transfer."""


class Registers(Strict):
    """What registers do. They keep the values written to them, and do only what these settings say.

    A register is named by its offset in the peripheral: `0x1C`. Bits of a register are text: `"0x1C[5]"` is bit 5, and
    `"0x1C[7:4]"` are the bits 7 to 4.
    """

    stub: bool = False
    """Whether firmware may access the registers although no other setting says what they do."""
    output: int | None = None
    """The offset of the register that transmits each byte written to it."""
    reads: dict[_Bits, _Value] = Field(default={})
    """The values that registers or bits always read as."""
    resets: dict[_Bits, _Value] = Field(default={})
    """The values of registers or bits after a reset, if they are not 0."""
    follows: dict[_Bits, _Bits] = Field(default={})
    """Bits that always read as other bits: `"0x00[17]" = "0x00[16]"` makes bit 17, ready, follow bit 16, enable."""
    ones_set: dict[_Bits, _Bits] = Field(default={})
    """Registers or bits of which each one that is written sets a bit of another register."""
    ones_clear: dict[_Bits, _Bits] = Field(default={})
    """Registers or bits of which each one that is written clears a bit, of another register or of the same one."""
    zeros_clear: tuple[_Bits, ...] = ()
    """Registers or bits that a written zero clears, and that a written one does not change."""
    random: tuple[_Bits, ...] = ()
    """Registers that read as another number each time. The numbers are the same in every run."""
    counters: tuple[Counter, ...] = ()
    """Registers that count retired instructions."""
    transfer: Transfer | None = None
    channels: tuple[Channel, ...] = ()
    """The channels of a DMA controller. They need ``transfer``."""

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        for bits, value in [*self.reads.items(), *self.resets.items()]:
            if value > bits.mask:
                raise ValueError(f"{value:#x} has more than the {bits.width} bits of {_text(bits)}")
        for bits, other in [*self.follows.items(), *self.ones_set.items(), *self.ones_clear.items()]:
            if bits.width != other.width:
                raise ValueError(f"{_text(bits)} has {bits.width} bits, and {_text(other)} has {other.width}")
        if self.channels and self.transfer is None:
            raise ValueError("channels need transfer, which says where their registers are")
        return self

    def mentioned(self) -> Iterator[Bits]:
        """Yield all registers and bits that the settings name."""
        if self.output is not None:
            yield Bits(self.output)
        for table in (self.follows, self.ones_set, self.ones_clear):
            yield from table.values()
        for places in (self.reads, self.resets, self.follows, self.ones_set, self.ones_clear, self.zeros_clear):
            yield from places
        yield from self.random
        for counter in self.counters:
            yield from (bits for bits in dict(counter).values() if bits is not None)
        for channel in self.channels:
            yield from (bits for bits in self.fields_of(channel) if bits is not None)

    def fields_of(self, channel: Channel) -> list[Bits | None]:
        """Return the fields of ``channel`` in the order of ``Transfer``, then ``done``."""
        fields = [] if self.transfer is None else dict(self.transfer).values()
        return [*(bits and bits._replace(offset=bits.offset + channel.start) for bits in fields), channel.done]


class Peripheral(Registers):
    """Registers of the board. An access to registers that are not modelled is a fault that names the peripheral.

    The registers are modelled if ``stub``, ``model``, or any setting of a model is given.
    """

    name: str
    """The name in faults."""
    start: int = Field(ge=0)
    """The address of the first register."""
    size: Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
    """Bytes of registers, or text such as "1 KB"."""
    model: str | None = None
    """The name of a table in ``models`` with settings that this peripheral has, too."""

    @property
    def end(self) -> int:
        """The first address after the peripheral."""
        return self.start + self.size

    @property
    def modelled(self) -> bool:
        """Whether firmware may access the registers."""
        return bool(self.stub or self.model or any(True for _ in self.mentioned()))

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    @model_validator(mode="after")
    def _registers_are_inside(self) -> Self:
        if self.end > _ADDRESSES:
            raise ValueError(f"{self.name} does not end below 4 GB")
        if not all(0 <= bits.offset < self.size for bits in self.mentioned()):
            raise ValueError(f"{self.name} has {self.size} bytes of registers, and an offset that is not in them")
        return self


def with_model(peripheral: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """Return a peripheral's table with the settings of its model; its own settings come first.

    Raises ValueError if there is no such model.
    """
    name = peripheral.get("model")
    if name is None:
        return dict(peripheral)
    if name not in models:
        raise ValueError(f'{peripheral.get("name")}: there is no model "{name}", only {", ".join(models) or "none"}')
    merged = dict(models[name])
    for key, own in peripheral.items():
        inherited = merged.get(key)
        if isinstance(own, dict) and isinstance(inherited, dict):
            merged[key] = {**inherited, **own}
        elif isinstance(own, list) and isinstance(inherited, list):
            merged[key] = [*inherited, *own]
        else:
            merged[key] = own
    return merged


# ---- for the emulators -----------------------------------------------------------------------------------------------


class Rule(IntEnum):
    """``enum rule_kind``."""

    CONSTANT = 0
    FOLLOWS = 1
    RANDOM = 2
    ONES_SET = 3
    ONES_CLEAR = 4
    ZEROS_CLEAR = 5
    PRINTS = 6


def describe(peripherals: Iterable[Peripheral]) -> Iterator[str]:
    """Yield the lines that describe the modelled ``peripherals``."""
    for each in peripherals:
        if not each.modelled:
            continue
        yield _line("peripheral", each.start, each.size)
        for offset, value in reset_words(each):
            yield _line("reset", offset, value)
        for kind, at, other, value in rules(each):
            yield _line("rule", kind, *numbers_of(at), *numbers_of(other), value)
        for counter in each.counters:
            yield _line("counter", *chain.from_iterable(map(numbers_of, dict(counter).values())))
        for channel in each.channels:
            yield _line("channel", *chain.from_iterable(map(numbers_of, each.fields_of(channel))))


def rules(registers: Registers) -> Iterator[tuple[Rule, Bits, Bits | None, int]]:
    """Yield the kind of each rule, the bits with the rule, the other bits, and the value, as in ``struct rule``."""
    for bits, value in registers.reads.items():
        yield Rule.CONSTANT, bits, None, value
    tables = (
        (Rule.FOLLOWS, registers.follows),
        (Rule.ONES_CLEAR, registers.ones_clear),
        (Rule.ONES_SET, registers.ones_set),
    )
    for kind, table in tables:
        for bits, other in table.items():
            yield kind, bits, other, 0
    for bits in registers.zeros_clear:
        yield Rule.ZEROS_CLEAR, bits, None, 0
    for bits in registers.random:
        yield Rule.RANDOM, bits, None, 0
    if registers.output is not None:
        yield Rule.PRINTS, Bits(registers.output), None, 0


def reset_words(registers: Registers) -> Iterator[tuple[int, int]]:
    """Yield the offset and the value of each word that is not 0 after a reset."""
    words: dict[int, int] = {}
    for bits, value in registers.resets.items():
        words[bits.offset] = words.get(bits.offset, 0) | value << bits.shift
    yield from words.items()


def numbers_of(bits: Bits | None) -> tuple[int, int, int]:
    """Return the field as emu/native/common/peripherals.h has it; None is a field that does not exist."""
    return (0, 0, 0) if bits is None else (bits.offset, bits.shift, bits.mask)


def _line(word: str, *numbers: int) -> str:
    return " ".join([word, *(f"{number:x}" for number in numbers)])


def _text(bits: Bits) -> str:
    if bits.width == _WORD_BITS:
        return f"{bits.offset:#04x}"
    last = bits.shift + bits.width - 1
    return f"{bits.offset:#04x}[{last}]" if bits.width == 1 else f"{bits.offset:#04x}[{last}:{bits.shift}]"
