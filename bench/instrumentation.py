"""What measuring costs: the same run bare, and with stack, heap and instructions by function, in one process.

    python bench/instrumentation.py kws
    python bench/instrumentation.py FIRMWARE.elf

A demo's name stands for its firmware and some of its inputs; an ELF runs from reset to its end. Prints the median of nine
runs of each and their ratio; the exit code is 1 where the ratio is above 1.5.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.machines import Limits
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import demo_names, find_model
from emu.targets import Target, find_target

ROUNDS = 9
LARGEST_RATIO = 1.5
LIMITS = Limits(instructions=10**12, seconds=600)


def open_workload(name: str, target: Target, count: int) -> tuple[Firmware, Sequence[NDArray[np.float32]]]:
    """Return the firmware and the inputs (T, F) that go through it, none for an ELF."""
    if name not in demo_names():
        return Firmware.load(Path(name), target), ()
    model = find_model(name)
    assert model.inputs is not None, "a demo has inputs"
    x = load_inputs(model.inputs).x[:count]
    return Firmware.load(build_firmware(model.image, target.board, BuildOptions(input_rows=x.shape[1])), target), list(
        x
    )


def seconds(machine: UnicornMachine, firmware: Firmware, inputs: Sequence[NDArray[np.float32]]) -> float:
    """Return the wall time of the inputs, or from reset to the end where there are none."""
    start = time.perf_counter()
    stop = machine.boot()
    if inputs:
        symbol = firmware.symbol(SYMBOL)
        assert symbol is not None
        mailbox = Mailbox.open(machine, symbol.address)
        start = time.perf_counter()
        for x in inputs:
            stop = mailbox.infer(x)[0].stop
    took = time.perf_counter() - start
    if stop.fault is not None:
        raise SystemExit(f"the firmware faults: {stop.fault.detail}")
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", help="a demo's name or an ELF")
    parser.add_argument("--target", default="stm32h7-unicorn")
    parser.add_argument("--inputs", type=int, default=5, help="how many of the demo's inputs one run takes")
    options = parser.parse_args()

    target = find_target(options.target)
    firmware, inputs = open_workload(options.workload, target, options.inputs)
    with (
        UnicornMachine(firmware, target, limits=LIMITS, bare=True) as bare,
        UnicornMachine(firmware, target, limits=LIMITS) as measuring,
    ):
        # In turns, so that what else the computer does falls on both alike.
        rounds = [(seconds(bare, firmware, inputs), seconds(measuring, firmware, inputs)) for _ in range(ROUNDS)]
        instructions = measuring.measure().instructions.total
    without, with_probes = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = with_probes / without
    print(f"{options.workload}: {instructions:,} instructions, median of {ROUNDS} runs")
    print(f"  bare       {without * 1e3:8.1f} ms")
    print(f"  measuring  {with_probes * 1e3:8.1f} ms (stack, heap, instructions by function)")
    print(f"  ratio      {ratio:8.2f} (at most {LARGEST_RATIO})")
    return 0 if ratio <= LARGEST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
