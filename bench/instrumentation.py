"""What measuring costs: inferences of a demo, bare, with stack, heap and instructions by function, and with call paths.

    python bench/instrumentation.py [MODEL]

prints the median of nine inferences of each and its ratio to bare; the exit code is 1 where one is above 1.5.
"""

import statistics
import sys
import time

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model
from emu.targets import find_target

ROUNDS = 9
LARGEST_RATIO = 1.5


def main(name: str = "kws") -> int:
    target, model = find_target("stm32h7-unicorn"), find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).x[0]
    firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(len(x))), target)
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None
    with (
        UnicornMachine(firmware, target, bare=True) as bare,
        UnicornMachine(firmware, target) as measuring,
        UnicornMachine(firmware, target, profile=True) as profiling,
    ):
        mailboxes = []
        for machine in (bare, measuring, profiling):
            machine.boot()
            mailboxes.append(Mailbox.open(machine, symbol.address, target.board.ram))

        def seconds(mailbox: Mailbox) -> float:
            start = time.perf_counter()
            reply, _ = mailbox.infer(x)
            took = time.perf_counter() - start
            assert reply.ok
            return took

        for mailbox in mailboxes:
            seconds(mailbox)  # translates the code
        rounds = [[seconds(mailbox) for mailbox in mailboxes] for _ in range(ROUNDS)]
        without, measured, profiled = (statistics.median(column) for column in zip(*rounds, strict=True))
        instructions = measuring.measure().instructions.total
    print(f"{name}: {instructions:,} instructions measured, boot included")
    print(f"bare      {without * 1000:8.1f} ms of the host")
    for title, took in (("measured", measured), ("profiled", profiled)):
        print(f"{title}  {took * 1000:8.1f} ms of the host, ratio {took / without:.2f} (at most {LARGEST_RATIO})")
    return 0 if max(measured, profiled) / without <= LARGEST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
