"""Each core's own kernels, run in an emulator, against those in C on the host and against float64.

The inputs are random, with every shape that a kernel treats in its own way, and with numbers at the edge of the floats.
"""

import ctypes
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from host_engine import RUNTIME, TESTS, WARNINGS, Floats
from numpy.typing import ArrayLike, NDArray

from emu.build import COMPILER_FLAGS
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.run.emulators import open_machine
from emu.targets import find_target
from emu.toolchains import find_toolchain

GROUP, STEPS_PER_OCTAVE, STEPS_LIMIT = 8, 64, 7900
ROWS, SILU, SOFTPLUS, CONVOLVE, SCAN = range(5)
TIERS = {"cubic": 0.06, "quartic": 0.35, "eighth": 1.05, "table": 85.0, "long": 200.0}
"""The largest exponent that each tier of runtime/src/kernels/tiers.h is tested with."""
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1e37, -1e37, 2.0**-126]


class Kernels(Protocol):
    """Somewhere that the kernels run: carry out a request, and return the operands after it."""

    def __call__(self, request: Sequence[int], *operands: Floats) -> Floats: ...


def build(target: str, directory: Path, sources: Path = RUNTIME / "src") -> Path:
    """Return the ELF of kernels.c for a board, with the board's port."""
    board = find_target(target).board
    elf = directory / f"{board.name}.elf"
    port = sorted((RUNTIME / "port" / board.architecture).glob("*.[cS]"))
    script = board.build.linker_script
    arguments = [*board.build.flags, *COMPILER_FLAGS, f"-I{sources}", f"-I{RUNTIME / 'port'}", str(TESTS / "kernels.c")]
    arguments += [str(sources / "exp_table.c"), *map(str, port), "-nostdlib", "-Wl,--no-warn-rwx-segments"]
    arguments += [f"-T{script}", "-lgcc", "-o", str(elf)]
    find_toolchain(board.build.toolchain).run(arguments, directory)
    return elf


@contextmanager
def on_board(target: str, elf: Path) -> Iterator[Kernels]:
    """Run the kernels of ``elf`` in the target's emulator."""
    found = find_target(target)
    firmware = Firmware.load(elf, found)
    places = [firmware.symbol(name) for name in ("request", "operands")]
    assert all(places)
    request_at, operands_at = (place.address for place in places if place)
    with open_machine(firmware, found, Instruments()) as machine:
        assert machine.boot().reason == "yield"

        def carry_out(request: Sequence[int], *operands: Floats) -> Floats:
            floats = np.concatenate([part.ravel() for part in operands]).astype(np.float32)
            machine.write(request_at, np.array(request, np.uint32).tobytes())
            machine.write(operands_at, floats.tobytes())
            assert machine.resume().reason == "yield"
            return np.frombuffer(machine.read(operands_at, floats.nbytes), np.float32)

        yield carry_out


@pytest.fixture(scope="module", params=["stm32h7-unicorn", "esp32s3-qemu"])
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    """The kernels of a core of its own."""
    try:
        elf = build(request.param, tmp_path_factory.mktemp("core"))
        with on_board(request.param, elf) as kernels:
            yield kernels
    except MissingToolError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The kernels in C, compiled for this machine."""
    library_path = tmp_path_factory.mktemp("portable") / "kernels.so"
    sources = [str(TESTS / "kernels.c"), str(RUNTIME / "src" / "exp_table.c")]
    flags = ["-std=c99", "-O2", *WARNINGS, "-DHOST", "-shared", "-fPIC", f"-I{RUNTIME / 'src'}"]
    find_toolchain("host").run([*flags, *sources, "-o", str(library_path), "-lm"], library_path.parent)
    library = ctypes.CDLL(str(library_path))
    words = (ctypes.c_uint32 * 4).in_dll(library, "request")
    room = np.ctypeslib.as_array((ctypes.c_float * 8192).in_dll(library, "operands"))

    def carry_out(request: Sequence[int], *operands: Floats) -> Floats:
        floats = np.concatenate([part.ravel() for part in operands]).astype(np.float32)
        words[: len(request)] = list(request)
        room[: len(floats)] = floats
        library.carry_out()
        return room[: len(floats)].copy()

    return carry_out


def assert_close(got: Floats, want: Floats, scale: NDArray[np.float64], units: float) -> None:
    """Assert that values differ by at most ``units`` times 2^-24 of their scale; the rest are equal."""
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want))
    error = np.abs(got[finite].astype(np.float64) - want[finite])
    assert np.all(error <= units * 2.0**-24 * scale[finite] + 2.0**-148)


def normal(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(size=shape).astype(np.float32)


def check_rows(
    core: Kernels, portable: Kernels, columns: int, group: int, bias: bool, edge: float | None = None
) -> None:
    rng = np.random.default_rng([columns, group, bias])
    operands = [np.zeros(GROUP, np.float32), *([normal(rng, GROUP)] if bias else [])]
    x, weights = normal(rng, columns), normal(rng, columns, group)
    if edge is not None:
        x[columns // 2] = weights[columns - 1, 1] = edge
    request = [ROWS, columns, group, int(bias)]
    got, want = (run(request, *operands, x, weights)[:group] for run in (core, portable))
    with np.errstate(all="ignore"):
        scale = np.abs(weights.astype(np.float64)).T @ np.abs(x) + (np.abs(operands[1][:group]) if bias else 0)
    assert_close(got, want, scale, 8)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 31, 32, 33, 40, 64, 127, 128, 200])
@pytest.mark.parametrize("group", [4, 8])
@pytest.mark.parametrize("bias", [False, True], ids=["without bias", "with bias"])
def test_rows(columns: int, group: int, bias: bool, core: Kernels, portable: Kernels) -> None:
    check_rows(core, portable, columns, group, bias)


@pytest.mark.parametrize("edge", EDGES)
def test_rows_at_the_edges(edge: float, core: Kernels, portable: Kernels) -> None:
    for columns in (3, 16, 21):
        check_rows(core, portable, columns, 8, True, edge)
        check_rows(core, portable, columns, 4, True, edge)


def right_silu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / (1 + np.exp(-x))


def right_softplus(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@pytest.mark.parametrize("kernel", [SILU, SOFTPLUS], ids=["silu", "softplus"])
def test_activations_are_at_most_4_ulp_off(kernel: int, core: Kernels) -> None:
    """Floats of all sizes, spread over the bits: 200,000 of those from -86 to 88."""
    bits = np.random.default_rng(kernel).integers(0, 2**32, 250_000, np.uint32)
    x = bits.view(np.float32)
    x = x[(x >= -86) & (x <= 88)]
    x = np.concatenate([x, np.linspace(-86, 88, 100_000, dtype=np.float32)])
    x = x[: len(x) // 8192 * 8192].reshape(-1, 8192)
    got = np.array([core([kernel, 8192], part) for part in x]).astype(np.float64)
    want = (right_silu if kernel == SILU else right_softplus)(x.astype(np.float64))
    last_place = np.maximum(2.0 ** (np.frexp(want)[1] - 24.0), 2.0**-149)
    assert x.size > 200_000
    assert np.max(np.abs(got - want) / last_place) <= 4


@pytest.mark.parametrize("kernel", [SILU, SOFTPLUS], ids=["silu", "softplus"])
@pytest.mark.parametrize("count", range(1, 9))
def test_activations_of_any_number_of_values(kernel: int, count: int, core: Kernels, portable: Kernels) -> None:
    x = normal(np.random.default_rng(count), 12) * 4
    got, want = (run([kernel, count], x) for run in (core, portable))
    assert_close(got[:count], want[:count], np.abs(want[:count]).astype(np.float64), 8)
    np.testing.assert_array_equal(got[(count + 3) // 4 * 4 :], x[(count + 3) // 4 * 4 :])  # no more is overwritten


@pytest.mark.parametrize("kernel", [SILU, SOFTPLUS], ids=["silu", "softplus"])
def test_activations_at_the_edges(kernel: int, core: Kernels, portable: Kernels) -> None:
    x = np.array([*EDGES, 3e38, -3e38, -87.0, 87.0, -88.0, 88.0, -1000.0, 1000.0], np.float32)
    got, want = (run([kernel, len(x)], x) for run in (core, portable))
    assert_close(got, want, np.abs(want).astype(np.float64), 8)


def check_convolution(core: Kernels, portable: Kernels, width: int, count: int, edge: float | None = None) -> None:
    rng = np.random.default_rng([width, count])
    x, bias, weights = normal(rng, GROUP), normal(rng, GROUP), normal(rng, GROUP, width)
    tail = normal(rng, count * (width - 1) + 4)
    if edge is not None:
        x[0] = bias[1] = weights[count - 1, 0] = tail[-5] = edge
    operands = [np.zeros(GROUP, np.float32), x, bias, weights, tail]
    got, want = (run([CONVOLVE, width, count], *operands) for run in (core, portable))
    with np.errstate(all="ignore"):
        scale = np.abs(bias) + np.sum(np.abs(weights.astype(np.float64)), axis=1) * 4
    assert_close(got[:count], want[:count], scale[:count], 8)
    np.testing.assert_array_equal(got[count:], want[count:])  # the tail moved on, and nothing else changed


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("count", range(1, 9))
def test_convolution(width: int, count: int, core: Kernels, portable: Kernels) -> None:
    check_convolution(core, portable, width, count)


@pytest.mark.parametrize("edge", EDGES)
def test_convolution_at_the_edges(edge: float, core: Kernels, portable: Kernels) -> None:
    check_convolution(core, portable, 4, 8, edge)


def check_scan(
    core: Kernels,
    portable: Kernels,
    states: int,
    count: int,
    exponents: ArrayLike,
    edges: dict[str, float] | None = None,
) -> None:
    """Compare a step of eight channels, whose largest exponents are given, with C on the host and with float64."""
    rng = np.random.default_rng([states, count])
    parts = {
        "u": normal(rng, GROUP),
        "dt": rng.uniform(0.01, 0.2, GROUP).astype(np.float32),
        "gate": normal(rng, GROUP),
        "limit": np.zeros(GROUP, np.float32),
        "skip": normal(rng, GROUP),
        "B": normal(rng, states),
        "C": normal(rng, states),
        "rate": -rng.uniform(0, 1, (GROUP, states)).astype(np.float32),
        "state": normal(rng, GROUP, states),
    }
    unit = np.log(2) / STEPS_PER_OCTAVE
    fastest = np.max(np.abs(parts["rate"]), axis=1) * parts["dt"] * unit
    parts["rate"] *= (np.asarray(exponents) / fastest).astype(np.float32)[:, None]
    parts["limit"] = (STEPS_LIMIT / np.max(np.abs(parts["rate"]), axis=1)).astype(np.float32)
    for name, value in (edges or {}).items():
        parts[name].reshape(-1)[:: max(1, parts[name].size // 3)] = value
    got, want = (run([SCAN, states, count], *parts.values()) for run in (core, portable))
    with np.errstate(all="ignore"):
        exact = {name: part.astype(np.float64) for name, part in parts.items()}
        dt_u = (exact["dt"] * exact["u"])[:, None]
        decay = np.exp(np.maximum(exact["dt"][:, None] * exact["rate"] * unit, -STEPS_LIMIT * unit))
        after = decay * exact["state"] + dt_u * exact["B"]
        size = np.abs(exact["state"]) + np.abs(dt_u * exact["B"])
        y_size = (np.abs(after * exact["C"]).sum(axis=1) + np.abs(exact["skip"] * exact["u"])) * np.abs(exact["gate"])
        u = ((after * exact["C"]).sum(axis=1) + exact["skip"] * exact["u"]) * exact["gate"]
    states_at = len(got) - GROUP * states
    changed = np.s_[states_at : states_at + count * states]
    assert_close(got[changed], want[changed], size[:count].ravel(), 16)
    assert_close(got[:count], want[:count], y_size[:count], 32)
    np.testing.assert_array_equal(got[count:states_at], want[count:states_at])
    if edges is None:
        assert_close(got[changed], after[:count].ravel().astype(np.float32), size[:count].ravel(), 16)
        assert_close(got[:count], u[:count].astype(np.float32), y_size[:count], 32)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("states", [4, 8, 12, 16, 32, 64])
def test_scan_in_each_tier(tier: str, states: int, core: Kernels, portable: Kernels) -> None:
    largest = TIERS[tier]
    check_scan(core, portable, states, 8, np.linspace(0.7, 1, GROUP) * largest)


@pytest.mark.parametrize("count", range(1, 9))
def test_scan_of_any_number_of_channels_in_different_tiers(count: int, core: Kernels, portable: Kernels) -> None:
    check_scan(core, portable, 16, count, [0.01, 50.0, 0.2, 150.0, 1.0, 0.05, 0.3, 3.0])


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("part", ["u", "gate", "B", "C", "state", "skip"])
def test_scan_at_the_edges(edge: float, part: str, core: Kernels, portable: Kernels) -> None:
    check_scan(core, portable, 16, 8, [0.01, 50.0, 0.2, 150.0, 1.0, 0.05, 0.3, 3.0], {part: edge})


@pytest.mark.parametrize("dt", [np.nan, np.inf, 0.0, 1e-40, 3e38])
def test_scan_of_a_time_step_at_the_edges(dt: float, core: Kernels, portable: Kernels) -> None:
    check_scan(core, portable, 16, 8, [0.01, 50.0, 0.2, 150.0, 1.0, 0.05, 0.3, 3.0], {"dt": dt})


@pytest.mark.parametrize(
    ("file", "right", "wrong", "check"),
    [
        ("rows.h", "ALL(s7))", "ALL(s6))", lambda core, c: check_rows(core, c, 40, 4, True)),
        ("rows.h", "LOAD(out, s8-s15)", "LOAD(out, s16-s23)", lambda core, c: check_rows(core, c, 40, 8, True)),
        ("activation.h", "ONE(vfma, sum, s14, s10)", "", lambda core, c: check_convolution(core, c, 4, 8)),
        ("scan.h", "CUBIC_Q GROW)", "CUBIC_Q)", lambda core, c: check_scan(core, c, 16, 8, [0.05] * 8)),
        ("scan.h", "SQUARED(RATE, SERIES)", "", lambda core, c: check_scan(core, c, 16, 8, [1.0] * 8)),
        ("scan.h", "BOUND(s3)", "", lambda core, c: check_scan(core, c, 16, 8, [200.0] * 8)),
    ],
)
def test_a_wrong_instruction_is_found(
    file: str, right: str, wrong: str, check: Callable[[Kernels, Kernels], None], portable: Kernels, tmp_path: Path
) -> None:
    shutil.copytree(RUNTIME / "src", tmp_path / "src")
    path = tmp_path / "src" / "kernels" / "armv7em" / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    elf = build("stm32h7-unicorn", tmp_path, tmp_path / "src")
    with on_board("stm32h7-unicorn", elf) as broken, pytest.raises(AssertionError):
        check(broken, portable)
