"""The harness's end of the mailbox: inputs into the firmware's RAM, a command, outputs back.

``runtime/port/mailbox.h`` describes the protocol. The protocol needs only memory and ``resume`` of a machine, so it
works in every emulator and over a debug probe.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from emu.errors import InputError
from emu.firmware import Extent
from emu.machines import Machine, Stop
from emu.targets import Region

if TYPE_CHECKING:  # firmware without inputs needs no numpy
    import numpy as np
    from numpy.typing import NDArray

SYMBOL = "emu_mailbox"

MAGIC = 0x584F424D
_VERSION = 1
_LAYOUT = struct.Struct("<12I")
COMMAND_OFFSET, STATUS_OFFSET, INPUT_ADDRESS_OFFSET, OUTPUT_ADDRESS_OFFSET = 8, 16, 28, 36
_START, _STEP, _FINISH = 1, 2, 4


@dataclass(frozen=True)
class Reply:
    """The answer to a command: the stop of its last part, and the instructions of all parts."""

    stop: Stop
    status: int
    """The firmware's own error code; 0 is success. Only meaningful if the firmware yielded."""
    instructions: int | None

    @property
    def ok(self) -> bool:
        """Whether the firmware carried the command out."""
        return self.stop.reason == "yield" and self.status == 0


@dataclass(frozen=True)
class Mailbox:
    """The mailbox of firmware that has reached its first ``emu_yield``."""

    machine: Machine
    address: int
    status: int
    """The firmware's report on its own start: 0, or its own error code."""
    columns: int
    """F: floats in an input row."""
    outputs: int
    """C: floats of output."""
    input_address: int
    input_rows: int
    """Rows that fit into the buffer at once."""
    output_address: int
    trace_address: int
    trace_floats: int

    @classmethod
    def open(cls, machine: Machine, address: int, ram: Sequence[Region | Extent]) -> Self:
        """Read the mailbox at ``address`` of firmware with ``ram``.

        Raises InputError if this version does not understand the mailbox, or if a buffer is not in RAM.
        """
        if not _in_ram(ram, address, _LAYOUT.size):
            raise InputError(f"{SYMBOL} at {address:#010x} is not in RAM")
        fields = _LAYOUT.unpack(machine.read(address, _LAYOUT.size))
        magic, version, _, _, status, columns, outputs, input_address, input_floats, output_address, *trace = fields
        if magic != MAGIC or version != _VERSION:
            raise InputError(
                f"{SYMBOL} at {address:#x} holds magic {magic:#x} version {version}, "
                f"expected {MAGIC:#x} version {_VERSION}: build it with this version's runtime/port/mailbox.h"
            )
        rows = input_floats // columns if columns else 0
        if status != 0:  # the firmware refused to start: fields that it left empty do not matter
            return cls(machine, address, status, columns, outputs, input_address, rows, output_address, *trace)
        if rows == 0:
            raise InputError(
                f"{SYMBOL}: input_floats is {input_floats}, but a row has {columns} columns; "
                "set both before the first emu_yield()"
            )
        if outputs == 0:
            raise InputError(f"{SYMBOL}: outputs is 0; set it before the first emu_yield()")
        buffers = {"input": (input_address, input_floats), "output": (output_address, outputs), "trace": tuple(trace)}
        for name, (start, floats) in buffers.items():
            if floats and not _in_ram(ram, start, 4 * floats):
                raise InputError(f"{SYMBOL}: its {name} buffer, {floats} floats at {start:#010x}, is not in RAM")
        return cls(machine, address, status, columns, outputs, input_address, rows, output_address, *trace)

    def infer(self, x: NDArray[np.float32], each_step: bool = False) -> tuple[Reply, NDArray[np.float32]]:
        """Run one sequence x (T, F) and return the reply and the outputs (C); they are NaN unless the reply is ok.

        With ``each_step`` the rows go through the mailbox one at a time, and the outputs are those of each step (T, C).
        The firmware keeps the outputs of one step only. From the first step without an answer on, the outputs are NaN.
        """
        import numpy as np

        rows = 1 if each_step else self.input_rows
        instructions = 0
        reply = None
        outputs = np.full((len(x) if each_step else 1, self.outputs), np.nan, np.float32)
        for first in range(0, len(x), rows):
            last = first + rows >= len(x)
            command = (_START if first == 0 else 0) | _STEP | (_FINISH if last or each_step else 0)
            reply = self._command(command, x[first : first + rows])
            if reply.instructions is not None:
                instructions += reply.instructions
            if not reply.ok:
                break
            if last or each_step:
                answer = self.machine.read_output(self.output_address, 4 * self.outputs)
                outputs[first if each_step else 0] = np.frombuffer(answer, "<f4")
        assert reply is not None, "a sequence has at least one row"
        counted = None if reply.instructions is None else instructions
        return Reply(reply.stop, reply.status, counted), outputs if each_step else outputs[0]

    def step(self, row: NDArray[np.float32], first: bool, finish: bool) -> tuple[Reply, NDArray[np.float32]]:
        """Run one row (F) of a sequence and return the reply and the traced tensors of that step (trace_floats).

        With ``finish`` the firmware also writes its outputs.
        """
        command = (_START if first else 0) | _STEP | (_FINISH if finish else 0)
        reply = self._command(command, row[None])
        return reply, self._floats(self.trace_address, self.trace_floats)

    def read_outputs(self) -> NDArray[np.float32]:
        """Return the outputs (C) that the firmware wrote last."""
        return self._floats(self.output_address, self.outputs)

    def _floats(self, address: int, count: int) -> NDArray[np.float32]:
        import numpy as np

        return np.frombuffer(self.machine.read(address, 4 * count), "<f4")

    def _command(self, command: int, rows: NDArray[np.float32]) -> Reply:
        self.machine.write(self.input_address, rows.astype("<f4").tobytes())
        self.machine.write(self.address + COMMAND_OFFSET, struct.pack("<II", command, len(rows)))
        stop = self.machine.resume()
        if stop.reason != "yield":  # a lost emulator has no memory any more
            return Reply(stop, 0, stop.instructions)
        (status,) = struct.unpack("<I", self.machine.read(self.address + STATUS_OFFSET, 4))
        return Reply(stop, status, stop.instructions)


def _in_ram(ram: Sequence[Region | Extent], start: int, size: int) -> bool:
    end = start + size
    return any(region.start <= start and end <= region.end for region in ram)
