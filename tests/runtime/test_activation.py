"""exp and log1p against the long double C library, over tens of millions of floats; the table against decimals."""

import ctypes
import platform
import struct
import subprocess
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from host_engine import Engine, compile_program

STEPS_PER_OCTAVE = 64


def has_fused_multiply_add() -> bool:
    """Whether this machine can round as the Cortex-M7 does; other than x86, every 64-bit CPU can."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    return " fma " in Path("/proc/cpuinfo").read_text()


@pytest.fixture(scope="module", params=["every operation rounded", "fused multiply-add"])
def sweep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("this machine's long double is no more than a double: there is nothing to compare with")
    flags = ["-ffp-contract=off"]
    if request.param == "fused multiply-add":
        if not has_fused_multiply_add():
            pytest.skip("this CPU has no fused multiply-add")
        flags = ["-ffp-contract=fast", *(["-mfma"] if platform.machine() in ("x86_64", "AMD64") else [])]
    directory = tmp_path_factory.mktemp("sweep")
    return compile_program(directory / "activation_sweep", ["activation_sweep.c"], "-fno-math-errno", *flags)


# The strides are primes, so that the fractions swept in one binade are not those of the next.
@pytest.mark.parametrize(
    ("function", "stride", "at_least", "limit"),
    [
        ("exp", 97, 20_000_000, 2.0),  # of 2.2e9 floats in [-87, 88]
        ("log1p", 53, 20_000_000, 2.0),  # of 1.1e9 floats in [0, 1]
        ("silu", 397, 5_000_000, 4.0),  # exp's error, and those of a sum and a quotient
        ("softplus", 397, 5_000_000, 4.0),  # log1p's error at exp's
        # Relative to 2^-24, beyond what rounding dt * A costs: the table's entry, the parabola and the last sum round.
        ("decay", 31, 5_000_000, 2.0),
    ],
)
def test_the_worst_error_in_units_in_the_last_place(
    sweep: Path, function: str, stride: int, at_least: int, limit: float
) -> None:
    outcome = subprocess.run([sweep, function, str(stride)], capture_output=True, text=True, check=True)
    values, worst, where = outcome.stdout.split()
    assert int(values) >= at_least
    assert 0.5 <= float(worst) <= limit, f"{worst} ulp at {where}"  # less than half is more than a float can be


def test_the_table_is_right_to_the_last_bit(engine: Engine) -> None:
    table = (ctypes.c_uint32 * STEPS_PER_OCTAVE).in_dll(engine.library, "mamba_exp_table")
    with localcontext() as context:
        context.prec = 50
        for index, entry in enumerate(table):
            power = Decimal(2) ** (Decimal(index) / STEPS_PER_OCTAVE)  # in [1, 2): 23 fraction bits
            bits = (127 << 23) + round((power - 1) * 2**23)
            assert (entry + (index << 17)) % 2**32 == bits
            assert struct.unpack("<f", struct.pack("<I", bits))[0] == pytest.approx(float(power), rel=2**-24)
