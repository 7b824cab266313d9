"""A trial: begin a run as `emu run` begins one, so that its failure is the failure of that run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emu.build import BuildOptions, build_firmware
from emu.errors import EmuError
from emu.firmware import Firmware
from emu.instruments import Instruments, Limits
from emu.machines.shared import Shared
from emu.model.config import ModelConfig
from emu.model.graph import Graph
from emu.model.image import write_image
from emu.model.ops import Linear, Mixer, Pool
from emu.run.emulators import emulator_version, open_machine
from emu.targets import Target

_LIMITS = Limits(seconds=30.0)
_CHANNELS, _TAPS, _STATES, _RANK = 4, 4, 4, 4
"""D, K, N and R of the smallest model."""


@dataclass(frozen=True)
class Trial:
    """Begins runs of the smallest model. Its firmware is built in ``directory``, once for each board."""

    directory: Path
    """Empty at first: firmware from an earlier build would hide that the compiler is broken now."""
    shared: Shared
    """What the machines of all targets share."""

    def begin(self, target: Target) -> None:
        """Build the firmware and start it on ``target``.

        Raises the error with which `emu run` ends if a tool is missing, or fails, or does not start the firmware.
        """
        emulator_version(target)
        image = self.directory / "smallest.mamba"
        image.write_bytes(_smallest_model())
        elf = build_firmware(image, target.board, BuildOptions(input_rows=1), self.directory)
        firmware = Firmware.load(elf, target)
        with open_machine(firmware, target, Instruments(limits=_LIMITS), self.shared) as machine:
            stop = machine.boot()
        if stop.fault is not None:
            raise EmuError(f"{target.name} does not start emu's own firmware: {stop.fault.kind}: {stop.fault.detail}")
        if stop.reason != "yield":
            raise EmuError(f"{target.name} does not start emu's own firmware: it ends before it takes inputs")


def _smallest_model() -> bytes:
    """Return the image of a block of zeros and a pooling."""
    config = ModelConfig(
        n_features=_CHANNELS,
        n_outputs=_CHANNELS,
        d_model=_CHANNELS,
        d_inner=_CHANNELS,
        d_state=_STATES,
        d_conv=_TAPS,
        dt_rank=_RANK,
        linear_in=False,
        head=False,
    )
    mixer = Mixer(
        in_proj=Linear(np.zeros((2 * _CHANNELS, _CHANNELS)), None),
        conv_weight=np.zeros((_CHANNELS, _TAPS)),
        conv_bias=np.zeros(_CHANNELS),
        x_proj=np.zeros((_RANK + 2 * _STATES, _CHANNELS)),
        dt_proj=Linear(np.zeros((_CHANNELS, _RANK)), np.zeros(_CHANNELS)),
        a=-np.ones((_CHANNELS, _STATES)),
        d=np.zeros(_CHANNELS),
    )
    return write_image(Graph(config, (mixer, Pool("last"))))
