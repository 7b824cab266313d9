"""The demo firmware's figures against the watch on every instruction, over short sequences (the watch is slow)."""

import oracle
import pytest
from builds import TARGET
from test_profile import by_path

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines import Stop
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model

INPUTS, STEPS = 2, 3


class RecordingMachine(UnicornMachine):
    """Notes what the harness writes before each resume."""

    def __init__(self, firmware: Firmware):
        super().__init__(firmware, TARGET, Instruments(profile=True))
        self.writes: list[list[tuple[int, bytes]]] = [[]]

    def write(self, address: int, data: bytes) -> None:
        self.writes[-1].append((address, data))
        super().write(address, data)

    def resume(self) -> Stop:
        self.writes.append([])
        return super().resume()


@pytest.mark.parametrize("name", ["kws", "har"])
def test_inferences_are_measured_exactly(name: str) -> None:
    model = find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).x[:INPUTS, :STEPS]
    firmware = Firmware.load(build_firmware(model.image, TARGET.board, BuildOptions(input_rows=x.shape[1])), TARGET)
    address = firmware.symbol(SYMBOL)
    assert address is not None
    with RecordingMachine(firmware) as machine:
        legs = [machine.boot().instructions]
        mailbox = Mailbox.open(machine, address.address, TARGET.board.ram)
        for one in x:
            reply, _ = mailbox.infer(one)
            assert reply.ok
            legs.append(reply.instructions)
        measured = machine.measure()
        writes = machine.writes[:-1]

    def name_at(pc: int) -> str:
        function = firmware.function_at(pc)
        assert function is not None
        return function.name

    truth = oracle.watch(firmware.path, name_at, writes)
    assert legs == truth.legs
    assert measured.instructions.by_function == dict(truth.by_function)
    profile, total = measured.profile, measured.instructions.total
    assert profile is not None
    assert total is not None
    assert by_path(profile) == truth.by_path
    main = next(path for path in profile.call_paths if path.function == "main")
    assert main.inclusive_instructions == total - truth.by_path["reset_handler",]
    assert sum(sum(lines.values()) for lines in profile.by_line.values()) + profile.without_line == total
    assert measured.stack_peak_bytes == truth.stack_bytes
    assert sum(frame.frame_bytes or 0 for frame in measured.stack.backtrace) == truth.stack_bytes
