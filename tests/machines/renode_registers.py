"""A peripheral's script for Renode, run here: the scripts are the same in Python 2 and 3."""

from pathlib import Path
from types import SimpleNamespace

from emu.machines.renode.cortex_m import CORTEX_M
from emu.machines.renode.platform import write_platform
from emu.peripherals import Peripheral
from emu.targets import find_target


class Registers:
    """A peripheral's script with .NET's file in front of it, as Renode's request object has it."""

    def __init__(self, peripheral: Peripheral, directory: Path):
        board = find_target("stm32h7-renode").board.model_copy(update={"peripherals": (peripheral,)})
        write_platform(board, CORTEX_M.platform, CORTEX_M.platform_registers, (), directory, directory / "printed")
        (script,) = directory.glob("*.py")
        self.code = compile(script.read_text(), str(script), "exec")
        self.printed: list[int] = []
        self.sought: list[tuple[int, int]] = []
        file = SimpleNamespace(
            WriteByte=self.printed.append, Flush=lambda: None, Seek=lambda *place: self.sought.append(place)
        )
        modes = SimpleNamespace(Append=1, Write=2, ReadWrite=3)
        io = SimpleNamespace(
            FileStream=lambda *_: file,
            FileMode=modes,
            FileAccess=modes,
            FileShare=modes,
            SeekOrigin=SimpleNamespace(End=2),
        )
        self.scope: dict[str, object] = {"System": SimpleNamespace(IO=io, Convert=SimpleNamespace(ToByte=int))}
        self._run(IsInit=True)

    def _run(self, **given: object) -> SimpleNamespace:
        request = SimpleNamespace(**{"IsInit": False, "IsRead": False, "IsWrite": False, "Value": 0} | given)
        self.scope["request"] = request
        exec(self.code, self.scope)  # in one scope, which lives on, as in Renode
        return request

    def read(self, offset: int, length: int = 4) -> int:
        return self._run(IsRead=True, Offset=offset, Length=length).Value

    def write(self, offset: int, value: int, length: int = 4) -> None:
        self._run(IsWrite=True, Offset=offset, Length=length, Value=value)
