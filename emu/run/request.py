"""A request: what a user wants to run, read once from the user's text and inputs."""

from dataclasses import dataclass, replace
from pathlib import Path

from emu.build import BuildOptions, build_firmware
from emu.elf import is_elf
from emu.errors import InputError
from emu.inputs import EvaluationInputs, load_inputs
from emu.model.checking import check_reading
from emu.model.sources import Model, find_model
from emu.model.stated import Stated
from emu.record import Reading
from emu.run.driving import require_reference_shape, require_rows
from emu.targets import Target


@dataclass(frozen=True, eq=False)
class FirmwareRequest:
    """Firmware that is already built."""

    elf: Path
    name: str
    """The name in records and reports."""
    inputs: EvaluationInputs | None

    @property
    def path(self) -> Path:
        """The file that the user named."""
        return self.elf

    def named(self, name: str) -> "FirmwareRequest":
        """Return the request with another name."""
        return replace(self, name=name)

    @property
    def files(self) -> list[Path | None]:
        """What is read for it."""
        return [self.elf]

    def elf_for(self, _target: Target) -> Path:
        """Return the ELF, which is the same for every target."""
        return self.elf


@dataclass(frozen=True, eq=False)
class ModelRequest:
    """A model, whose firmware emu builds."""

    model: Model
    inputs: EvaluationInputs

    @property
    def name(self) -> str:
        """The name in records and reports."""
        return self.model.name

    @property
    def path(self) -> Path:
        """The checkpoint or the image."""
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
        if checkpoint is None:
            return None
        require_rows(self.inputs.x, checkpoint.config.n_features, checkpoint.config.n_tokens)
        require_reference_shape(self.inputs, checkpoint.config.n_outputs, checkpoint.config.pooling == "none")
        try:
            return check_reading(checkpoint, self.inputs, tolerance)
        except InputError as error:
            raise InputError(f"{self.model.path}: {error}") from error

    def elf_for(self, target: Target) -> Path:
        """Return the firmware for the target's board: from the cache, or newly built."""
        options = BuildOptions(input_rows=self.inputs.x.shape[1])
        return build_firmware(self.model.image, target.board, options)


Request = FirmwareRequest | ModelRequest


def read_request(
    text: str | Path,
    inputs: EvaluationInputs | Path | None = None,
    limit: int | None = None,
    name: str | None = None,
    stated: Stated | None = None,
) -> Request:
    """Return the request for ``text``: firmware by its path, or a demo, a checkpoint or an image.

    A demo has its own inputs, which ``inputs`` replace. ``limit`` keeps only the first inputs. ``stated`` says what a
    checkpoint's tensors do not show. Raises InputError if nothing has that name, if a model has no inputs, if the
    inputs cannot be read, or if something is stated of firmware or an image.
    """
    path = Path(text)
    if path.suffix == ".elf" or is_elf(path):  # a name that ends in .elf means an ELF
        if stated is not None and stated != Stated():
            raise InputError(f"{path}: --set is for checkpoints, not for firmware")
        return FirmwareRequest(path, name or path.stem, None if inputs is None else _first(inputs, limit))
    model = find_model(str(text), stated)
    chosen = model.inputs if inputs is None else inputs
    if chosen is None:
        raise InputError(
            f"{text} needs inputs, an .npz with x float32 [N, T, F]: give them with --inputs x.npz, or in pytest with "
            f"emu_run({str(text)!r}, 'x.npz')"
        )
    return ModelRequest(replace(model, name=name or model.name), _first(chosen, limit))


def _first(inputs: EvaluationInputs | Path, limit: int | None) -> EvaluationInputs:
    return (load_inputs(inputs) if isinstance(inputs, Path) else inputs).first(limit)
