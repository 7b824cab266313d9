"""Prepare the Robot Framework suites of ``robot/`` for a board, and run them with ``renode-test``."""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emu.build import BuildOptions, build_firmware
from emu.errors import EmuError, InputError, MissingToolError
from emu.firmware import Extent, Firmware
from emu.inputs import load_inputs
from emu.machines.renode.installation import HOW_TO_GET, find_renode, renode_version
from emu.machines.renode.loading import contents_at_reset, core_in_renode, stops
from emu.machines.renode.monitor import hook, load
from emu.machines.renode.platform import write_platform
from emu.machines.renode.renodes import Renodes
from emu.mailbox import COMMAND_OFFSET, INPUT_ADDRESS_OFFSET, MAGIC, OUTPUT_ADDRESS_OFFSET, STATUS_OFFSET, SYMBOL
from emu.model.image import read_image_info
from emu.model.sources import find_model
from emu.processes import guarded
from emu.resources import resource
from emu.targets import Target
from emu.toolchains import find_toolchain

_WHOLE_SEQUENCE = 7
"""The mailbox command for start, step and finish together."""


@dataclass(frozen=True)
class RobotResults:
    """The results of the suites."""

    passed: bool
    xunit: Path


def run_suites(targets: list[Target], inputs: int, directory: Path) -> RobotResults:
    """Run the suites for each of ``targets`` with ``inputs`` inputs of each demo; write all results to ``directory``.

    Raises MissingToolError if Renode, its renode-test or rebot is missing, InputError for a target on another
    emulator, and EmuError if a suite leaves no result.
    """
    for target in targets:
        if target.emulator_name != "renode":
            raise InputError(f"{target.name}: the Robot suites run on Renode targets only")
    renode_version()
    renode_test, rebot = _find_beside_renode("renode-test"), _find_rebot()
    outputs, codes = [], []
    for target in targets:
        bench, results = directory / target.name / "bench", directory / target.name
        prepare(target, inputs, bench)
        suite = resource("robot") / "boards.robot"
        command = [renode_test, suite, "-r", results, "--variable", f"BENCH:{bench}"]
        with guarded(command) as process:
            codes.append(process.wait())
        output = results / "robot_output.xml"
        if not output.exists():
            raise EmuError(f"{renode_test} has ended with exit code {codes[-1]} and without {output}")
        outputs.append(output)
    xunit = directory / "robot.xml"
    reports = ["--xunit", xunit, "--log", "log.html", "--report", "report.html", "--outputdir", directory]
    merged = subprocess.run([rebot, *reports, "--name", "robot", *outputs], check=False, capture_output=True, text=True)
    if not xunit.exists():
        raise EmuError(f"{rebot} has ended with exit code {merged.returncode}: {merged.stderr.strip()[-300:]}")
    return RobotResults(not any(codes), xunit)


def prepare(target: Target, inputs: int, bench: Path) -> None:
    """Write the files that robot/keywords.resource needs to ``bench``: platform, firmware, inputs and labels."""
    bench.mkdir(parents=True, exist_ok=True)
    printed = bench / "printed"
    hello = Firmware.load(_build_hello(target, bench), target)
    core = core_in_renode(hello)
    added: dict[int, Extent] = {}
    with Renodes() as renodes:
        firmware = {
            "HELLO": _firmware(hello, added, renodes, bench / "hello"),
            "KWS": _demo("kws", target, inputs, added, renodes, bench / "kws"),
            "HAR": _demo("har", target, inputs, added, renodes, bench / "har"),
        }
    platform = write_platform(target.board, core.platform, core.platform_registers, added.values(), bench, printed)
    variables: dict[str, object] = {
        "BOARD": target.board.name,
        "PLATFORM": str(platform),
        "PRINTED": str(printed),
        "MAILBOX_MAGIC": MAGIC,
        **firmware,
    }
    lines = [f"{name} = {value!r}" for name, value in variables.items()]
    (bench / "variables.py").write_text("\n".join(lines) + "\n")


def _firmware(firmware: Firmware, added: dict[int, Extent], renodes: Renodes, directory: Path) -> dict[str, object]:
    """Return the commands that load ``firmware``; ``added`` gets the memory that the board lacks, by its end."""
    directory.mkdir(exist_ok=True)
    commands = []
    image = core_in_renode(firmware).image(firmware, renodes)
    for extent in image.added_memory:
        added[extent.end] = min(extent, added.get(extent.end, extent), key=lambda each: each.start)
    for index, (address, data) in enumerate(contents_at_reset(firmware, image)):
        path = directory / f"memory{index}"
        path.write_bytes(data)
        commands.append(load(path, address))
    commands += [core_in_renode(firmware).start(firmware), *map(hook, stops(firmware))]
    return {"commands": commands, "yield": firmware.entry_of("emu_yield")}


def _demo(
    name: str, target: Target, inputs: int, added: dict[int, Extent], renodes: Renodes, directory: Path
) -> dict[str, object]:
    model = find_model(name)
    assert model.inputs is not None, "a demo has inputs"
    given = load_inputs(model.inputs).first(inputs)
    reference = given.reference
    assert reference is not None, "a demo has PyTorch's answers"
    rows = given.x.shape[1]
    elf = build_firmware(model.image, target.board, BuildOptions(input_rows=rows))
    firmware = Firmware.load(elf, target)
    mailbox, limit = firmware.symbol(SYMBOL), firmware.stack_limit
    assert mailbox is not None, "our own firmware has one"
    if limit is None:
        raise InputError(f"{target.board.build.linker_script}: the stack's limit is not known")
    plan = _firmware(firmware, added, renodes, directory)
    paths = [directory / f"input{index}" for index in range(len(given))]
    for path, x in zip(paths, given.x, strict=True):
        path.write_bytes(np.ascontiguousarray(x, "<f4").tobytes())
    command = directory / "command"
    command.write_bytes(struct.pack("<II", _WHOLE_SEQUENCE, rows))
    return plan | {
        "mailbox_address": hex(mailbox.address),
        "command_file": str(command),
        "command_address": hex(mailbox.address + COMMAND_OFFSET),
        "status_address": hex(mailbox.address + STATUS_OFFSET),
        "input_address": hex(mailbox.address + INPUT_ADDRESS_OFFSET),
        "output_address": hex(mailbox.address + OUTPUT_ADDRESS_OFFSET),
        "output_bytes": 4 * read_image_info(model.image).n_outputs,
        "stack_limit": limit,
        "stack_bytes": firmware.initial_sp - limit,
        "inputs": [str(path) for path in paths],
        "labels": [int(label) for label in reference.argmax(axis=1)],
    }


def _build_hello(target: Target, directory: Path) -> Path:
    board = target.board
    transmits = [each.start + each.output for each in board.peripherals if each.output is not None]
    if not transmits:
        raise InputError(f"the board file of {board.name} has no peripheral with an output, by which the suites print")
    port = sorted((resource("runtime") / "port" / board.architecture).glob("*.[cS]"))
    sources = [resource("robot") / "hello.c", *port]
    defines = [f'-DBOARD="{board.name}"', f"-DUART_TRANSMIT={transmits[0]:#x}u"]
    flags = [*board.build.flags, "-std=c99", "-O2", "-g", "-ffreestanding", "-nostdlib", *defines]
    script = board.build.linker_script
    assert script is not None, "Renode runs no firmware that needs none"
    elf = directory / "hello.elf"
    placed = [f"-T{script}", f"-L{script.parent}"]
    find_toolchain(board.build.toolchain).run([*flags, *placed, *map(str, sources), "-lgcc", "-o", str(elf)], directory)
    return elf


def _find_beside_renode(name: str) -> Path:
    beside = find_renode().resolve().parent / name
    path = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if path is None:
        raise MissingToolError(
            f"{name}, which comes with Renode, is neither in {beside.parent} nor on the PATH. {HOW_TO_GET}"
        )
    return Path(path)


def _find_rebot() -> Path:
    path = shutil.which("rebot")
    if path is None:
        requirements = find_renode().resolve().parent / "tests" / "requirements.txt"
        raise MissingToolError(
            "rebot (Robot Framework) is not installed; install what renode-test needs (but for the requirements of "
            f"Renode's other tools, which are not emu's) with: grep -v '^[-#]' {requirements} | xargs pip install"
        )
    return Path(path)
