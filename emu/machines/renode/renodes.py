"""The Renodes of a command or a session: a machine that ends leaves its Renode, which starts slowly, to the next."""

import contextlib
from types import TracebackType
from typing import Self

from emu.machines.renode.installation import find_renode
from emu.machines.renode.process import RenodeProcess
from emu.machines.renode.robot_server import RenodeError


class Renodes:
    """Lends Renode processes. A context manager; after ``close`` none is left, whoever has it."""

    def __init__(self) -> None:
        self._free: list[RenodeProcess] = []
        self._lent: list[RenodeProcess] = []

    def take(self) -> RenodeProcess:
        """Return a Renode without a machine: a free one if it still works, or else a new one.

        Raises MissingToolError as ``RenodeProcess`` does.
        """
        while self._free:
            process = self._free.pop()
            with contextlib.suppress(RenodeError):  # one that does not work any more costs a new start, no run
                if process.path == find_renode():
                    process.clear()
                    self._lent.append(process)
                    return process
            process.close()
        process = RenodeProcess()
        self._lent.append(process)
        return process

    def give_back(self, process: RenodeProcess) -> None:
        """Keep a Renode for the next machine; end it if it is gone, or may still be at work for the last one."""
        self._lent.remove(process)
        if process.is_idle:
            self._free.append(process)
        else:
            process.close()

    def close(self) -> None:
        """End all processes; calling it again does nothing."""
        for processes in (self._free, self._lent):
            while processes:
                processes.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
