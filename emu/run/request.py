"""A request: what a user wants to run, read once from the user's text and inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from emu.elf import is_elf
from emu.errors import InputError
from emu.live.definition import parse_definition
from emu.targets import Target

if TYPE_CHECKING:  # firmware without inputs needs neither numpy nor the PyTorch side
    from emu.inputs import EvaluationInputs
    from emu.model.stated import Stated
    from emu.run.model_request import ModelRequest

    Request: TypeAlias = "FirmwareRequest | ModelRequest"


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

    def named(self, name: str) -> FirmwareRequest:
        """Return the request with another name."""
        return replace(self, name=name)

    @property
    def files(self) -> list[Path | None]:
        """What is read for it."""
        return [self.elf]

    def elf_for(self, _target: Target) -> Path:
        """Return the ELF, which is the same for every target."""
        return self.elf


def read_request(
    text: str | Path,
    inputs: EvaluationInputs | Path | None = None,
    limit: int | None = None,
    name: str | None = None,
    stated: Stated | None = None,
    weights: Path | None = None,
) -> Request:
    """Return the request for ``text``: firmware by its path, or a demo, a checkpoint, an image or a module.

    A demo has its own inputs, which ``inputs`` replace. ``limit`` keeps only the first inputs. ``stated`` says what a
    checkpoint's tensors do not show. ``weights`` are loaded into the module that ``text`` defines.

    Raises InputError if nothing has that name, if a model has no inputs, if the inputs cannot be read, if something is
    stated of anything but a checkpoint, or if a module cannot be made or read.
    """
    path = Path(text)
    definition = parse_definition(str(text), weights)
    if definition is not None:
        if stated is not None and stated.model_fields_set:
            raise InputError(f"{definition.file}: --set is for checkpoints; a module shows what it computes")
        from emu.live.source import open_live
        from emu.run.model_request import ModelRequest

        live = open_live(definition, inputs, limit)
        return ModelRequest(replace(live, name=name or live.name), live.live.inputs, live.live.reading)
    if weights is not None:
        raise InputError(f"--weights is for a module that a file defines, such as my_model.py:build, not for {text}")
    if path.suffix == ".elf" or is_elf(path):  # a name that ends in .elf means an ELF
        if stated is not None and stated.model_fields_set:
            raise InputError(f"{path}: --set is for checkpoints, not for firmware")
        return FirmwareRequest(path, name or path.stem, None if inputs is None else _first(inputs, limit))
    from emu.model.sources import find_model
    from emu.run.model_request import ModelRequest

    model = find_model(str(text), stated)
    chosen = model.inputs if inputs is None else inputs
    if chosen is None:
        raise InputError(
            f"{text} needs inputs, an .npz with x float32 [N, T, F]: give them with --inputs x.npz, or in pytest with "
            f"emu_run({str(text)!r}, 'x.npz')"
        )
    return ModelRequest(replace(model, name=name or model.name), _first(chosen, limit))


def _first(inputs: EvaluationInputs | Path, limit: int | None) -> EvaluationInputs:
    if isinstance(inputs, Path):
        from emu.inputs import load_inputs

        inputs = load_inputs(inputs)
    return inputs.first(limit)
