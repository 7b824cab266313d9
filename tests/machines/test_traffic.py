"""Counting loads and stores changes nothing of what the firmware does."""

from pathlib import Path

import pytest

from emu.instruments import Instruments
from emu.machines.unicorn import UnicornMachine
from tests.machines.builds import LEVELS, TARGET, firmware


@pytest.mark.parametrize("level", LEVELS)
def test_conditional_loads_and_stores_run_as_they_do_without(level: str, tmp_path: Path) -> None:
    # newlib's allocator and string functions are full of IT blocks with loads and stores in them.
    program = firmware(tmp_path, "newlib_mix.c", level)
    totals = []
    for traffic in (False, True):
        with UnicornMachine(program, TARGET, Instruments(traffic=traffic)) as machine:
            assert machine.boot().reason in ("yield", "exit")
            totals.append(machine.measure().instructions.by_function)
    assert totals[0] == totals[1]
