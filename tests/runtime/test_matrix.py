"""The matrix kernel's number formats, value by value."""

import ctypes
import struct

import numpy as np
import pytest
from host_engine import Engine, Floats, Guarded

FLOAT32, FLOAT16, INT8 = 0, 1, 2


class Matrix(ctypes.Structure):
    """``mamba_matrix`` of runtime/src/matrix.h."""

    _fields_ = (("data", ctypes.c_void_p), ("columns", ctypes.c_uint32), ("type", ctypes.c_uint32))


def times_one(engine: Engine, data: bytes, matrix_type: int, rows: int) -> Floats:
    """Return the product of a matrix (rows, 1) with 1.0: its values."""
    weights = Guarded(len(data))
    weights.content[:] = np.frombuffer(data, np.uint8)
    out, one = np.zeros(rows, np.float32), ctypes.c_float(1.0)
    matrix = Matrix(weights.address, 1, matrix_type)
    pointer = out.ctypes.data_as(ctypes.c_void_p)
    engine.library.mamba_matrix_vector(
        pointer, ctypes.byref(matrix), ctypes.c_uint32(rows), None, ctypes.byref(one), ctypes.c_int(0)
    )
    return out


def product(engine: Engine, weights: Floats, x: Floats) -> Floats:
    """Return weights (rows, columns) x (columns), with the weights stored as float32; rows is a multiple of eight."""
    rows, columns = weights.shape
    stored = np.ascontiguousarray(weights.reshape(-1, 8, columns).transpose(0, 2, 1))
    out = np.zeros(rows, np.float32)
    matrix = Matrix(stored.ctypes.data, columns, FLOAT32)
    engine.library.mamba_matrix_vector(
        out.ctypes.data_as(ctypes.c_void_p),
        ctypes.byref(matrix),
        ctypes.c_uint32(rows),
        None,
        x.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int(0),
    )
    return out


@pytest.mark.parametrize("columns", [1, 7, 15, 16, 17, 40, 128, 200, 1000])
def test_a_long_sum_loses_little_more_than_a_short_one(columns: int, engine: Engine) -> None:
    """In units of 2^-24, a plain sum of 128 positive products is 2.1 off in the mean, and one of 1000 is 5.7 off."""
    rng = np.random.default_rng(columns)
    weights = rng.uniform(0, 1, (4000, columns)).astype(np.float32)
    x = rng.uniform(0, 1, columns).astype(np.float32)
    right = weights.astype(np.float64) @ x
    error = np.mean(np.abs(product(engine, weights, x) - right) / right) * 2**24
    assert error < 1 + columns / 1500


def test_every_finite_float16_is_exact(engine: Engine) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    found = times_one(engine, finite.tobytes(), FLOAT16, len(finite))
    assert np.count_nonzero(finite) == len(found) - 2
    np.testing.assert_array_equal(found, finite.astype(np.float32))


@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-30])
def test_every_int8_is_its_scale_times_its_value(scale: float, engine: Engine) -> None:
    values = np.arange(-127, 129, dtype=np.int16).astype(np.int8).reshape(-1, 8)  # (groups, 8)
    scales = np.float32(scale) * np.arange(1, 9, dtype=np.float32)
    data = b"".join(struct.pack("<8f", *scales) + group.tobytes() for group in values)
    found = times_one(engine, data, INT8, values.size).reshape(-1, 8)
    np.testing.assert_array_equal(found, values.astype(np.float32) * scales)
