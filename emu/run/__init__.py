"""Runs: what to run on which targets, each run from its firmware to its verdicts, and the run's record."""

from emu.options import RunOptions as RunOptions
from emu.run.driving import Progress as Progress
from emu.run.emulators import emulator_version as emulator_version
from emu.run.emulators import open_machine as open_machine
from emu.run.plan import Job as Job
from emu.run.plan import execute as execute
from emu.run.plan import plan as plan
from emu.run.request import read_request as read_request
from emu.run.running import run_firmware as run_firmware
from emu.run.running import run_model as run_model
