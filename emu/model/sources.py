"""What a user may call a model: the name of a demo, a checkpoint, or a model image."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emu.cache import cached, content_key
from emu.errors import InputError
from emu.model.checkpoint import Checkpoint, load_checkpoint
from emu.model.graph import build_graph
from emu.model.image import write_image
from emu.model.tensor_file import CHECKPOINT_SUFFIXES
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

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The trained weights; None for an image, which holds only what the engine needs."""
        return None if self.path.suffix == IMAGE_SUFFIX else load_checkpoint(self.path)

    @cached_property
    def image(self) -> Path:
        """The model image, exported on first use."""
        if self.checkpoint is None:
            return self.path
        image = write_image(build_graph(self.checkpoint))
        directory = cached("images", content_key([image]), lambda draft: _write(draft / "model.mamba", image))
        return directory / "model.mamba"


def demo_names() -> list[str]:
    """Return the names of the demo models."""
    return sorted(path.parent.name for path in resource("models").glob("*/model.safetensors"))


def find_model(text: str) -> Model:
    """Return the model that ``text`` names; raises InputError that lists what it may be."""
    demo = resource("models") / text
    if text in demo_names():
        return Model(text, demo / "model.safetensors", demo / "inputs.npz")
    path = Path(text)
    if path.suffix not in (*CHECKPOINT_SUFFIXES, IMAGE_SUFFIX):
        raise InputError(
            f'"{text}" is no model: give a demo ({", ".join(demo_names())}), '
            f"a checkpoint ({', '.join(CHECKPOINT_SUFFIXES)}) or an image ({IMAGE_SUFFIX})"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return Model(path.stem, path, None)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
