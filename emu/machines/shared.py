"""What the machines of one command or one pytest session share: a program that is slow to start is started once."""

import contextlib
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T", bound=contextlib.AbstractContextManager[Any])


class Shared:
    """One object of each kind that a machine asks for, from the first time until ``close``. A context manager."""

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._made: dict[type[Any], Any] = {}

    def the(self, kind: type[_T]) -> _T:
        """Return the object of the type ``kind``, which is made and entered at the first call."""
        if kind not in self._made:
            self._made[kind] = self._undo.enter_context(kind())
        return self._made[kind]

    def close(self) -> None:
        """End all that was made; calling it again does nothing."""
        self._made.clear()
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
