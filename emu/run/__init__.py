"""One run: firmware on a target, every input through it, and the record of what was measured."""

from emu.run.driving import Progress as Progress
from emu.run.emulators import emulator_version as emulator_version
from emu.run.emulators import open_machine as open_machine
from emu.run.layers import trace_layers as trace_layers
from emu.run.options import RunOptions as RunOptions
from emu.run.running import run_firmware as run_firmware
from emu.run.running import run_model as run_model
