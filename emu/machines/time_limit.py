"""The time limit of one ``boot`` or ``resume``: seconds of work, so that a busy host does not end a run."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_BACKSTOP_FACTOR, _BACKSTOP_SECONDS = 10, 60.0
_OFTEN, _SELDOM = 0.02, 60.0
"""The least and the most seconds between two looks of the alarm."""


class TimeLimit:
    """The limit of a run that begins now.

    ``spent`` returns the seconds of the run that count. If the host hardly lets the emulator work, the run ends after
    ten times the limit in real time, but not before a minute.
    """

    def __init__(self, seconds: float, spent: Callable[[], float]):
        self._seconds, self._spent = seconds, spent
        self._began = time.monotonic()
        self._backstop = max(_BACKSTOP_FACTOR * seconds, _BACKSTOP_SECONDS)

    @property
    def left(self) -> float:
        """The seconds of work that are left; 0 if the limit is over."""
        return 0.0 if self._is_at_backstop else max(0.0, self._seconds - self._spent())

    @property
    def is_over(self) -> bool:
        """Whether the run has to end."""
        return self.left == 0

    @property
    def words(self) -> str:
        """The seconds after which the run had to end."""
        if self._spent() < self._seconds and self._is_at_backstop:
            return f"{self._backstop:g} seconds of real time; the limit is {self._seconds:g} seconds of processor time"
        return f"{self._seconds:g} seconds"

    @property
    def _is_at_backstop(self) -> bool:
        return time.monotonic() - self._began >= self._backstop


def own_work() -> Callable[[], float]:
    """Return a function for ``TimeLimit`` that returns the processor time of this thread from now on."""
    clock = time.pthread_getcpuclockid(threading.get_ident())
    began = time.clock_gettime(clock)
    return lambda: time.clock_gettime(clock) - began


@contextmanager
def alarm(limit: TimeLimit, ring: Callable[[], None]) -> Iterator[None]:
    """Call ``ring`` from another thread, again and again, from the end of ``limit`` to the end of the block."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(min(max(limit.left, _OFTEN), _SELDOM)):
            if limit.is_over:
                ring()

    thread = threading.Thread(target=watch, name="time limit", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
