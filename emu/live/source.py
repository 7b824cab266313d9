"""A module in memory as a model that firmware can be built for."""

from dataclasses import dataclass
from pathlib import Path

from emu.errors import EmuError, InputError
from emu.inputs import EvaluationInputs, load_inputs
from emu.live.building import build_module
from emu.live.definition import Definition
from emu.live.exporting import image_of
from emu.live.module import LiveModule, read_module
from emu.model.sources import cached_image


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A module as the firmware's model. Its face is that of ``emu.model.sources.Model``."""

    name: str
    definition: Definition
    live: LiveModule
    image: Path
    inputs: None = None
    checkpoint: None = None

    @property
    def path(self) -> Path:
        """The file that defines the module."""
        return self.definition.file

    @property
    def files(self) -> list[Path]:
        """The files that are read for the model."""
        return self.definition.files


def open_live(definition: Definition, inputs: EvaluationInputs | Path | None, limit: int | None = None) -> LiveModel:
    """Build the module that a file defines, and read it with the first ``limit`` inputs, or all.

    Raises InputError if there are no inputs. Raises InputError and MissingToolError as ``build_module`` and
    ``read_module`` do.
    """
    if inputs is None:
        raise InputError(f"{definition.file} needs inputs, an .npz with x float32 [N, T, F]: --inputs x.npz")
    given = (load_inputs(inputs) if isinstance(inputs, Path) else inputs).first(limit)
    module = build_module(definition)
    try:
        live = read_module(module, given)
        return LiveModel(definition.file.stem, definition, live, cached_image(image_of(live)))
    except EmuError as error:
        raise type(error)(f"{definition.file}: {error}") from error
