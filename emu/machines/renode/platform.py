"""The platform for Renode: the board's memory map and nothing else, so that Renode counts wild accesses."""

import re
from collections.abc import Iterable
from pathlib import Path

from emu.errors import InputError
from emu.firmware import Extent
from emu.peripherals import Peripheral, Rule, numbers_of, reset_words, rules
from emu.targets import Board

_WORD_BYTES = 4
_PERIPHERAL = """\
# IronPython. Renode runs this for each access, and once before the first one. The rules are those of
# emu/native/common/peripherals.c, but a counter counts accesses, and no channel transfers anything.
if request.IsInit:
    rules = {rules!r}
    counters = {counters!r}
    registers = dict({resets!r})
    seed = [2463534242]
    output = System.IO.FileStream({output!r}, System.IO.FileMode.Append, System.IO.FileAccess.Write, \
System.IO.FileShare.ReadWrite)

    def word(offset):
        return sum(registers.get(offset + index, 0) << (8 * index) for index in range(4))

    def field(bits):
        return (word(bits[0]) >> bits[1]) & bits[2]

    def put(bits, value):
        whole = (word(bits[0]) & ~(bits[2] << bits[1])) | ((value & bits[2]) << bits[1])
        for index in range(4):
            registers[bits[0] + index] = (whole >> (8 * index)) & 0xFF

    def moved(value, at, offset):
        return value << (8 * (at - offset)) if at >= offset else value >> (8 * (offset - at))

    def touched(length, offset):
        return [rule for rule in rules if offset < rule[1][0] + 4 and rule[1][0] < offset + length]

    def count():
        for value, enable, reload, prescaler, flag, restart in counters:
            if field(enable):
                steps = field(value) + 1
                most = field(reload) or value[2]
                put(value, steps if steps <= most else 0)
                put(flag, 1 if steps > most else field(flag))

    def gives(kind, source, value):
        if kind == {FOLLOWS}:
            return field(source)
        if kind == {RANDOM}:
            number = seed[0]
            number ^= (number << 13) & 0xFFFFFFFF
            number ^= number >> 17
            number ^= (number << 5) & 0xFFFFFFFF
            seed[0] = number
            return number
        return value

    def read(offset, length):
        count()
        whole = word(offset)
        for kind, at, source, value in touched(length, offset):
            if kind in ({CONSTANT}, {FOLLOWS}, {RANDOM}):
                bits = (gives(kind, source, value) & at[2]) << at[1]
                whole = (whole & ~moved(at[2] << at[1], at[0], offset)) | moved(bits, at[0], offset)
        return whole & ((1 << (8 * length)) - 1)

    def write(offset, length, value):
        count()
        everything = (1 << (8 * length)) - 1
        stored = value & everything
        for kind, at, source, _ in touched(length, offset):
            written = (moved(everything, offset, at[0]) >> at[1]) & at[2]
            ones = (moved(value & everything, offset, at[0]) >> at[1]) & written
            left = field(at) & (ones | ~written)
            if kind in ({ONES_SET}, {ONES_CLEAR}):
                put(source, field(source) | ones if kind == {ONES_SET} else field(source) & ~ones)
                left = field(at) if source[:2] == at[:2] else 0
            if kind in ({ONES_SET}, {ONES_CLEAR}, {ZEROS_CLEAR}):
                stored = (stored & ~moved(at[2] << at[1], at[0], offset)) | moved(left << at[1], at[0], offset)
        for index in range(length):
            registers[offset + index] = (stored >> (8 * index)) & 0xFF
        for value, enable, reload, prescaler, flag, restart in counters:
            if field(restart):
                put(restart, 0)
                put(value, 0)
                put(flag, 1)

elif request.IsRead:
    request.Value = read(int(request.Offset), int(request.Length))
elif request.IsWrite:
    write(int(request.Offset), int(request.Length), int(request.Value))
    if int(request.Offset) == {transmits!r}:
        output.Seek(0, System.IO.SeekOrigin.End)  # another peripheral may have printed since
        output.WriteByte(System.Convert.ToByte(int(request.Value) & 0xFF))
        output.Flush()
"""


def write_platform(
    board: Board, core: str, registers: frozenset[str], added: Iterable[Extent], directory: Path, output: Path
) -> Path:
    """Write the description of ``board`` (.repl) with its peripherals' scripts to ``directory``, and return its path.

    ``core`` describes the CPU and its parts; ``{cpu}`` in it is replaced by the board's CPU. ``registers`` names those
    parts that are memories of kind "registers". ``added`` is memory that the board does not have. The firmware's output
    goes to the file ``output``. Raises InputError if the board has registers that Renode's core lacks.
    """
    parts = [core.format(cpu=board.cpu)]
    for region in board.memory:
        if region.kind == "memory":
            parts.append(
                f"{region.name}: Memory.MappedMemory @ sysbus {region.start:#010x}\n    size: {region.size:#x}\n"
            )
        elif region.name not in registers:
            raise InputError(
                f"the board file of {board.name}: memory.{region.name}: Renode's core has no such registers"
            )
    for number, extent in enumerate(added):
        size = extent.end - extent.start
        parts.append(f"added{number}: Memory.MappedMemory @ sysbus {extent.start:#010x}\n    size: {size:#x}\n")
    for peripheral in board.peripherals:
        if peripheral.modelled:
            name = _identifier(peripheral.name)
            script = directory / f"{name}.py"
            script.write_text(_script(peripheral, output))
            parts.append(
                f"{name}: Python.PythonPeripheral @ sysbus {peripheral.start:#010x}\n"
                f'    size: {peripheral.size:#x}\n    initable: true\n    filename: "{script}"\n'
            )
    path = directory / f"{board.name}.repl"
    path.write_text("\n".join(parts))
    return path


def _script(peripheral: Peripheral, output: Path) -> str:
    resets = {
        offset + index: value >> 8 * index & 0xFF
        for offset, value in reset_words(peripheral)
        for index in range(_WORD_BYTES)
    }
    return _PERIPHERAL.format(
        rules=[(int(kind), numbers_of(at), numbers_of(source), value) for kind, at, source, value in rules(peripheral)],
        counters=[tuple(map(numbers_of, dict(counter).values())) for counter in peripheral.counters],
        resets=resets,
        output=str(output),
        transmits=peripheral.output,
        **{kind.name: int(kind) for kind in Rule},
    )


def _identifier(name: str) -> str:
    return "peripheral_" + re.sub(r"\W", "_", name).lower()
