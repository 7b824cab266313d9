"""The language of Renode's Monitor: commands, and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emu.machines.renode.robot_server import RenodeError, RobotServer

CPU = "sysbus.cpu"
BLOCK_SIZE = f"{CPU} MaximumBlockSize"
"""The most instructions of a block; with 1, a hook at the beginning of blocks runs before every instruction."""
_SEPARATOR = "; "


def path_argument(path: Path) -> str:
    """Return a path in the syntax of a command."""
    return "@" + str(path).replace(" ", "\\ ")


def hook(address: int) -> str:
    """Return the command that halts the core before the instruction at ``address``.

    ``RenodeMachine`` checks at every stop that the core has halted at such an instruction.
    """
    return f'{CPU} AddHook {address:#x} "self.IsHalted = True"'


def load(path: Path, address: int) -> str:
    """Return the command that writes a file to memory."""
    return f"sysbus LoadBinary {path_argument(path)} {address:#x}"


def dump(address: int, size: int, path: Path) -> str:
    """Return the command that writes memory to a file."""
    return f"dump_file {address:#x} {size:#x} {path_argument(path)}"


def run_for(virtual_microseconds: int) -> str:
    """Return the command that runs the machine for some virtual time, and then answers."""
    return f'emulation RunFor "{virtual_microseconds // 1_000_000}.{virtual_microseconds % 1_000_000:06}"'


@dataclass(frozen=True)
class State:
    """A stopped machine."""

    halted: bool
    pc: int
    instructions: int
    """Instructions of the firmware, retired since the machine was created."""
    unexpected_reads: int
    unexpected_writes: int
    registers: dict[str, int]
    """The registers' values by the core's names."""

    @property
    def unexpected(self) -> int:
        """Accesses to addresses where the platform has nothing."""
        return self.unexpected_reads + self.unexpected_writes


class Monitor:
    """The Monitor of one Renode, which holds one machine with the registers ``registers``, by name and number.

    ``counter`` is the address of the word that counts instructions that are not the firmware's; None if there are none.
    """

    def __init__(self, robot: RobotServer, registers: Mapping[str, int], counter: int | None = None):
        self._robot = robot
        self._registers = registers
        self._counter = counter
        self._added = 0

    def run(self, commands: list[str], seconds: float) -> list[str]:
        """Carry out ``commands`` in one request and return the lines that they print.

        Raises RenodeError if a command fails (later ones are not run), or if there is no answer in time.
        """
        answer = self._robot.command(_SEPARATOR.join(commands), seconds)
        return [line.strip() for line in answer.splitlines() if line.strip()]

    def number(self, question: str, seconds: float) -> int:
        """Return the number that Renode answers to ``question``."""
        lines = self.run([question], seconds)
        if len(lines) != 1:
            raise RenodeError(f"Renode answers {question!r} with {len(lines)} lines: {lines}")
        return number(lines[0])

    def registers(self, numbers: Mapping[str, int], seconds: float) -> dict[str, int]:
        """Return the values of the registers with these numbers, by name."""
        questions = [f"{CPU} GetRegister {number}" for number in numbers.values()]
        answers = self.run(questions, seconds) if questions else []
        if len(answers) != len(questions):
            raise RenodeError(f"Renode answers {len(questions)} questions with {len(answers)} lines: {answers}")
        return dict(zip(numbers, map(number, answers), strict=True))

    def run_to_state(self, commands: list[str], after: list[str], seconds: float) -> State:
        """Run ``commands``, read the machine's state, and run ``after``; no command may print anything."""
        questions = [f"{CPU} IsHalted", f"{CPU} PC", f"{CPU} ExecutedInstructions"]
        questions += ["sysbus UnexpectedReads", "sysbus UnexpectedWrites"]
        questions += [] if self._counter is None else [f"sysbus ReadDoubleWord {self._counter:#x}"]
        questions += [f"{CPU} GetRegister {number}" for number in self._registers.values()]
        answers = self.run([*commands, *questions, *after], seconds)
        if len(answers) != len(questions):
            raise RenodeError(f"Renode answers {len(questions)} questions with {len(answers)} lines: {answers}")
        halted, pc, instructions, reads, writes, *registers = answers
        if halted not in ("True", "False"):
            raise RenodeError(f"Renode answers {questions[0]!r} with {halted!r}")
        if self._counter is not None:
            counted, *registers = registers
            self._added += number(counted) - self._added & 0xFFFF_FFFF  # the word may begin again at 0
        return State(
            halted == "True",
            number(pc),
            number(instructions) - self._added,
            number(reads),
            number(writes),
            dict(zip(self._registers, map(number, registers), strict=True)),
        )


def number(text: str) -> int:
    """Return the number that the Monitor has printed; raises RenodeError if the text is no number."""
    try:
        return int(text, 0)
    except ValueError:
        raise RenodeError(f"Renode prints {text!r}, but a number was expected") from None
