"""Firmware on the host: a process in which sanitizers look for errors while it runs at full speed."""

import signal

from emu.errors import InputError
from emu.firmware import Firmware
from emu.instruments import NOTHING_ON_REQUEST, Instruments
from emu.machines import LostError, Machine, Measurements, Stop
from emu.machines.host.process import HostProcess
from emu.machines.host.reports import read_report
from emu.record import Fault, MemoryCheck, MemoryFinding

_PORT = "emu_harness_socket"
_FIGURES = (
    "flash_bytes",
    "static_ram_bytes",
    "mailbox_bytes",
    "stack_peak_bytes",
    "stack_touched_bytes",
    "heap",
    "ram_peak_bytes",
    "instructions",
    "per_inference",
    "profile",
    "coverage",
    "timeline",
)
_WHY_NOT = "a program for this machine, and with sanitizers in it, says nothing about a board's memory or instructions"
_OTHER_ERRORS = (
    "breakpoint",
    "exception",
    "firmware_error",
    "invalid_instruction",
    "undefined_behaviour",
    "stack_overflow",
)
"""Kinds of sanitizer reports that are not memory errors."""


class HostMachine(Machine):
    """One firmware as a process of this machine (see ``emu.machines.Machine``); one process for each boot.

    Raises InputError if the ELF was not built for this machine and emu's harness.
    """

    def __init__(self, firmware: Firmware, instruments: Instruments = NOTHING_ON_REQUEST):
        if firmware.symbol(_PORT) is None:
            raise InputError(
                f"{firmware.path} is a program for this machine, but none that emu can stop: build it with "
                "`emu build`, or compile runtime/port/host/harness.c into it, with the flags of targets/host.toml"
            )
        self._firmware = firmware
        self._program = firmware.path.read_bytes()
        self._limits = instruments.limits
        self._process: HostProcess | None = None
        self._waiting = False
        self._finding: MemoryFinding | None = None
        self._faults: list[Fault] = []

    def boot(self) -> Stop:
        """Start the program, and run it until it first reaches ``emu_yield``, or ends."""
        self.close()
        self._process = HostProcess(self._program, str(self._firmware.path))
        self._finding, self._faults = None, []
        return self._run()

    def resume(self) -> Stop:
        """Let ``emu_yield`` return; raises RuntimeError if the firmware does not wait there."""
        if not self._waiting:
            raise RuntimeError("the firmware does not wait at emu_yield")
        self._running.go_on()
        return self._run()

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the process's memory; raises ValueError if there is none.

        Raises LostError if the process was ended from outside.
        """
        try:
            return self._running.read(address, size)
        except LostError:
            if self._waiting:
                self._run()  # finds how it ended
            raise

    def write(self, address: int, data: bytes) -> None:
        """Replace memory from ``address`` on; raises ValueError if there is none."""
        self._running.write(address, data)

    def measure(self) -> Measurements:
        """Return the sanitizers' findings and the output; there are no figures."""
        output = self._running.output
        findings = [self._finding] if self._finding is not None and self._finding.kind not in _OTHER_ERRORS else []
        return Measurements(
            faults=tuple(self._faults),
            memory_check=MemoryCheck(allocator="sanitizer", findings=findings),
            output=output.text,
            output_cut_bytes=output.cut_bytes,
            not_measured=dict.fromkeys(_FIGURES, _WHY_NOT)
            | {"uninitialised values": "AddressSanitizer does not look for them"},
        )

    def close(self) -> None:
        """End the process; calling it again does nothing."""
        self._waiting = False
        if self._process is not None:
            self._process.close()

    @property
    def process_id(self) -> int:
        """The id of the firmware's process."""
        return self._running.process_id

    @property
    def _running(self) -> HostProcess:
        if self._process is None:
            raise RuntimeError("boot the machine first")
        return self._process

    def _run(self) -> Stop:
        process = self._running
        time_limit = process.time_limit(self._limits.seconds)
        try:
            self._waiting = process.wait(time_limit)
        except TimeoutError:
            self._waiting = False
            return self._time_is_up(time_limit.words)
        if self._waiting:
            return Stop("yield", None)
        self._finding = read_report(process.said, self._firmware)
        if self._finding is not None:
            return self._stop_at(_fault(self._finding))
        process.output.write(process.said.encode())  # no sanitizer has reported, so the firmware printed this
        code = process.exit_code
        assert code is not None, "it has ended"
        if code < 0:
            detail = f"the program was ended by {_signal_name(-code)}, and not by itself"
            return self._stop_at(Fault(kind="signal", detail=detail))
        return Stop("exit", None, exit_status=code)

    def _time_is_up(self, limit: str) -> Stop:
        """End the process with a signal, so that the sanitizer reports the current place."""
        self._running.interrupt()
        place = read_report(self._running.said, self._firmware)
        known = place.model_dump(include={"function", "file", "line", "pc", "backtrace"}) if place else {}
        detail = f"the run has not ended after {limit}"
        return self._stop_at(Fault(**known, kind="time_limit", detail=detail))

    def _stop_at(self, fault: Fault) -> Stop:
        self._faults.append(fault)
        return Stop("fault", None, fault=fault)


def _fault(finding: MemoryFinding) -> Fault:
    """Return the fault that ended the run."""
    fault = Fault.model_validate(finding.model_dump(include=set(Fault.model_fields)))
    if finding.memory is not None:
        fault.detail += f": {finding.memory}"
    return fault


def _signal_name(number: int) -> str:
    """Return a signal's name; most real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
