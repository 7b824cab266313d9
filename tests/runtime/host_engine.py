"""The C engine built for this machine: as a library that numpy drives, and as programs under sanitizers."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emu.resources import resource
from emu.toolchains import find_toolchain

RUNTIME = resource("runtime")
SOURCES = sorted((RUNTIME / "src").glob("*.c"))
TESTS = Path(__file__).parent
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
ALIGNMENT = 16

Floats = NDArray[np.float32]


class Status(IntEnum):
    """``mamba_status`` of runtime/include/mamba.h."""

    OK = 0
    ALIGNMENT = 1
    TRUNCATED = 2
    MAGIC = 3
    VERSION = 4
    CHECKSUM = 5
    DIMENSION = 6
    TENSOR = 7
    ARENA = 8
    EMPTY = 9
    OPERATION = 10


def compile_program(output: Path, programs: Sequence[str], *flags: str, engine: Sequence[Path] = SOURCES) -> Path:
    """Link C files of this directory with the engine; ``flags`` come last, so that they win."""
    sources = [*(str(TESTS / program) for program in programs), *map(str, engine)]
    includes = [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}", f"-I{TESTS}"]
    arguments = ["-std=c99", "-O2", *WARNINGS, *includes, *sources, *flags, "-o", str(output), "-lm"]
    find_toolchain("host").run(arguments, output.parent)
    return output


class Guarded:
    """Memory with guard bytes around it, ``misalignment`` bytes away from the engine's alignment; full of rubbish."""

    def __init__(self, size: int, misalignment: int = 0) -> None:
        self._block = np.random.default_rng(size).integers(0, 256, size + 64 + ALIGNMENT, np.uint8)
        start = 32 + (misalignment - self._block.ctypes.data) % ALIGNMENT
        self.content = self._block[start : start + size]
        self.address = ctypes.c_void_p(self.content.ctypes.data)
        self._guards = self._block[:start], self._block[start + size :]
        self._before = [guard.copy() for guard in self._guards]

    def assert_nothing_around_it_was_touched(self) -> None:
        for guard, before in zip(self._guards, self._before, strict=True):
            np.testing.assert_array_equal(guard, before)


class _Model(ctypes.Structure):
    """``mamba_model``."""

    _fields_ = (("header", ctypes.c_void_p), ("n_features", ctypes.c_uint32), ("n_outputs", ctypes.c_uint32))


class _Sequence(ctypes.Structure):
    """``mamba_sequence``."""

    _fields_ = (("model", ctypes.c_void_p), ("buffers", ctypes.c_void_p * 9), ("steps", ctypes.c_uint32))


class Engine:
    """The engine as a shared library."""

    def __init__(self, directory: Path) -> None:
        path = compile_program(directory / "libmamba.so", [], "-shared", "-fPIC")
        self.library = ctypes.CDLL(str(path))
        self.library.mamba_arena_bytes.restype = ctypes.c_size_t
        self.library.mamba_step.restype = None

    def open(self, image: bytes, misalignment: int = 0) -> tuple[Status, "Model"]:
        memory, fields = Guarded(len(image), misalignment), _Model()
        memory.content[:] = np.frombuffer(image, np.uint8)
        status = self.library.mamba_open(ctypes.byref(fields), memory.address, ctypes.c_size_t(len(image)))
        return Status(status), Model(self.library, memory, fields)

    def load(self, image: bytes) -> "Model":
        status, model = self.open(image)
        assert status == Status.OK
        return model

    def logits(self, image: bytes, x: NDArray[np.floating]) -> Floats:
        """x (T, F) -> logits (C,)."""
        sequence = self.load(image).start()
        sequence.step(x)
        return sequence.finish()


@dataclass(frozen=True, eq=False)
class Model:
    """An open image."""

    library: ctypes.CDLL
    image: Guarded
    fields: _Model

    @property
    def arena_bytes(self) -> int:
        return self.library.mamba_arena_bytes(ctypes.byref(self.fields))

    def try_start(self, arena: Guarded) -> tuple[Status, "RunningSequence"]:
        fields, size = _Sequence(), ctypes.c_size_t(len(arena.content))
        status = self.library.mamba_start(ctypes.byref(fields), ctypes.byref(self.fields), arena.address, size)
        return Status(status), RunningSequence(self, arena, fields)

    def start(self, arena: Guarded | None = None) -> "RunningSequence":
        status, sequence = self.try_start(arena or Guarded(self.arena_bytes))
        assert status == Status.OK
        return sequence


@dataclass(frozen=True, eq=False)
class RunningSequence:
    """A sequence in progress in its arena."""

    model: Model
    arena: Guarded
    fields: _Sequence

    def step(self, x: NDArray[np.floating]) -> None:
        """Take one row x (F,), or every row of x (T, F)."""
        for row in np.ascontiguousarray(np.atleast_2d(x), np.float32):
            assert len(row) == self.model.fields.n_features
            self.model.library.mamba_step(ctypes.byref(self.fields), row.ctypes.data_as(ctypes.c_void_p))

    def try_finish(self) -> tuple[Status, Floats]:
        logits = np.zeros(self.model.fields.n_outputs, np.float32)
        status = self.model.library.mamba_finish(ctypes.byref(self.fields), logits.ctypes.data_as(ctypes.c_void_p))
        return Status(status), logits

    def finish(self) -> Floats:
        status, logits = self.try_finish()
        assert status == Status.OK
        return logits
