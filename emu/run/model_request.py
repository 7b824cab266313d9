"""A request to run a model, whose firmware emu builds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emu.build import BuildOptions, build_firmware
from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.model.checking import check_reading
from emu.model.image import read_image_info
from emu.model.sources import Model
from emu.record import Reading
from emu.run.driving import require_reference_shape, require_width
from emu.run.layers import require_reference
from emu.targets import Target

if TYPE_CHECKING:
    from emu.live.source import LiveModel


@dataclass(frozen=True, eq=False)
class ModelRequest:
    """A model, whose firmware emu builds."""

    model: "Model | LiveModel"
    inputs: EvaluationInputs
    reading: Reading | None = None
    """What a module in memory computes, which was compared with its own tensors. A checkpoint is yet to be read."""

    @property
    def name(self) -> str:
        """The name in records and reports."""
        return self.model.name

    @property
    def path(self) -> Path:
        """The checkpoint, the image, or the file that defines a module."""
        return self.model.path

    def named(self, name: str) -> "ModelRequest":
        """Return the request with another name."""
        return replace(self, model=replace(self.model, name=name))

    @property
    def files(self) -> list[Path | None]:
        """What is read for it; None if no inputs come with it."""
        return [*self.model.files, self.model.inputs]

    def read(self, tolerance: float) -> Reading | None:
        """Return what the model is taken to compute, compared with the reference logits; None for an image.

        Raises InputError if the inputs are not for the model, or if their logits are another model's.
        """
        checkpoint = self.model.checkpoint
        if self.reading is not None or checkpoint is None:
            return self.reading
        require_width(self.inputs.x, checkpoint.config.n_features)
        require_reference_shape(self.inputs, checkpoint.config.n_outputs, checkpoint.config.pooling == "none")
        try:
            return check_reading(checkpoint, self.inputs, tolerance)
        except InputError as error:
            raise InputError(f"{self.model.path}: {error}") from error

    def require_layers(self, index: int) -> None:
        """Raise InputError if the engine's tensors of an input can be compared with nothing."""
        require_reference(self.model, self.inputs, index)

    def layers_key(self) -> list[bytes]:
        """Return all that the comparison of layers depends on, but for the image: other weights can give the same."""
        tensors = (self.inputs.tensors or {}) if self.model.checkpoint is None else self.model.checkpoint.weights
        return [tensors[name].tobytes() for name in sorted(tensors)]

    def require_fit(self) -> None:
        """Raise InputError if the inputs or their logits are not for the model."""
        info = read_image_info(self.model.image)
        require_width(self.inputs.x, info.n_features)
        require_reference_shape(self.inputs, info.n_outputs, info.each_step)

    def elf_for(self, target: Target) -> Path:
        """Return the firmware for the target's board: from the cache, or newly built."""
        options = BuildOptions(input_rows=self.inputs.x.shape[1])
        return build_firmware(self.model.image, target.board, options)
