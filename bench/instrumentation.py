"""Measure the cost of measuring: inferences of a demo, bare and with each kind of measurement.

    python bench/instrumentation.py [MODEL] [TARGET]...

For each target the script prints the median time of nine inferences of each kind, and the ratio to bare. The exit code
is 1 if a ratio is above its limit. Without targets the script measures every target whose compiler and emulator are
installed.
"""

import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from emu.build import BuildOptions, build_firmware
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines.qemu import QemuMachine
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import Model, find_model
from emu.targets import Target, find_target

ROUNDS = 9
LARGEST_RATIOS: dict[str, dict[str, float | None]] = {
    "stm32h7-unicorn": {"measured": 1.5, "profile": 1.5, "traffic": None, "memcheck": 15.0},
    "stm32h7-qemu": {"measured": 3.0, "profile": 3.0, "traffic": 3.0},
    "esp32s3-qemu": {"measured": 3.0, "profile": 3.0, "traffic": 3.0},
}
"""The largest ratio to bare by target and kind; None is no limit."""


def main(name: str = "kws", *targets: str) -> int:
    model = find_model(name)
    too_slow = False
    for target in targets or LARGEST_RATIOS:
        try:
            too_slow |= measure(model, find_target(target))
        except MissingToolError as missing:
            if targets:
                raise
            print(f"{target}: {missing}")
    return int(too_slow)


def measure(model: Model, target: Target) -> bool:
    """Print the cost of measuring on ``target``. Return whether a ratio is above its limit."""
    assert model.inputs is not None
    x = load_inputs(model.inputs).x[0]
    firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(len(x))), target)
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None
    ratios = LARGEST_RATIOS[target.name]
    with ExitStack() as opened:
        mailboxes: dict[str, Mailbox] = {}
        machines = {title: machine_of(firmware, target, title) for title in ("bare", *ratios)}
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
            seconds(mailbox)  # the emulator translates the code, once
        rounds = [[seconds(mailbox) for mailbox in mailboxes.values()] for _ in range(ROUNDS)]
        medians = dict(zip(mailboxes, map(statistics.median, zip(*rounds, strict=True)), strict=True))
        instructions = machines["measured"].measure().instructions.total
    print(f"{model.name} on {target.name}: {instructions:,} instructions measured, boot included")
    return report(medians, ratios)


def machine_of(firmware: Firmware, target: Target, title: str) -> UnicornMachine | QemuMachine:
    machine_type = QemuMachine if target.emulator_name == "qemu" else UnicornMachine
    instruments = replace(Instruments(), **({} if title in ("bare", "measured") else {title: True}))
    return machine_type(firmware, target, instruments, bare=title == "bare")


def report(medians: Mapping[str, float], ratios: Mapping[str, float | None]) -> bool:
    print(f"bare      {medians['bare'] * 1000:8.1f} ms of the host")
    too_slow = False
    for title, largest in ratios.items():
        ratio = medians[title] / medians["bare"]
        limit = "" if largest is None else f" (at most {largest:g})"
        print(f"{title:8}  {medians[title] * 1000:8.1f} ms of the host, ratio {ratio:.2f}{limit}")
        too_slow |= largest is not None and ratio > largest
    return too_slow


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
