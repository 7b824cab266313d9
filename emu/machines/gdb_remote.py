"""The gdb remote protocol, as far as a machine needs it: run, stop, breakpoints, registers and memory."""

import select
import socket

from emu.architectures.core import CoreError

_INTERRUPT = b"\x03"


class GdbError(CoreError):
    """The stub is gone, or has answered with an error; the text names the command."""


class GdbRemote:
    """A connection to a gdb stub; every answer must come within ``seconds``."""

    def __init__(self, connection: socket.socket, seconds: float):
        self._socket = connection
        self._seconds = seconds
        self._received = bytearray()
        connection.settimeout(seconds)
        # QEMU's stub reads single registers only after a client has asked for their description.
        self._ask("qSupported:xmlRegisters=arm")
        self._ask("qXfer:features:read:target.xml:0,ffb")

    def read_register(self, number: int) -> int:
        """Return a 32-bit register; raises GdbError if no register has this number."""
        return int.from_bytes(self._bytes(f"p{number:x}"), "little")

    def write_register(self, number: int, value: int) -> None:
        """Give a 32-bit register a value."""
        self._expect_ok(f"P{number:x}={value.to_bytes(4, 'little').hex()}")

    def read_registers(self) -> bytes:
        """Return the bytes of all registers, one after the other."""
        return self._bytes("g")

    def write_first_registers(self, values: bytes) -> None:
        """Set the first registers of ``read_registers`` to ``values``."""
        self._expect_ok(f"G{values.hex()}")

    def read_memory(self, address: int, size: int) -> bytes:
        """Return memory, or registers of the core that are mapped there; raises GdbError if there is neither."""
        return self._bytes(f"m{address:x},{size:x}")

    def set_breakpoint(self, address: int) -> None:
        """Stop the machine whenever it reaches ``address``."""
        self._expect_ok(f"Z1,{address:x},2")

    def clear_breakpoint(self, address: int) -> None:
        """No longer stop the machine at ``address``."""
        self._expect_ok(f"z1,{address:x},2")

    def resume(self) -> None:
        """Let the machine run; ``wait`` tells when it stops."""
        self._send("c")

    def step(self) -> None:
        """Run one instruction, even at a breakpoint."""
        self._ask("s")

    def interrupt(self) -> None:
        """Ask the machine to stop; ``wait`` tells when it has stopped."""
        self._write(_INTERRUPT)

    def wait(self, seconds: float) -> bool:
        """Return whether the machine has stopped within ``seconds``; raises GdbError if it has ended."""
        while True:
            packet = self._packet_received()
            if packet is not None:
                if packet[:1] not in (b"T", b"S"):
                    raise GdbError(f"the machine has ended ({packet.decode(errors='replace')})")
                return True
            if not select.select([self._socket], [], [], seconds)[0]:
                return False
            self._receive()

    # ---- packets -----------------------------------------------------------------------------------------------------

    def _ask(self, command: str) -> bytes:
        self._send(command)
        while (packet := self._packet_received()) is None:
            self._receive()
        return packet

    def _bytes(self, command: str) -> bytes:
        answer = self._ask(command)
        if not answer or answer[:1] == b"E":
            raise GdbError(f"the stub answers {command} with {answer.decode(errors='replace') or 'nothing'}")
        return bytes.fromhex(answer.decode())

    def _expect_ok(self, command: str) -> None:
        answer = self._ask(command)
        if answer != b"OK":
            raise GdbError(f"the stub answers {command} with {answer.decode(errors='replace') or 'nothing'}")

    def _send(self, command: str) -> None:
        data = command.encode()
        self._write(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise GdbError(f"the stub takes nothing any more: {error}") from error

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise GdbError(f"the stub does not answer: {error}") from error
        if not data:
            raise GdbError("the stub has closed the connection")
        self._received += data

    def _packet_received(self) -> bytes | None:
        """Take a packet from the received bytes, and acknowledge it; None if the packet is not complete."""
        start = self._received.find(b"$")
        end = self._received.find(b"#", start)
        if start < 0 or end < 0 or len(self._received) < end + 3:
            return None
        packet = bytes(self._received[start + 1 : end])
        del self._received[: end + 3]
        self._write(b"+")
        return packet
