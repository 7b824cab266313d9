"""The two files of a new board: the board file, and the linker script for the firmware that emu builds."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from emu.boards.linker_script import Memory
from emu.boards.models import settings_of
from emu.boards.svd import Device, SvdPeripheral
from emu.errors import InputError

_PAGE = 4096
_CORE = 0xE000_0000
"""The first address of the core's own registers."""
_CPUS = {"CM4": "cortex-m4", "CM7": "cortex-m7"}
_FPUS = {
    ("cortex-m4", False): '"-mfpu=fpv4-sp-d16"',
    ("cortex-m7", False): '"-mfpu=fpv5-sp-d16", "-DMAMBA_FPV5"',
    ("cortex-m7", True): '"-mfpu=fpv5-d16"',
}
"""The flags for a core's FPU, without and with double precision."""
_SCS = Memory("scs", 0xE000_E000, _PAGE, writable=True, executable=False)
_CORE_PERIPHERALS = (
    '    { name = "ITM", start = 0xE0000000, size = "4 KB", output = 0x0, '
    "reads = { 0x0 = 1, 0xE00 = 1, 0xE80 = 1 } },\n"
    '    { name = "DWT", start = 0xE0001000, size = "4 KB", resets = { 0x0 = 0x40000000 }, '
    'counters = [{ value = 0x4, enable = "0x0[0]" }] },\n'
)
_GAPS = (
    "interrupts that a peripheral raises: software pends them in the NVIC",
    "peripherals, except what the board file says of their registers",
    "caches and wait states: figures are instructions and bytes, never time; DWT's CYCCNT counts retired instructions",
)
_EMULATORS = {
    "unicorn": ("Unicorn: instructions, memory, FPU and exceptions of the {core}", _GAPS),
    "qemu": ("QEMU: the {core} with its exceptions, interrupts, SysTick and MPU; a second opinion", _GAPS),
    "renode": ("Renode 1.16.1 or later: the {core} with its exceptions and SysTick; a third opinion", _GAPS),
}
_LINKER_SCRIPT = """\
/* For the firmware that emu builds from models: the section .vectors comes first in {flash}, and emu's startup code
 * needs the symbols that begin with two underscores.
 */
MEMORY
{{
{memories}}}

ENTRY(reset_handler)

PROVIDE(__stack_size = 4K);

SECTIONS
{{
    .text :
    {{
        KEEP(*(.vectors))
        *(.text .text.*)
        *(.rodata .rodata.*)
        . = ALIGN(8);
    }} > {flash}

    /* The stack is the lowest section in its memory, so an overflow leaves the memory and faults, on silicon too. */
    .stack (NOLOAD) :
    {{
        __stack_limit = .;
        . += __stack_size;
        . = ALIGN(8);
        __stack_top = .;
    }} > {ram}

    .data :
    {{
        __data_start = .;
        *(.data .data.*)
        . = ALIGN(4);
        __data_end = .;
    }} > {ram} AT > {flash}
    __data_load = LOADADDR(.data);

    .bss (NOLOAD) :
    {{
        __bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(4);
        __bss_end = .;
    }} > {ram}

    /* emu writes inputs here and reads outputs. */
    .mailbox (NOLOAD) : {{ *(.mailbox) }} > {mailbox}

    /DISCARD/ : {{ *(.ARM.exidx* .ARM.extab*) }}
}}
"""


@dataclass(frozen=True)
class BoardFiles:
    """The texts of a board's two files."""

    board: str
    linker_script: str


def new_board(name: str, memories: Sequence[Memory], device: Device) -> BoardFiles:
    """Return the files of a board with the ``memories`` of a linker script and the core and peripherals of ``device``.

    Raises InputError if no emulator has the core, or if the memories are no flash and RAM of whole pages.
    """
    cpu = _CPUS.get(device.cpu)
    if cpu is None:
        raise InputError(
            f"no emulator here has the core {device.cpu or 'that the SVD file leaves out'}, only CM4 and CM7"
        )
    whole = [_whole_pages(memory) for memory in memories]
    flash = next((memory for memory in whole if not memory.writable and memory.executable), None)
    ram = next((memory for memory in whole if memory.writable), None)
    if flash is None or ram is None:
        raise InputError("MEMORY needs flash, whose attributes are rx, and RAM, whose attributes have w")
    mailbox = max((memory for memory in whole if memory.writable), key=lambda memory: memory.size)
    fpu = _FPUS[cpu, device.double_precision and cpu == "cortex-m7"]
    core = f"Cortex-{cpu[-2:].upper()}"
    taken = {memory.name for memory in whole}
    parts = [
        "# Made by `emu board new`: check the memories, and the peripherals that your firmware waits for.\n"
        f'name = "{name}"\ntitle = "{device.name}: Arm {core}, {_amounts(whole)}"\n'
        f'architecture = "armv7em"\ncpu = "{cpu}"\n',
        "# An access to a peripheral without settings is a fault that names it.\nperipherals = [\n"
        + "".join(_peripheral(each, taken) for each in _apart(device.peripherals))
        + _CORE_PERIPHERALS
        + "]\n",
        f'[build]\ntoolchain = "arm-none-eabi"\nflags = ["-mcpu={cpu}", "-mthumb", {fpu}, "-mfloat-abi=hard", '
        f'"-mfp16-format=ieee"]\nlinker_script = "{name}.ld"\n',
        *(_region(memory, "memory") for memory in whole),
        _region(_SCS, "registers"),
        *(_emulator(emulator, title.format(core=core), gaps) for emulator, (title, gaps) in _EMULATORS.items()),
    ]
    lines = "".join(f"    {_memory_line(memory)}\n" for memory in whole)
    script = _LINKER_SCRIPT.format(memories=lines, flash=flash.name, ram=ram.name, mailbox=mailbox.name)
    return BoardFiles("\n".join(parts), script)


def _whole_pages(memory: Memory) -> Memory:
    """Return the memory under the name of a board file; raises InputError if it is not whole pages."""
    if memory.start % _PAGE or memory.size % _PAGE or not memory.size:
        raise InputError(
            f"memory {memory.name}: {memory.start:#010x} with {memory.size} bytes is not whole pages of {_PAGE} bytes"
        )
    name = "".join(letter if letter.isalnum() else "_" for letter in memory.name.lower())
    return Memory(name, memory.start, memory.size, memory.writable, memory.executable)


def _apart(peripherals: Sequence[SvdPeripheral]) -> list[SvdPeripheral]:
    """Return the peripherals outside the core, by address, each cut short where the next one begins."""
    ordered = sorted((each for each in peripherals if each.start < _CORE), key=lambda each: each.start)
    kept: list[SvdPeripheral] = []
    for each in ordered:
        if kept and each.start == kept[-1].start:
            continue
        if kept and each.start < kept[-1].start + kept[-1].size:
            last = kept.pop()
            kept.append(SvdPeripheral(last.name, last.start, each.start - last.start, last.registers))
        kept.append(each)
    return kept


def _peripheral(peripheral: SvdPeripheral, taken: Set[str]) -> str:
    """Return the peripheral's line; ``taken`` are the names of memories, which no peripheral can have."""
    name = f"{peripheral.name} registers" if peripheral.name.lower() in taken else peripheral.name
    size = -(-peripheral.size // 4) * 4
    settings = settings_of(
        SvdPeripheral(
            peripheral.name,
            peripheral.start,
            size,
            {name: each for name, each in peripheral.registers.items() if each.offset + 4 <= size},
        )
    )
    more = "".join(f", {key} = {_toml(value)}" for key, value in settings.items())
    return f'    {{ name = "{name}", start = {peripheral.start:#010x}, size = {size:#x}{more} }},\n'


def _toml(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f'"{key}" = {_toml(each)}' for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return f'"{value}"'
        case _:
            return f"{value:#x}"


def _region(memory: Memory, kind: str) -> str:
    access = "r" + "w" * memory.writable + "x" * memory.executable
    last = "" if kind == "memory" else f'kind = "{kind}"\n'
    size = f'"{memory.size // 1024} KB"'
    return (
        f'[[memory]]\nname = "{memory.name}"\nstart = {memory.start:#010x}\nsize = {size}\naccess = "{access}"\n{last}'
    )


def _memory_line(memory: Memory) -> str:
    attributes = "r" + "w" * memory.writable + "x" * memory.executable
    return f"{memory.name} ({attributes}) : ORIGIN = {memory.start:#010x}, LENGTH = {memory.size // 1024}K"


def _emulator(name: str, title: str, gaps: Sequence[str]) -> str:
    lines = "".join(f'    "{gap}",\n' for gap in gaps)
    return f'[emulators.{name}]\ntitle = "{title}"\nnot_emulated = [\n{lines}]\n'


def _amounts(memories: Sequence[Memory]) -> str:
    flash = sum(memory.size for memory in memories if not memory.writable)
    ram = sum(memory.size for memory in memories if memory.writable)
    return f"{flash // 1024} KB flash, {ram // 1024} KB RAM"
