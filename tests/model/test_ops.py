"""The operations as the exporter and as the engine describe them: the same tensors, in the same order."""

import re

import pytest
from samples import CONFIGS, random_checkpoint

from emu.model.config import ModelConfig
from emu.model.graph import build_graph
from emu.model.ops import Layer, Linear, Mixer, Norm, Slot
from emu.resources import resource

LAYERS: dict[str, type[Layer]] = {"NORM": Norm, "MIXER": Mixer, "LINEAR": Linear}


def engine_slots() -> dict[str, list[Slot]]:
    """Read ops.def: the slots of each layer, by the layer's name there."""
    text = re.sub(r"/\*.*?\*/", "", (resource("runtime") / "src" / "ops.def").read_text(), flags=re.DOTALL)
    found: dict[str, list[Slot]] = {}
    for macro, arguments in re.findall(r"(\w+)\(([^)]*)\)", text):
        layer, *rest = [argument.strip() for argument in arguments.split(",")]
        if macro == "LAYER":
            found[layer] = []
            continue
        name, *dimensions, presence = rest
        assert macro in ("MATRIX", "BIAS", "FLOATS")
        assert presence in ("NEEDED", "OPTIONAL")
        shape = tuple(dimension for dimension in dimensions if dimension != "ONE")
        found[layer].append(Slot(name.lower(), macro.lower(), shape, presence == "OPTIONAL"))  # pyright: ignore[reportArgumentType]
    return found


def test_the_engine_and_the_exporter_describe_the_same_layers() -> None:
    assert engine_slots() == {name: list(layer.slots) for name, layer in LAYERS.items()}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "as trained"])
def test_what_a_layer_stores_has_the_shape_of_its_slots(config: ModelConfig, fold: bool) -> None:
    states, ranks = -(-config.d_state // 4) * 4, -(-config.dt_rank // 4) * 4
    inside = {"D": config.d_inner, "N": states, "K": config.d_conv, "R": ranks, "X": ranks + 2 * states}
    graph = build_graph(random_checkpoint(config), fold)
    layers = [operation for operation in graph.operations if isinstance(operation, Linear | Norm | Mixer)]
    assert sum(isinstance(layer, Mixer) for layer in layers) == config.n_blocks
    for layer in layers:
        weight = layer.in_proj.weight if isinstance(layer, Mixer) else layer.weight
        dimensions = inside | {"IN": weight.shape[-1], "OUT": weight.shape[0]}
        for slot, tensor in zip(layer.slots, layer.stored(), strict=True):
            if tensor is None:
                assert slot.optional
            else:
                assert tensor.shape == tuple(dimensions[name] for name in slot.shape), slot.name
