"""The platform for Renode: the board's memory map and nothing else, so that Renode counts wild accesses."""

import re
from collections.abc import Iterable
from pathlib import Path

from emu.errors import InputError
from emu.firmware import Extent
from emu.machines.renode.monitor import path_argument
from emu.targets import Board, Peripheral

_PERIPHERAL = """\
# IronPython. Renode runs this for each access, and once before the first one.
if request.IsInit:
    fixed = {fixed!r}
    registers = dict()
    output = System.IO.FileStream({output!r}, System.IO.FileMode.Append, System.IO.FileAccess.Write, \
System.IO.FileShare.ReadWrite)
elif request.IsRead:
    value = 0
    for index in range(int(request.Length)):
        offset = int(request.Offset) + index
        value |= fixed.get(offset, registers.get(offset, 0)) << (8 * index)
    request.Value = value
elif request.IsWrite:
    for index in range(int(request.Length)):
        registers[int(request.Offset) + index] = (int(request.Value) >> (8 * index)) & 0xFF
    if int(request.Offset) == {transmits!r}:
        output.Seek(0, System.IO.SeekOrigin.End)  # another peripheral may have printed since
        output.WriteByte(System.Convert.ToByte(int(request.Value) & 0xFF))
        output.Flush()
"""
_WORD_BYTES = 4


def platform_commands(
    board: Board, core: str, registers: frozenset[str], added: Iterable[Extent], directory: Path, output: Path
) -> list[str]:
    """Return the commands that load the board's platform: one of Renode's own, or what ``write_platform`` writes."""
    own = board.renode
    if own is None:
        path = write_platform(board, core, registers, added, directory, output)
        return [f"machine LoadPlatformDescription {path_argument(path)}"]
    commands = [f"machine LoadPlatformDescription {path_argument(Path(own.platform))}"]
    if own.uart is not None:
        commands.append(f"sysbus.{own.uart} CreateFileBackend {path_argument(output)} true")
    return commands


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
    fixed = {
        offset + index: value >> 8 * index & 0xFF
        for offset, value in peripheral.reads.items()
        for index in range(_WORD_BYTES)
    }
    return _PERIPHERAL.format(fixed=fixed, output=str(output), transmits=peripheral.output)


def _identifier(name: str) -> str:
    return "peripheral_" + re.sub(r"\W", "_", name).lower()
