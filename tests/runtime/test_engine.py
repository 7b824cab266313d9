"""The engine against the float64 recurrence of the trained weights, and against its promises about memory."""

import numpy as np
import pytest
from host_engine import Engine, Floats, Guarded, Model, Status

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig
from emu.model.graph import build_graph
from emu.model.image import MatrixType, write_image
from tests.model.oracles import intermediates, recurrence
from tests.model.samples import CONFIGS, random_checkpoint, random_sequence

EDGES = {
    "one of everything": ModelConfig(1, 1, d_model=1, d_inner=1, d_state=1, d_conv=2, dt_rank=1),
    "one tap": ModelConfig(3, 2, d_model=4, d_inner=6, d_state=4, d_conv=1, dt_rank=1),
    "one tap, two blocks": ModelConfig(3, 2, d_model=4, d_inner=6, d_state=4, d_conv=1, dt_rank=1, n_blocks=2),
    "two taps": ModelConfig(3, 2, d_model=4, d_inner=7, d_state=4, d_conv=2, dt_rank=1),
    "six taps": ModelConfig(3, 2, d_model=4, d_inner=9, d_state=4, d_conv=6, dt_rank=1),
    "twenty states, nine ranks": ModelConfig(5, 17, d_model=6, d_inner=12, d_state=20, d_conv=4, dt_rank=9),
    "seventeen states, five ranks": ModelConfig(60, 16, d_model=17, d_inner=33, d_state=17, dt_rank=5, n_blocks=2),
    "the demo's shape": ModelConfig(40, 10, d_model=64, d_inner=128, d_state=16, d_conv=4, dt_rank=4),
    "the demo's shape, residual": ModelConfig(
        40, 10, d_model=64, d_inner=128, d_state=16, dt_rank=4, n_blocks=2, block="residual"
    ),
    "no linear_in": ModelConfig(9, 3, d_model=9, d_inner=5, d_state=2, dt_rank=1, linear_in=False),
    "no linear_in, two residual blocks": ModelConfig(
        9, 3, d_model=9, d_inner=5, d_state=2, dt_rank=1, linear_in=False, n_blocks=2, block="residual", pooling="last"
    ),
    "no head": ModelConfig(4, 5, d_model=5, d_inner=10, d_state=2, dt_rank=1, head=False),
    "no head, last": ModelConfig(4, 5, d_model=5, d_inner=10, d_state=2, dt_rank=1, head=False, pooling="last"),
}


def random_config(number: int) -> ModelConfig:
    draw = np.random.default_rng(number)
    n_features, d_model = int(draw.integers(1, 61)), int(draw.integers(1, 34))
    linear_in, head = bool(draw.random() < 0.8), bool(draw.random() < 0.8)
    return ModelConfig(
        n_features=n_features if linear_in else d_model,
        n_outputs=int(draw.integers(1, 18)) if head else d_model,
        d_model=d_model,
        d_inner=int(draw.integers(5, 70)),
        d_state=int(draw.integers(1, 21)),
        d_conv=int(draw.integers(1, 7)),
        dt_rank=int(draw.integers(1, 10)),
        n_blocks=int(draw.integers(1, 4)),
        block="residual" if draw.random() < 0.5 else "plain",
        pooling="last" if draw.random() < 0.5 else "mean",
        linear_in=linear_in,
        head=head,
        projection_bias=bool(draw.random() < 0.5),
        conv_bias=bool(draw.random() < 0.8),
    )


ALL = CONFIGS | EDGES | {f"random {number}": random_config(number) for number in range(60)}

each_config = pytest.mark.parametrize("config", ALL.values(), ids=ALL.keys())
each_way = pytest.mark.parametrize("fold", [True, False], ids=["folded", "as trained"])


def float32_sequence(config: ModelConfig, steps: int) -> np.ndarray:
    """Return x (T, F) in float64 whose values are exact in float32."""
    return random_sequence(config, steps).astype(np.float32).astype(np.float64)


def right_logits(checkpoint: Checkpoint, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # the oracle's exp(-x) of a very negative x, which ends as 1 / inf
        return recurrence(checkpoint, x)


def assert_close(logits: np.ndarray, checkpoint: Checkpoint, x: np.ndarray) -> None:
    """Compare with float64, as exactly as float32 can be for this model and this sequence.

    The measure is how far the float64 logits move if every weight moves to a neighbouring float32: no engine with
    float32 weights can be more exact. Rounding every intermediate value, too, costs a few times that measure.
    """
    expected = right_logits(checkpoint, x)
    movements = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        neighbours = {
            name: np.nextafter(
                weight, np.float32(np.inf) * generator.choice(np.array([-1, 1], np.float32), weight.shape)
            )
            for name, weight in checkpoint.weights.items()
        }
        movements.append(np.abs(right_logits(Checkpoint(checkpoint.config, neighbours), x) - expected).max())
    error, largest = np.abs(logits - expected).max(), np.abs(expected).max()
    assert error <= 6 * max(movements) + 2.0**-24 * largest
    assert error <= 3e-5 * largest  # whatever the model's condition


def logits_of(engine: Engine, image: bytes, x: np.ndarray, config: ModelConfig) -> np.ndarray:
    """Return the logits (C,) of x (T, F), or (T, C) without pooling."""
    sequence = engine.load(image).start()
    each = []
    for row in x:
        sequence.step(row)
        each.append(sequence.finish())
    return np.stack(each) if config.pooling == "none" else each[-1]


def image_of(checkpoint: Checkpoint, fold: bool = True) -> bytes:
    return write_image(build_graph(checkpoint, fold))


@pytest.fixture
def model(engine: Engine) -> Model:
    return engine.load(image_of(random_checkpoint(CONFIGS["two plain blocks with every bias"])))


X = float32_sequence(CONFIGS["two plain blocks with every bias"], steps=12)


# ---- The logits ----


@each_config
@each_way
def test_the_logits_are_those_of_the_recurrence(config: ModelConfig, fold: bool, engine: Engine) -> None:
    checkpoint = random_checkpoint(config)
    for steps in (1, 2, 25):
        x = float32_sequence(config, steps)
        assert_close(logits_of(engine, image_of(checkpoint, fold), x, config), checkpoint, x)


@pytest.mark.parametrize("matrix_type", ["f16", "int8"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_weights_that_a_smaller_type_holds_exactly_cost_nothing(
    config: ModelConfig, matrix_type: MatrixType, engine: Engine
) -> None:
    trained = random_checkpoint(config)
    exact = {
        name: weight if weight.ndim != 2 or name.endswith("A_log") else representable(weight, matrix_type)
        for name, weight in trained.weights.items()
    }
    checkpoint = Checkpoint(config, exact)
    x = float32_sequence(config, steps=9)
    image = write_image(build_graph(checkpoint, fold=False), matrix_type)
    assert len(image) < len(image_of(checkpoint, fold=False))
    assert_close(logits_of(engine, image, x, config), checkpoint, x)


def representable(matrix: Floats, matrix_type: MatrixType) -> Floats:
    """Return the matrix rounded to values that ``matrix_type`` holds exactly, with a power of two as int8's scale."""
    if matrix_type == "f16":
        return matrix.astype(np.float16).astype(np.float32)
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    scale = 2.0 ** np.ceil(np.log2(largest / 127))
    steps = np.rint(matrix / scale)
    steps[np.arange(len(matrix)), np.abs(matrix).argmax(axis=1)] = 127.0
    return (steps * scale).astype(np.float32)


def test_the_logits_of_a_long_sequence(engine: Engine) -> None:
    checkpoint = random_checkpoint(CONFIGS["one plain block, mean"])
    x = float32_sequence(checkpoint.config, steps=2000)
    assert_close(engine.logits(image_of(checkpoint), x), checkpoint, x)


@pytest.mark.parametrize("scale", [0.0, 2.0**-70, 2.0**-10, 2.0**5, 2.0**10])
@pytest.mark.parametrize("name", ["one plain block, mean", "three residual blocks with every bias"])
def test_inputs_of_any_scale(name: str, scale: float, engine: Engine) -> None:
    checkpoint = random_checkpoint(CONFIGS[name])
    x = scale * float32_sequence(checkpoint.config, steps=25)
    assert_close(engine.logits(image_of(checkpoint), x), checkpoint, x)


@pytest.mark.parametrize("name", ["one plain block, mean", "residual blocks without a head"])
def test_time_steps_so_long_that_a_decay_underflows(name: str, engine: Engine) -> None:
    """The engine's table of decays ends at exp(-85.6); near that limit, and far beyond it, states are forgotten."""
    checkpoint = random_checkpoint(CONFIGS[name])
    mixer = "layers.0.mixer."
    weights = dict(checkpoint.weights)
    fastest = np.exp(weights[f"{mixer}A_log"].astype(np.float64)).max(axis=1)  # (D,)
    limit = 7900 * np.log(2) / 64 / fastest  # (D,)
    weights[f"{mixer}dt_proj.bias"] = (limit * np.geomspace(0.2, 50.0, len(limit))).astype(np.float32)
    weights[f"{mixer}dt_proj.bias"][: len(limit) // 2] = limit[: len(limit) // 2].astype(np.float32)
    checkpoint = Checkpoint(checkpoint.config, weights)
    x = float32_sequence(checkpoint.config, steps=40)

    dt = intermediates(checkpoint, x)["layers.0.dt"]  # (T, D)
    assert ((dt.min(axis=0) < limit) & (dt.max(axis=0) > limit)).any()
    assert (dt.min(axis=0) > 5 * limit).any()
    assert_close(engine.logits(image_of(checkpoint), x), checkpoint, x)


def test_a_value_that_is_no_number_is_not_hidden(engine: Engine) -> None:
    for name in ("one plain block, mean", "one plain block, last", "one residual block, mean"):
        checkpoint = random_checkpoint(CONFIGS[name])
        x = float32_sequence(checkpoint.config, steps=5)
        x[4, 1] = np.nan
        assert np.isnan(engine.logits(image_of(checkpoint), x)).all()


# ---- Streaming ----


def test_finishing_in_the_middle_gives_the_logits_so_far_and_changes_nothing(model: Model) -> None:
    checkpoint = random_checkpoint(CONFIGS["two plain blocks with every bias"])
    undisturbed, streaming = model.start(), model.start()
    undisturbed.step(X)
    for step, row in enumerate(X):
        streaming.step(row)
        before = streaming.arena.content.copy()
        logits = streaming.finish()
        assert_close(logits, checkpoint, X[: step + 1])
        np.testing.assert_array_equal(streaming.finish(), logits)
        np.testing.assert_array_equal(streaming.arena.content, before)
    np.testing.assert_array_equal(streaming.finish(), undisturbed.finish())


def test_sequences_in_two_arenas_do_not_meet(model: Model, engine: Engine) -> None:
    alone = [engine.logits(bytes(model.image.content), x) for x in (X, -X)]
    first, second = model.start(), model.start()
    for row in X:
        first.step(row)
        second.step(-row)
    np.testing.assert_array_equal(first.finish(), alone[0])
    np.testing.assert_array_equal(second.finish(), alone[1])
    assert not np.array_equal(alone[0], alone[1])


def test_a_sequence_starts_anew_in_a_used_arena(model: Model) -> None:
    used = model.start()
    used.step(X[::-1])
    again, fresh = model.start(used.arena), model.start()
    again.step(X)
    fresh.step(X)
    np.testing.assert_array_equal(again.finish(), fresh.finish())


def test_a_row_is_taken_before_the_step_returns(model: Model) -> None:
    kept, overwritten = model.start(), model.start()
    kept.step(X)
    for row in X.astype(np.float32):
        overwritten.step(row)
        row[:] = 1e30
    np.testing.assert_array_equal(overwritten.finish(), kept.finish())


# ---- Memory ----


@each_config
def test_nothing_around_the_arena_and_nothing_of_the_image_is_written(config: ModelConfig, engine: Engine) -> None:
    image = image_of(random_checkpoint(config))
    model = engine.load(image)
    sequence = model.start(Guarded(model.arena_bytes))
    sequence.step(float32_sequence(config, steps=9))
    sequence.finish()
    sequence.arena.assert_nothing_around_it_was_touched()
    model.image.assert_nothing_around_it_was_touched()
    assert bytes(model.image.content) == image


def test_a_larger_arena_is_left_alone_behind_its_part(model: Model) -> None:
    arena = Guarded(model.arena_bytes + 100)
    behind = arena.content[model.arena_bytes :].copy()
    model.start(arena).step(X)
    np.testing.assert_array_equal(arena.content[model.arena_bytes :], behind)


@pytest.mark.parametrize(
    ("missing", "misalignment", "expected"),
    [(1, 0, Status.ARENA), (16, 0, Status.ARENA), *((0, shift, Status.ALIGNMENT) for shift in range(1, 16))],
)
def test_an_arena_that_does_not_do_is_refused_untouched(
    missing: int, misalignment: int, expected: Status, model: Model
) -> None:
    arena = Guarded(model.arena_bytes - missing, misalignment)
    before = arena.content.copy()
    assert model.try_start(arena)[0] == expected
    np.testing.assert_array_equal(arena.content, before)


def test_there_is_nothing_to_finish_before_the_first_step(model: Model) -> None:
    sequence = model.start()
    status, logits = sequence.try_finish()
    assert status == Status.EMPTY
    assert not logits.any()
    sequence.step(X[0])
    assert sequence.try_finish()[0] == Status.OK
