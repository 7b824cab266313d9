"""What Renode's Xtensa core computes: asked once for each Renode, before firmware runs in it."""

import json
from functools import partial
from pathlib import Path

from emu.cache import cached, content_key
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.machines.renode.fpu_questions import ANSWERS, QUESTIONS, SIZE, START, VECTORS, program
from emu.machines.renode.image import Image, as_linked
from emu.machines.renode.installation import find_renode
from emu.machines.renode.monitor import CPU, dump, hook, load, path_argument, run_for
from emu.machines.renode.msub import with_right_signs
from emu.machines.renode.process import RenodeProcess
from emu.machines.renode.renodes import Renodes
from emu.machines.renode.robot_server import RenodeError

_MSUB = "msub.s"
_FILE = "answers.json"
_SIGN = 1 << 31
_ANSWER_SECONDS = 60.0
_VIRTUAL_MICROSECONDS = 1000
"""More than the program needs."""


def image_for(core: str, firmware: Firmware, renodes: Renodes) -> Image:
    """Return what Renode has to load so that ``firmware`` computes right on ``core``, the core in its description.

    Raises MissingToolError, with what Renode computes and what is right, if that cannot be.
    """
    wrong = {}
    for question, answer in zip(QUESTIONS, _answers(core, renodes), strict=True):
        if answer != question.right:
            wrong.setdefault(question.name, (question, answer))
    if not wrong:
        return as_linked(firmware)
    question, answer = next(iter(wrong.values()))
    gives = f"gives {answer:#010x}, and {question.right:#010x} is right"
    if set(wrong) == {_MSUB} and answer == question.right ^ _SIGN:
        return with_right_signs(firmware, f"in Renode, {_MSUB} of {' and '.join(_hex(question.words))} {gives}")
    others = f"; wrong as well: {', '.join([*wrong][1:])}" if len(wrong) > 1 else ""
    raise MissingToolError(
        f"Renode's Xtensa core is wrong: {question.name} of {' and '.join(_hex(question.words))} {gives}{others}; "
        "use the board's QEMU target"
    )


def _hex(words: tuple[int, ...]) -> list[str]:
    return [f"{word:#010x}" for word in words]


def _answers(core: str, renodes: Renodes) -> list[int]:
    """Return the answers to ``QUESTIONS``; raises MissingToolError if the core cannot answer all of them."""
    path = find_renode().resolve()
    contents = [each for _, each in program().contents]
    key = content_key([str(path), str(path.stat().st_mtime_ns), str(path.stat().st_size), core, *contents])
    directory = cached("renode-fpu", key, partial(_ask, core, renodes))
    found = json.loads((directory / _FILE).read_text())
    if isinstance(found, str):
        raise MissingToolError(found)
    return found


def _ask(core: str, renodes: Renodes, directory: Path) -> None:
    process = renodes.take()
    try:
        answers = _run(process, core)
    except RenodeError as error:
        raise MissingToolError(f"Renode {process.version} cannot run a program for its Xtensa core: {error}") from error
    finally:
        renodes.give_back(process)
    (directory / _FILE).write_text(json.dumps(answers))


def _run(process: RenodeProcess, core: str) -> list[int] | str:
    """Return the answers, or which operation the core does not have."""
    asked, directory = program(), process.directory
    platform, output = directory / "questions.repl", directory / "answers"
    platform.write_text(f"{core}\nmemory: Memory.MappedMemory @ sysbus {START:#010x}\n    size: {SIZE:#x}\n")
    commands = ['mach create "questions"', f"machine LoadPlatformDescription {path_argument(platform)}"]
    commands += ["emulation SetGlobalAdvanceImmediately true"]
    for number, (address, data) in enumerate(asked.contents):
        path = directory / f"question{number}"
        path.write_bytes(data)
        commands.append(load(path, address))
    commands += [f"{CPU} PC {asked.start:#x}", *map(hook, (asked.end, *VECTORS)), run_for(_VIRTUAL_MICROSECONDS)]
    for command in commands:
        process.robot.command(command, _ANSWER_SECONDS)
    pc, cause, interrupted = (
        int(process.robot.command(f"{CPU} {what}", _ANSWER_SECONDS), 0)
        for what in ("PC", f"GetRegister {_EXCCAUSE}", f"GetRegister {_EPC1}")
    )
    if pc in VECTORS:
        name = asked.name_at(interrupted)
        return (
            f"Renode {process.version}'s Xtensa core cannot execute {name}: exception {cause} (EXCCAUSE) at its code; "
            "use the board's QEMU target"
        )
    if pc != asked.end:
        raise RenodeError(f"the program has stopped at {pc:#010x}, and not at its end")
    process.robot.command(dump(*ANSWERS, output), _ANSWER_SECONDS)
    data = output.read_bytes()
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, ANSWERS[1], 4)]


_EPC1, _EXCCAUSE = 51, 77
"""Renode's numbers of registers."""
