"""What measuring costs: inferences of a demo, bare and with each thing that can be measured.

    python bench/instrumentation.py [MODEL]

prints the median of nine inferences of each and its ratio to bare; the exit code is 1 where one is above its limit.
"""

import statistics
import sys
import time
from contextlib import ExitStack

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model
from emu.targets import find_target

ROUNDS = 9
LARGEST_RATIOS = {"measured": 1.5, "profile": 1.5, "traffic": None, "memcheck": 15.0}
"""To bare, by what is on."""


def main(name: str = "kws") -> int:
    target, model = find_target("stm32h7-unicorn"), find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).x[0]
    firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(len(x))), target)
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None
    with ExitStack() as opened:
        machines = {
            "bare": UnicornMachine(firmware, target, bare=True),
            "measured": UnicornMachine(firmware, target),
            "profile": UnicornMachine(firmware, target, profile=True),
            "traffic": UnicornMachine(firmware, target, traffic=True),
            "memcheck": UnicornMachine(firmware, target, memcheck=True),
        }
        mailboxes = {}
        for title, machine in machines.items():
            opened.enter_context(machine).boot()
            mailboxes[title] = Mailbox.open(machine, symbol.address, target.board.ram)

        def seconds(mailbox: Mailbox) -> float:
            start = time.perf_counter()
            reply, _ = mailbox.infer(x)
            took = time.perf_counter() - start
            assert reply.ok
            return took

        for mailbox in mailboxes.values():
            seconds(mailbox)  # translates the code
        rounds = [[seconds(mailbox) for mailbox in mailboxes.values()] for _ in range(ROUNDS)]
        medians = dict(zip(mailboxes, map(statistics.median, zip(*rounds, strict=True)), strict=True))
        instructions = machines["measured"].measure().instructions.total
    print(f"{name}: {instructions:,} instructions measured, boot included")
    print(f"bare      {medians['bare'] * 1000:8.1f} ms of the host")
    too_slow = False
    for title, largest in LARGEST_RATIOS.items():
        ratio = medians[title] / medians["bare"]
        limit = "" if largest is None else f" (at most {largest:g})"
        print(f"{title:8}  {medians[title] * 1000:8.1f} ms of the host, ratio {ratio:.2f}{limit}")
        too_slow |= largest is not None and ratio > largest
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
