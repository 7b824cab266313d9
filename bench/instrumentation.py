"""What measuring costs: inferences of a demo, bare and with stack, heap and instructions by function, in one process.

    python bench/instrumentation.py [MODEL]

prints the median of nine inferences of each and their ratio; the exit code is 1 where the ratio is above 1.5.
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
    with UnicornMachine(firmware, target, bare=True) as bare, UnicornMachine(firmware, target) as measuring:
        mailboxes = []
        for machine in (bare, measuring):
            machine.boot()
            mailboxes.append(Mailbox.open(machine, symbol.address))

        def seconds(mailbox: Mailbox) -> float:
            start = time.perf_counter()
            reply, _ = mailbox.infer(x)
            took = time.perf_counter() - start
            assert reply.ok
            return took

        for mailbox in mailboxes:
            seconds(mailbox)  # translates the code
        rounds = [[seconds(mailbox) for mailbox in mailboxes] for _ in range(ROUNDS)]
        without, measured = (statistics.median(column) for column in zip(*rounds, strict=True))
        instructions = measuring.measure().instructions.total
    ratio = measured / without
    print(f"{name}: {instructions:,} instructions measured, boot included")
    print(f"bare      {without * 1000:8.1f} ms of the host")
    print(f"measured  {measured * 1000:8.1f} ms of the host")
    print(f"ratio     {ratio:8.2f}    (at most {LARGEST_RATIO})")
    return 0 if ratio <= LARGEST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
