"""The ways in which a user names a model: the name of a demo, a checkpoint, or a model image."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from emu.cache import cached, content_key
from emu.errors import InputError
from emu.model.checkpoint import Checkpoint, files_beside, load_checkpoint
from emu.model.graph import build_graph
from emu.model.image import write_image
from emu.model.stated import Stated
from emu.model.tensor_file import CHECKPOINT_SUFFIXES, find_weights, stem
from emu.resources import resource

IMAGE_SUFFIX = ".mamba"


@dataclass(frozen=True)
class Model:
    """A model that firmware can be built for."""

    name: str
    path: Path
    """The checkpoint or the image."""
    inputs: Path | None
    """The evaluation inputs that come with a demo."""
    stated: Stated = field(default_factory=Stated)
    """The user's statements about the checkpoint, made with ``--set``."""

    @property
    def files(self) -> list[Path]:
        """The files that are read for the model, whether they exist or not."""
        return [self.path, *files_beside(self.path)]

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The trained weights; None for an image, which holds only what the engine needs."""
        return None if self.path.suffix == IMAGE_SUFFIX else load_checkpoint(self.path, self.stated)

    @cached_property
    def image(self) -> Path:
        """The model image, exported on first use."""
        if self.checkpoint is None:
            return self.path
        return cached_image(write_image(build_graph(self.checkpoint)))


def cached_image(image: bytes) -> Path:
    """Return a file with an image, in the cache."""
    directory = cached("images", content_key([image]), lambda draft: _write(draft / "model.mamba", image))
    return directory / "model.mamba"


def demo_names() -> list[str]:
    """Return the names of the demo models."""
    return sorted(path.parent.name for path in resource("models").glob("*/model.safetensors"))


def find_model(text: str, stated: Stated | None = None) -> Model:
    """Return the model that ``text`` names, with the user's statements about it.

    Raises InputError if no model has that name (the message lists valid names), or if something is stated of an image.
    """
    stated = stated or Stated()
    demo = resource("models") / text
    if text in demo_names():
        return Model(text, demo / "model.safetensors", demo / "inputs.npz", stated)
    if ".py" in Path(text).suffix:
        raise InputError(
            f"{text}: a module needs inputs: emu export {text} --inputs x.npz -o DIRECTORY, then give its model.mamba"
        )
    path = find_weights(Path(text))
    if not path.name.endswith((*CHECKPOINT_SUFFIXES, IMAGE_SUFFIX)):
        raise InputError(
            f'"{text}" is no model: give a demo ({", ".join(demo_names())}), '
            f"a checkpoint ({', '.join(CHECKPOINT_SUFFIXES)}) or an image ({IMAGE_SUFFIX})"
        )
    if not os.path.isfile(path):  # noqa: PTH113 - no error for an odd name
        raise InputError(f"{path}: no such file")
    if path.suffix == IMAGE_SUFFIX and stated != Stated():
        raise InputError(f"{path}: --set is for checkpoints; an image has all choices in it")
    own_name = path.stem if path.suffix == IMAGE_SUFFIX else stem(path)
    name = Path(text).resolve().name if Path(text) != path else own_name
    return Model(name, path, None, stated)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
