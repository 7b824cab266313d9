"""A program that speaks the protocol of Renode's robot server, as documented, in front of Unicorn or QEMU's Xtensa.

It is no Renode: that its answers are taken shows that the client keeps to the documents, and its misbehaviour (the
variable MISBEHAVE) shows that the client notices. Started as Renode is, through a shell script that is another process.
"""

import os
import re
import struct
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import unicorn
from unicorn import arm_const
from unicorn.unicorn import Uc, UcError

if TYPE_CHECKING:
    from fake_renode_lx7 import FakeLx7Machine

MISBEHAVIOUR = os.environ.get("MISBEHAVE", "")
TRACE = os.environ.get("TRACE")
"""A file for what the watch of the stack sees."""
_NAMED = re.compile(r"^([a-zA-Z0-9_]+)=(.+)")
_REGISTERS = {number: getattr(arm_const, f"UC_ARM_REG_R{number}") for number in range(16)} | {
    22: arm_const.UC_ARM_REG_PSP,
    18: arm_const.UC_ARM_REG_CONTROL,
    25: arm_const.UC_ARM_REG_XPSR,
}
_BRANCH_TO_ITSELF = bytes.fromhex("fee7")
_INSTRUCTIONS_A_SECOND = 100_000_000


class CommandError(Exception):
    """What a command of the Monitor cannot do."""


class _FileStream:
    """.NET's, as far as the peripherals' scripts use it."""

    def __init__(self, path: str, *_: int):
        Path(path).touch()
        self._file = Path(path).open("r+b")  # noqa: SIM115
        self._file.seek(0, os.SEEK_END)  # to append is to begin at the end, and no more

    def Seek(self, offset: int, origin: int) -> None:  # noqa: N802
        self._file.seek(offset, origin)

    def WriteByte(self, byte: int) -> None:  # noqa: N802
        self._file.write(bytes([byte]))

    def Flush(self) -> None:  # noqa: N802
        self._file.flush()


_MODES = SimpleNamespace(Append=1, Write=2, ReadWrite=3)
_SYSTEM = SimpleNamespace(
    IO=SimpleNamespace(
        FileStream=_FileStream, FileMode=_MODES, FileAccess=_MODES, FileShare=_MODES, SeekOrigin=SimpleNamespace(End=2)
    ),
    Convert=SimpleNamespace(ToByte=int),
)


@cache
def _compiled(script: Path) -> CodeType:
    return compile(script.read_text(), str(script), "exec")


class FakeMachine:
    """Memory from the platform file, a Cortex-M7, and halting hooks."""

    pc = 15
    """The register's number."""

    def __init__(self) -> None:
        self.core = Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.core.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M7)
        self.halted = self.started = False
        self.instructions = self.reads = self.writes = 0
        self.hooks: set[int] = set()
        self.block_size = 0x7FF
        self.watch: FakeWatch | None = None
        self.others = 0
        """Instructions that it counts and does not retire."""
        self.looks: set[int] = set()
        self.block = range(0)
        self.table = 0
        self.sleeps = False
        """Whether the core is at a branch to itself, which Renode takes for WFI: no instruction is retired."""
        self.left = 0
        self.passed: int | None = None
        self.peripherals: dict[range, Path] = {}
        self.scopes: dict[Path, dict[str, object]] = {}
        self.log: Path | None = None
        self.core.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        self.core.hook_add(unicorn.UC_HOOK_CODE, self._on_instruction)
        self.core.hook_add(unicorn.UC_HOOK_MEM_READ_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED, self._on_nothing)

    def load_platform(self, path: Path) -> None:
        for match in re.finditer(r"MappedMemory @ sysbus (0x\w+)\n +size: (0x\w+)", path.read_text()):
            self.core.mem_map(int(match[1], 16), int(match[2], 16))
        self.core.mem_map(0xE000E000, 0x1000)  # NVIC
        found = re.finditer(
            r'PythonPeripheral @ sysbus (0x\w+)\n +size: (0x\w+)\n.*\n +filename: "(.*)"', path.read_text()
        )
        self.peripherals = {range(int(m[1], 16), int(m[1], 16) + int(m[2], 16)): Path(m[3]) for m in found}
        for page in {span.start & ~0xFFF for span in self.peripherals}:
            self.core.mmio_map(page, 0x1000, self._on_read, page, self._on_write, page)

    def _on_read(self, core: Any, offset: int, size: int, page: int) -> int:  # noqa: ARG002
        return self._request(page + offset, IsRead=True, Length=size).Value

    def _on_write(self, core: Any, offset: int, size: int, value: int, page: int) -> None:  # noqa: ARG002
        self._request(page + offset, IsWrite=True, Length=size, Value=value)

    def _request(self, address: int, **given: object) -> SimpleNamespace:
        """Run a peripheral's script; Python 3 and 2 are the same in it."""
        span, script = next((each for each in self.peripherals.items() if address in each[0]), (range(0), None))
        request = SimpleNamespace(IsInit=False, IsRead=False, IsWrite=False, Value=0, Offset=address - span.start)
        if script is None:
            self.reads += 1
            return request
        code = _compiled(script)
        if script not in self.scopes:
            first = SimpleNamespace(**vars(request) | {"IsInit": True})
            self.scopes[script] = {"System": _SYSTEM, "request": first}
            exec(code, self.scopes[script])
        vars(request).update(given)
        self.scopes[script]["request"] = request
        exec(code, self.scopes[script])
        return request

    def run(self, instructions: int) -> None:
        if not self.started:
            self.started = True
            sp, pc = (int.from_bytes(self.core.mem_read(self.table + at, 4), "little") for at in (0, 4))
            self.core.reg_write(arm_const.UC_ARM_REG_SP, sp)
            self.core.reg_write(arm_const.UC_ARM_REG_PC, pc)
        if self.halted:
            return
        self.left = instructions
        try:
            self.core.emu_start(self.core.reg_read(arm_const.UC_ARM_REG_PC) | 1, 0xFFFF_FFFE)
        except UcError:
            pc = self.core.reg_read(arm_const.UC_ARM_REG_PC)
            self.say(f"[ERROR] cpu: CPU abort [PC=0x{pc:X}]: Trying to execute code outside RAM or ROM at 0x{pc:x}.")
            time.sleep(1000)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.core.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self.core.mem_write(address, data)

    def jump(self, address: int) -> None:
        self.core.reg_write(arm_const.UC_ARM_REG_PC, address)

    def hook(self, address: int) -> None:
        self.hooks.add(address)

    def register(self, number: int) -> SimpleNamespace:
        """Return a register as a hook has it."""
        return SimpleNamespace(RawValue=int(self.core.reg_read(_REGISTERS[number])))

    def say(self, text: str) -> None:
        if self.log is not None and MISBEHAVIOUR != "mute":
            with self.log.open("a") as file:
                file.write(f"12:00:00.0000 {text}\n")

    def _on_block(self, core: Any, address: int, size: int, data: object) -> None:  # noqa: ARG002
        self.block = range(address, address + size)
        self.sleeps = size == 2 and bytes(core.mem_read(address, 2)) == _BRANCH_TO_ITSELF

    def _on_instruction(self, core: Any, address: int, size: int, data: object) -> None:  # noqa: ARG002
        if self.watch is not None and (address in self.hooks or address in self.looks or address == self.block.start):
            self.watch.look(address, self._length_of_block(address), is_address_hook=address in self.looks)
            if self.halted:
                core.emu_stop()
                return
        if address in self.hooks and address != self.passed:
            self.halted = MISBEHAVIOUR != "unhalted"
            self.passed = address  # a hook is passed once when the core goes on from it
        else:
            self.passed = None
        if self.halted or self.left <= 0 or self.sleeps:
            core.emu_stop()
            return
        self.left -= 1
        self.instructions += 1

    def _length_of_block(self, address: int) -> int:
        """Return the instructions from ``address`` to the end of the block, or to a hook before that."""
        count = 0
        while count == 0 or (address in self.block and not {address} & (self.hooks | self.looks)):
            address += 4 if self.read(address + 1, 1)[0] >= 0xE8 else 2
            count += 1
        return count

    def _on_nothing(self, core: Any, access: int, address: int, size: int, value: int, data: object) -> bool:  # noqa: ARG002
        is_write = access == unicorn.UC_MEM_WRITE_UNMAPPED
        self.writes += is_write
        self.reads += not is_write
        width = {1: "Byte", 2: "Word", 4: "DoubleWord", 8: "QuadWord"}[size]
        what = f"Write{width} to" if is_write else f"Read{width} from"
        pc = core.reg_read(arm_const.UC_ARM_REG_PC)
        self.say(f"[WARNING] sysbus: [cpu: 0x{pc:X}] {what} non existing peripheral at 0x{address:X}.")
        core.mem_map(address & ~0xFFF, 0x1000)  # reads 0, and the firmware goes on
        return True


class FakeWatch:
    """What emu's stack_watch.cs does, in Python."""

    def __init__(self, machine: "FakeMachine | FakeLx7Machine", sp: int, excepted: int, bits: int):
        self.machine, self.sp, self.excepted, self.bits = machine, sp, excepted, bits
        self.seen = self.unknown = 0
        self.stacks: dict[int, tuple[int, int]] = {}
        self.code: list[tuple[int, bytes]] | None = None
        self.changes: dict[int, int] = {}

    def load(self, path: Path) -> None:
        assert isinstance(self.machine, FakeMachine)
        data = path.read_bytes()
        if TRACE is not None:
            Path(f"{TRACE}.code").write_bytes(data)

        def words(form: str) -> tuple[int, ...]:
            nonlocal data
            size = struct.calcsize(form)
            values, data = struct.unpack(form, data[:size]), data[size:]
            return values

        self.code = []
        for _ in range(*words("<I")):
            start, size = words("<II")
            self.code.append((start, data[:size]))
            data = data[size:]
        for _ in range(*words("<I")):
            address, change = words("<Ii")
            self.changes[address] = change
        self.machine.looks |= {address for (address,) in (words("<I") for _ in range(*words("<I")))}
        assert not data

    def add(self, floor: str, top: str, lowest: str) -> None:
        self.stacks[int(top, 16)] = (int(floor, 16), int(lowest, 16))
        self._note(f"stack {floor} {top} {lowest}")

    def take_seen(self) -> int:
        seen, self.seen = self.seen, 0
        self._note(f"seen {seen:#x}")
        return seen

    def look(self, pc: int, size: int, *, is_address_hook: bool) -> None:
        """Halt the core if the block of ``size`` instructions at ``pc`` takes SP lower than ever, or elsewhere."""
        if self.machine.register(self.excepted).RawValue & self.bits:
            return
        sp = self.machine.register(self.sp).RawValue
        self._note(f"block {pc:#x} {0 if is_address_hook else size} {sp:#x}")
        self._check(sp if is_address_hook else sp - self._drop(pc, size))
        if is_address_hook and not self.machine.halted:
            self.look(pc, size, is_address_hook=False)

    def _check(self, lowest: int) -> None:
        found = next((each for top, each in sorted(self.stacks.items()) if each[0] <= lowest <= top), None)
        if found is None or lowest < found[1]:
            self.seen, self.machine.halted = lowest, True

    def _note(self, line: str) -> None:
        """Write what the hook is called with, and what it gives, for a comparison with the C#."""
        if TRACE is not None:
            with Path(TRACE).open("a") as file:
                file.write(f"{line}\n")

    def _drop(self, pc: int, size: int) -> int:
        if self.code is None:
            return 0
        start, code = next(((start, code) for start, code in self.code if 0 <= pc - start < len(code)), (0, b""))
        if not code:
            self.unknown = self.unknown or pc
        now = deepest = 0
        while size and code and pc - start < len(code) - 1:
            change = self.changes.get(pc, 0)
            if change == -(1 << 31):
                break
            now += change
            deepest = min(deepest, now)
            pc += 4 if code[pc - start + 1] >= 0xE8 else 2
            size -= 1
        return -deepest


class FakeMonitor:
    """The commands that the machine uses, and no others."""

    def __init__(self) -> None:
        self.machine: FakeMachine | FakeLx7Machine = FakeMachine()
        self.watch: FakeWatch | None = None
        self.included: set[str] = set()
        self.commands: dict[str, Callable[..., str | None]] = {
            r"version": lambda: "Renode, version 1.16.1.12345 (fake)",
            r"logFile @(\S+) true": self._log_file,
            r'log "(.*)" 3': lambda text: self.machine.say(f"[ERROR] Script: {text}"),
            r"Clear": self.reset,
            r'mach create "\w+"': lambda: None,
            r"machine LoadPlatformDescription @(\S+)": self._load_platform,
            r"emulation SetSeed 1": lambda: None,
            r"emulation SetGlobalAdvanceImmediately true": lambda: None,
            r'emulation SetGlobalQuantum "0.001"': lambda: None,
            r"sysbus\.cpu PerformanceInMips 100": lambda: None,
            r"sysbus LoadBinary @(\S+) (0x\w+)": self._load,
            r"sysbus\.cpu VectorTableOffset (0x\w+)": self._table,
            r'sysbus\.cpu AddHook (0x\w+) "self\.IsHalted = True"': self._hook,
            r"sysbus\.cpu MaximumBlockSize": lambda: f"0x{self.machine.block_size:08X}",
            r"sysbus\.cpu MaximumBlockSize (\d+)": self._block_size,
            r"include @(\S+)": self._include,
            r"sysbus\.cpu BeginStackWatch (\d+) (\d+) (0x\w+)": self._begin_watch,
            r'sysbus\.cpu LoadStackCode "(.*)"': lambda path: self._watch().load(Path(path)),
            r"sysbus\.cpu WatchStack (0x\w+) (0x\w+) (0x\w+)": lambda *words: self._watch().add(*words),
            r"sysbus\.cpu StackSeen": lambda: f"0x{self._watch().take_seen():08X}",
            r"sysbus\.cpu UnknownStackCode": lambda: f"0x{self._watch().unknown:08X}",
            r"sysbus\.cpu ClearHookAtBlockBegin": self._no_block_hook,
            r'emulation RunFor "(\d+\.\d+)"': self._run_for,
            r"sysbus\.cpu ClearTranslationCache": lambda: None,
            r"sysbus\.cpu IsHalted": lambda: str(self.machine.halted),
            r"sysbus\.cpu IsHalted false": self._release,
            r"sysbus\.cpu PC": lambda: f"0x{self._register(self.machine.pc):X}",
            r"sysbus\.cpu PC (0x\w+)": self._jump,
            r"sysbus\.cpu ExecutedInstructions": lambda: f"0x{self.machine.instructions + self._others():016X}",
            r"sysbus UnexpectedReads": lambda: f"0x{self.machine.reads:08X}",
            r"sysbus UnexpectedWrites": lambda: f"0x{self.machine.writes:08X}",
            r"sysbus\.cpu GetRegister (\d+)": lambda number: f"0x{self._register(int(number)):X}",
            r"sysbus ReadDoubleWord (0x\w+)": lambda address: f"0x{self._word(int(address, 16)):08X}",
            r"dump_file (0x\w+) (0x\w+) @(\S+)": self._dump,
        }

    def parse(self, text: str) -> str:
        printed = ""
        for command in re.split(r"; ?", text):
            if MISBEHAVIOUR.startswith("refuse ") and MISBEHAVIOUR.removeprefix("refuse ") in command:
                raise CommandError("Parameters did not match the signature")
            for pattern, action in self.commands.items():
                match = re.fullmatch(pattern, command)
                if match is not None:
                    answer = action(*match.groups())
                    printed += "" if answer is None else f"{answer}\r\n"
                    break
            else:
                raise CommandError(f"No such command or device: {command}")
        return printed

    def reset(self) -> None:
        log = self.machine.log
        if not isinstance(self.machine, FakeMachine):
            self.machine.close()
        self.machine = FakeMachine()
        self.machine.log = log
        if MISBEHAVIOUR == "late log":
            self.machine.say("[ERROR] cpu: CPU abort [PC=0x0]: a line of the machine before, which is written late")

    def _load_platform(self, path: str) -> None:
        xtensa = re.search(r'CPU\.Xtensa @ sysbus\n +cpuType: "(\w+)"', Path(path).read_text())
        if xtensa is not None:
            from fake_renode_lx7 import FakeLx7Machine  # which takes long to import

            log = self.machine.log
            self.machine = FakeLx7Machine(Path(path), xtensa[1], negates=MISBEHAVIOUR != "right signs")
            self.machine.log = log
        elif isinstance(self.machine, FakeMachine):
            self.machine.load_platform(Path(path))

    def _log_file(self, path: str) -> None:
        self.machine.log = Path(path)

    def _load(self, path: str, address: str) -> None:
        self.machine.write(int(address, 16), Path(path).read_bytes())
        if MISBEHAVIOUR == "corrupt":
            self.machine.write(int(address, 16), b"?")

    def _table(self, address: str) -> None:
        assert isinstance(self.machine, FakeMachine), "the Arm has a vector table"
        self.machine.table = int(address, 16)

    def _hook(self, address: str) -> None:
        self.machine.hook(int(address, 16))

    def _block_size(self, size: str) -> None:
        self.machine.block_size = 0x7FF if MISBEHAVIOUR == "long blocks" else int(size)

    def _include(self, path: str) -> None:
        """Compile C#, of which this program understands nothing: ``FakeWatch`` does what emu's file does."""
        assert Path(path).suffix == ".cs"
        assert path not in self.included, "each file is included once, as its types would be there twice"
        assert "StackWatchCommands" in Path(path).read_text()
        self.included.add(path)

    def _begin_watch(self, sp: str, excepted: str, bits: str) -> None:
        assert self.included, "no such command before its file is included"
        if MISBEHAVIOUR == "other second run" and isinstance(self.machine, FakeMachine):
            self.machine.others = 1
        self.watch = FakeWatch(self.machine, int(sp), int(excepted), int(bits, 16))
        if MISBEHAVIOUR != "no block hook":
            self.machine.watch = self.watch

    def _watch(self) -> FakeWatch:
        assert self.watch is not None, "BeginStackWatch comes first"
        return self.watch

    def _no_block_hook(self) -> None:
        self.machine.watch = None

    def _run_for(self, seconds: str) -> None:
        if MISBEHAVIOUR == "crash":
            print("Unhandled exception. System.AccessViolationException", flush=True)
            os._exit(134)
        if MISBEHAVIOUR == "hang":
            time.sleep(1000)
        self.machine.run(int(float(seconds) * _INSTRUCTIONS_A_SECOND))
        if MISBEHAVIOUR == "elsewhere":
            self.machine.halted = True
            self._jump("0x8000010")

    def _others(self) -> int:
        machine = self.machine
        return machine.others if isinstance(machine, FakeMachine) and machine.started else 0

    def _release(self) -> None:
        self.machine.halted = MISBEHAVIOUR == "stuck"

    def _register(self, number: int) -> int:
        return self.machine.register(number).RawValue

    def _jump(self, address: str) -> None:
        self.machine.jump(int(address, 16))

    def _word(self, address: int) -> int:
        return int.from_bytes(self.machine.read(address, 4), "little")

    def _dump(self, address: str, size: str, path: str) -> None:
        data = self.machine.read(int(address, 16), int(size, 16))
        if MISBEHAVIOUR == "wrong sums" and path.endswith("/answers"):
            data = bytes([data[0] ^ 1]) + data[1:]
        Path(path).write_bytes(data[:-1] if MISBEHAVIOUR == "short" else data)


class Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ()  # any

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_POST(self) -> None:  # noqa: N802
        if MISBEHAVIOUR == "not XML-RPC":
            self.send_response(200)
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b"<oh>dear!")
        else:
            super().do_POST()


def serve(port_file: Path) -> None:
    monitor = FakeMonitor()

    def run_keyword(*request: Any) -> Any:
        name, arguments = request
        if name == "ResetEmulation":
            monitor.reset()
            return {"status": "PASS"}
        if name != "ExecuteCommand" or MISBEHAVIOUR == "no keyword":
            raise Fault(1, f'Keyword "{name}" not found')
        if len(arguments) > 2 or any(isinstance(each, str) and _NAMED.match(each) for each in arguments):
            given = ", ".join(map(str, arguments))
            raise Fault(2, f'Arguments types do not match any available keyword "{name}" : [{given}]')
        text = str(arguments[0])
        try:
            answer = monitor.parse(text)
        except CommandError as error:
            said = f"KeywordException: There was an error when executing command '{text}': {error}\r\n"
            return {"status": "FAIL", "error": said, "traceback": "KeywordException:    at Antmicro.Renode\n"}
        if MISBEHAVIOUR == "no status":
            return {"return": answer}
        if MISBEHAVIOUR == "void":
            return {"status": "PASS"}
        if MISBEHAVIOUR == "decimal words" and "IsHalted" in text:
            answer = answer.replace("0x", "many ")
        if MISBEHAVIOUR == "chatty" and "IsHalted" in text:
            answer += "Did you know?\r\n"
        return {"status": "PASS", "return": answer}

    with SimpleXMLRPCServer(("127.0.0.1", 0), Handler, logRequests=False) as server:
        server.register_function(run_keyword, "run_keyword")
        server.register_function(lambda: ["ExecuteCommand", "ResetEmulation"], "get_keyword_names")
        if MISBEHAVIOUR == "slow":
            time.sleep(1.5)
        port_file.parent.mkdir()
        port_file.touch()  # it is made before it is written
        time.sleep(0.1)
        port_file.write_text(str(server.server_address[1]))
        server.serve_forever()


def main(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print({"old": "Renode v1.16.0.25", "no version": "Renode"}.get(MISBEHAVIOUR, "Renode v1.16.1.30157"))
        return
    options = dict(zip(arguments, [*arguments[1:], ""], strict=True))
    if not {"--plain", "--disable-gui"} <= set(arguments) or options["--robot-server-port"] != "0":
        sys.exit(f"unknown options: {arguments}")
    if MISBEHAVIOUR == "early end":
        sys.exit("Couldn't find .NET")
    Path(options["--config"]).read_text()
    Path(options["--pid-file"]).write_text(str(os.getpid()))
    serve(Path(os.environ["TMPDIR"]) / f"renode-{os.getpid()}" / "robot_port")


if __name__ == "__main__":
    main(sys.argv[1:])
