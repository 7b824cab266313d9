"""The Xtensa of fake_renode.py: QEMU's core with its own 32 address registers, behind the same face as its Arm.

As Renode does, it shows the registers by their numbers, halts at hooks only, and goes on behind an exception by itself;
other than Renode it takes one for an access to nothing. Like Renode's its cores are wrong: ``esp32s3`` takes the FPU's
instructions for illegal ones, and ``de233_fpu`` negates the result of MSUB.S.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from emu.cache import cached, content_key
from emu.instruments import Instruments
from emu.machines.qemu import process as qemu_process
from emu.machines.qemu.lx7 import QemuLx7
from emu.machines.qemu.process import QemuProcess
from emu.native.qemu import qemu_plugin
from emu.resources import resource
from emu.targets import Region, find_target
from emu.toolchains import find_toolchain

if TYPE_CHECKING:
    from fake_renode import FakeWatch

_SCRATCH = 0x7FFF_0000
"""A page with one NEG.S for each FPU register."""
_MSUB = re.compile(rb"[\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0].\x5a", re.DOTALL)
_WUR_FCR = re.compile(rb"[\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0]\xe8\xf3")
_ILLEGAL = bytes(3)

# By Renode's numbers, where in gdb's packet of all registers one is (gdb-config.c.inc of QEMU's core de233_fpu).
_PACKET = {
    0: 0,  # pc
    **{1 + number: 4 + 4 * number for number in range(32)},  # ar0 to ar31
    34: 148,  # windowbase
    35: 152,  # windowstart
    38: 164,  # ps
    51: 404,  # epc1
    56: 424,  # epc6
    58: 432,  # depc
    76: 508,  # vecbase
    77: 512,  # exccause
    83: 536,  # excvaddr
    **{89 + number: 560 + 4 * number for number in range(16)},  # a0 to a15
}
_POLL_SECONDS = 0.002


def _plugin_of_32_registers() -> Path:
    """Return emu's plugin, without its 64 address registers."""
    native = resource("emu") / "native"
    sources = {path: path.read_text() for part in ("qemu", "common") for path in sorted((native / part).glob("*.[ch]"))}
    changed = {path: text.replace("ADDRESS_REGISTERS = 64", "ADDRESS_REGISTERS = 32") for path, text in sources.items()}
    assert changed != sources

    def make(directory: Path) -> None:
        for path, text in changed.items():
            copy = directory / path.relative_to(native)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(text)
        flags = ["-O2", "-std=c99", "-fvisibility=hidden", "-shared", "-fPIC", "-pthread"]
        find_toolchain("host").run([*flags, *map(str, sorted(directory.glob("*/*.c"))), "-o", "plugin.so"], directory)

    return cached("qemu-plugin-32", content_key([*changed.values(), str(qemu_plugin())]), make) / "plugin.so"


class FakeLx7Machine:
    """An Xtensa with the board's memory; QEMU starts with what was loaded when pc is set for the first time."""

    pc = 0
    """The register's number."""

    def __init__(self, platform: Path, core: str, *, negates: bool) -> None:
        self.halted = False
        self.reads = self.writes = 0
        self.block_size = 0x7FF
        self.watch: FakeWatch | None = None
        self.log: Path | None = None
        self._core, self._negates = core, negates
        self._products: set[int] = set()
        """The addresses that may hold a MSUB.S."""
        self._corrections = 0
        board = find_target("esp32s3-qemu").board
        known = {region.start: region for region in board.memory}
        found = re.findall(r"(\w+): Memory.MappedMemory @ sysbus (0x\w+)\n +size: (0x\w+)", platform.read_text())
        regions = [
            known.get(int(start, 16)) or Region(name=name, start=int(start, 16), size=int(size, 16), access="rwx")
            for name, start, size in found
        ]
        scratch = Region(name="scratch", start=_SCRATCH, size=0x1000, access="rwx")
        self._board = board.model_copy(update={"memory": (*regions, scratch)})
        self._first = regions[0]
        self._loaded: list[SimpleNamespace] = []
        self._process: QemuProcess | None = None
        self._hooks: set[int] = set()
        self._passed: int | None = None
        self._packet: bytes | None = None
        scripts = re.findall(r'filename: "(.*)"', platform.read_text())
        self._printed = re.search(r"FileStream\('(.*?)'", Path(scripts[0]).read_text()) if scripts else None
        self._printed_bytes = 0

    @property
    def instructions(self) -> int:
        return 0 if self._process is None else self._process.shared.instructions - self._corrections

    def say(self, text: str) -> None:
        """Write a line to Renode's log."""
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"12:00:00.0000 {text}\n")

    def close(self) -> None:
        if self._process is not None:
            self._process.close()

    def read(self, address: int, size: int) -> bytes:
        assert self._process is not None, "there is nothing to read before pc is set"
        return self._process.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        if self._process is None:
            self._loaded.append(SimpleNamespace(load_address=address, data=data))
        else:
            self._process.memory.write(address, data)

    def register(self, number: int) -> SimpleNamespace:
        """Return a register as a hook has it."""
        if self._packet is None:
            assert self._process is not None, "there are no registers before pc is set"
            self._packet = self._process.gdb.read_registers()
        at = _PACKET[number]
        return SimpleNamespace(RawValue=int.from_bytes(self._packet[at : at + 4], "little"))

    def jump(self, address: int) -> None:
        if self._process is None:
            self._start(address)
            return
        self._process.gdb.write_first_registers(address.to_bytes(4, "little"))
        self._packet = self._passed = None

    def hook(self, address: int) -> None:
        assert self._process is not None, "hooks are set when pc is"
        self._hooks.add(address)
        self._process.gdb.set_breakpoint(address)

    def run(self, instructions: int) -> None:
        assert self._process is not None, "it cannot run before pc is set"
        if self.halted:
            return
        self._make_wrong(self._process)
        end = self.instructions + instructions
        if self.watch is None:
            self._run_free(self._process, end)
        else:
            self._run_watched(self._process, end)
        self._print(self._process)

    def _make_wrong(self, process: QemuProcess) -> None:
        """Make the core as wrong as Renode's: what was loaded is executed for the first time."""
        loaded, self._loaded = self._loaded, []
        for part in loaded:
            data = bytes(part.data)
            if len(set(data[:4096])) == 1:  # the paint of a memory
                continue
            if self._core != "de233_fpu":
                for match in _WUR_FCR.finditer(data):
                    process.memory.write(part.load_address + match.start(), _ILLEGAL)
            elif self._negates:
                starts = (at for at in range(len(data) - 2) if _MSUB.match(data, at))
                new = {part.load_address + at for at in starts} - self._products
                self._products |= new
                for address in new:
                    process.gdb.set_breakpoint(address)

    def _step(self, process: QemuProcess) -> None:
        """Execute one instruction, as wrong as Renode's core does."""
        pc = self.register(0).RawValue
        negated = process.memory.read(pc + 1, 1)[0] >> 4 if pc in self._products else None
        process.gdb.step()
        self._packet = None
        after = self.register(0).RawValue
        if negated is not None and after in range(pc - 0x200, pc + 4):  # and not a vector
            process.gdb.write_first_registers((_SCRATCH + 3 * negated).to_bytes(4, "little"))
            process.gdb.step()
            self._corrections += 1
            process.gdb.write_first_registers(after.to_bytes(4, "little"))
        self._packet = None

    def _start(self, pc: int) -> None:
        dram = next((region for region in self._board.memory if region.name == "dram"), self._first)
        qemu_process.qemu_plugin = _plugin_of_32_registers
        firmware = SimpleNamespace(
            board=self._board,
            segments=self._loaded,
            reset_pc=pc,
            stack_region=dram,
            initial_sp=dram.end,
            start=SimpleNamespace(vector_table=None),
            entry_of=lambda _name: None,
        )
        core = QemuLx7(firmware)  # pyright: ignore[reportArgumentType]
        self._process = process = QemuProcess(firmware, core, Instruments(), bare=False)  # pyright: ignore[reportArgumentType]
        for register in range(16):
            process.memory.write(_SCRATCH + 3 * register, bytes((0x60, register << 4 | register, 0xFA)))

    def _run_free(self, process: QemuProcess, end: int) -> None:
        """Run to a hook, or until so many instructions have been retired, or some more."""
        self._step_off(process)
        process.gdb.resume()
        while True:
            if process.gdb.wait(_POLL_SECONDS):
                if self._arrived():
                    return
                self._step(process)  # the plugin stops for faults, of which Renode knows nothing
                process.gdb.resume()
            elif self.instructions >= end:
                process.gdb.interrupt()
                while not process.gdb.wait(_POLL_SECONDS):
                    pass
                self._packet = None
                return

    def _run_watched(self, process: QemuProcess, end: int) -> None:
        """Run in single steps, with the hook before each; with longer blocks it would miss what it is there for."""
        assert self.block_size == 1
        assert self.watch is not None
        while self.instructions < end:
            self.watch.look(self.register(0).RawValue, 1, is_address_hook=False)
            if self.halted:
                return
            if self.register(0).RawValue in self._hooks and self._arrived():
                return
            self._step(process)
            self._passed = None

    def _arrived(self) -> bool:
        """Return whether a hook halts the core here; one is passed once when the core goes on from it."""
        self._packet = None
        pc = self.register(0).RawValue
        if pc not in self._hooks or pc == self._passed:
            return False
        self.halted, self._passed = True, pc
        return True

    def _step_off(self, process: QemuProcess) -> None:
        if self._passed is not None:
            self._step(process)
            self._passed = None

    def _print(self, process: QemuProcess) -> None:
        text = process.shared.output.since(self._printed_bytes)
        if text and self._printed is not None:
            self._printed_bytes += len(text)
            with Path(self._printed[1]).open("ab") as file:
                file.write(text)
