"""The Xtensa of fake_renode.py: QEMU's core with the plugin's 64 address registers, behind the same face as its Arm.

As Renode does, it shows the registers by their numbers and half of the register file, halts at hooks only, and goes on
behind an exception by itself; other than Renode it takes one for an access to nothing.
"""

import re
from pathlib import Path
from types import CodeType, SimpleNamespace

from emu.instruments import Instruments
from emu.machines.qemu.lx7 import QemuLx7
from emu.machines.qemu.process import QemuProcess
from emu.targets import find_target

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


class FakeLx7Machine:
    """An Xtensa with the board's memory; QEMU starts with what was loaded when pc is set for the first time."""

    pc = 0
    """The register's number."""

    def __init__(self, platform: Path) -> None:
        self.halted = False
        self.reads = self.writes = 0
        self.block_size = 0x7FF
        self.block_hook: CodeType | None = None
        self.log: Path | None = None
        self._board = find_target("esp32s3-qemu").board
        self._loaded: list[SimpleNamespace] = []
        self._process: QemuProcess | None = None
        self._hooks: set[int] = set()
        self._passed: int | None = None
        self._packet: bytes | None = None
        scripts = re.findall(r'filename: "(.*)"', platform.read_text())
        self._printed = re.search(r"FileStream\('(.*?)'", Path(scripts[0]).read_text())
        self._printed_bytes = 0

    @property
    def instructions(self) -> int:
        return 0 if self._process is None else self._process.shared.instructions

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
        end = self.instructions + instructions
        if self.block_hook is None:
            self._run_free(self._process, end)
        else:
            self._run_watched(self._process, end)
        self._print(self._process)

    def _start(self, pc: int) -> None:
        dram = next(region for region in self._board.memory if region.name == "dram")
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
        self._process = QemuProcess(firmware, core, Instruments(), bare=False)  # pyright: ignore[reportArgumentType]

    def _run_free(self, process: QemuProcess, end: int) -> None:
        """Run to a hook, or until so many instructions have been retired, or some more."""
        self._step_off(process)
        process.gdb.resume()
        while True:
            if process.gdb.wait(_POLL_SECONDS):
                if self._arrived():
                    return
                process.gdb.step()  # the plugin stops for faults, of which Renode knows nothing
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
        assert self.block_hook is not None
        while self.instructions < end:
            cpu = SimpleNamespace(GetRegister=self.register, IsHalted=False)
            exec(self.block_hook, {"self": cpu})
            if cpu.IsHalted:
                self.halted = True
                return
            if self.register(0).RawValue in self._hooks and self._arrived():
                return
            process.gdb.step()
            self._packet = self._passed = None

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
            process.gdb.step()
            self._packet = self._passed = None

    def _print(self, process: QemuProcess) -> None:
        text = process.output_since(self._printed_bytes)
        if text and self._printed is not None:
            self._printed_bytes += len(text)
            with Path(self._printed[1]).open("ab") as file:
                file.write(text)
