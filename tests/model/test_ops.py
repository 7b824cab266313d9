"""The exporter and the engine describe each operation with the same tensors, in the same order."""

import re

import pytest
from samples import CONFIGS, random_checkpoint

from emu.model.config import ModelConfig
from emu.model.graph import build_graph
from emu.model.ops import KINDS, Mixer, Slot
from emu.resources import resource


def engine_operations() -> list[tuple[str, str, list[Slot]]]:
    """Read ops.def: the name of each operation, the buffer that it writes, and its tensors."""
    text = re.sub(r"/\*.*?\*/", "", (resource("runtime") / "src" / "ops.def").read_text(), flags=re.DOTALL)
    found: list[tuple[str, str, list[Slot]]] = []
    for macro, arguments in re.findall(r"^(OPERATION|TENSOR)\(([^)]*)\)", text, flags=re.MULTILINE):
        kind, *rest = [argument.strip() for argument in arguments.split(",")]
        if macro == "OPERATION":
            found.append((kind.capitalize(), rest[0].lower(), []))
            continue
        name, storage, *dimensions, presence = rest
        assert kind.capitalize() == found[-1][0]
        assert presence in ("NEEDED", "OPTIONAL", "IF_ONE")
        shape = tuple(dimension for dimension in dimensions if dimension != "ONE")
        found[-1][2].append(Slot(name.lower(), storage.lower(), shape, presence.lower()))  # pyright: ignore[reportArgumentType]
    return found


def test_the_engine_and_the_exporter_describe_the_same_operations_in_the_same_order() -> None:
    assert engine_operations() == [(kind.__name__, kind.writes, list(kind.slots)) for kind in KINDS]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "as trained"])
def test_what_a_layer_stores_has_the_shape_of_its_slots(config: ModelConfig, fold: bool) -> None:
    states, ranks = -(-config.d_state // 4) * 4, -(-config.dt_rank // 4) * 4
    inside = {"D": config.d_inner, "N": states, "K": config.d_conv, "R": ranks, "X": ranks + 2 * states}
    graph = build_graph(random_checkpoint(config), fold)
    assert sum(isinstance(operation, Mixer) for operation in graph.operations) == config.n_blocks
    width = config.n_features
    for operation in graph.operations:
        takes, gives = operation.widths(width)
        assert takes == width
        width = gives
        dimensions = inside | {"IN": takes, "OUT": gives}
        for slot, tensor in zip(operation.slots, operation.stored(), strict=True):
            if tensor is None:
                assert slot.presence == "optional" or (slot.presence == "if_one" and operation.parameter != 1)
            else:
                assert tensor.shape == (tuple(dimensions[name] for name in slot.shape) or (1,)), slot.name
    assert width == config.n_outputs
