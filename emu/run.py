"""One run: firmware on a target, every input through it, and the record of what was measured."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import emu
from emu.build import BuildOptions, build_firmware
from emu.errors import InputError
from emu.firmware import Firmware
from emu.inputs import EvaluationInputs
from emu.machines import Limits, Machine, Measurements, Stop
from emu.machines.host import HostMachine
from emu.machines.qemu import QemuMachine, core_type, qemu_version
from emu.machines.renode import RenodeMachine, renode_version
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.image import read_image_info
from emu.model.sources import Model
from emu.model.tracing import compare_layers, split_trace
from emu.parity import compare
from emu.probes.footprint import largest_symbols
from emu.record import Fault, Instructions, LayerError, Memory, RegionUse, Run
from emu.record import Firmware as FirmwareRecord
from emu.second_run import add_stack, needs_second_run, open_second_run
from emu.suppressions import Suppression, suppress
from emu.targets import Target
from emu.toolchains import find_toolchain
from emu.verdicts import DEFAULT_TOLERANCE, judge

Progress = Callable[[int, int], None]
"""Called with the inputs done and their number."""


@dataclass(frozen=True)
class RunOptions:
    """What a user can choose about a run."""

    traffic: bool = False
    """Also count loads and stores by memory region, which makes the run several times slower."""
    profile: bool = False
    """Also count instructions by line and by call path."""
    memcheck: bool = False
    """Also check every access to memory, and where undefined values go."""
    coverage: bool = False
    """Also tell which lines and functions ran."""
    replace_allocator: bool = False
    """Serve the allocator's calls from memory that the board does not have, where overruns meet no other block."""
    stack_peak: bool = False
    """Also measure the stack's reserved peak where that takes a second, slow run; the other emulators always do."""
    suppressions: tuple[Suppression, ...] = ()
    """Findings of the memory checker that are accepted."""
    limits: Limits = field(default_factory=Limits)
    tolerance: float = DEFAULT_TOLERANCE


def run_model(model: Model, target: Target, inputs: EvaluationInputs, options: RunOptions, progress: Progress) -> Run:
    """Build firmware for ``model``, run every input through it, and return the record with its verdicts."""
    elf = build_firmware(model.image, target.board, BuildOptions(input_rows=inputs.x.shape[1]))
    return run_firmware(elf, model.name, target, inputs, options, progress)


def run_firmware(
    elf: Path,
    name: str,
    target: Target,
    inputs: EvaluationInputs | None,
    options: RunOptions,
    progress: Progress,
) -> Run:
    """Run an ELF: with a mailbox and inputs, every input; without, from reset to its end.

    Raises InputError where the ELF or the inputs are not for this target or firmware. What the firmware does wrong is
    no exception but a fault in the record.
    """
    firmware = Firmware.load(elf, target)
    mailbox_address = _mailbox_address(firmware, inputs)
    twice = options.stack_peak and needs_second_run(target)
    first, second = _halves(progress) if twice else (progress, progress)
    served, measured = _drive(open_machine(firmware, target, options), firmware, mailbox_address, inputs, first)
    if twice:
        machine, measured = open_second_run(firmware, target, options.limits, measured)
        if machine is not None:
            again, with_stack = _drive(machine, firmware, mailbox_address, inputs, second)
            measured = add_stack(measured, with_stack, same=again.is_as(served))
    run = _record(firmware, name, target, measured, served)
    if inputs is not None and served.outputs is not None:
        run.parity = compare(served.outputs, inputs)
    if run.parity is None:
        run.not_measured["parity"] = _why_no_parity(inputs, served)
    if run.memory_check is not None:
        run.memory_check = suppress(run.memory_check, options.suppressions)
    run.verdicts = judge(run, options.tolerance)
    return run


def trace_layers(model: Model, target: Target, x: NDArray[np.float32], limits: Limits) -> list[LayerError]:
    """Run one input x (T, F) through firmware that hands out its intermediate tensors, and compare them with PyTorch's.

    Raises InputError for a model that is only an image, and where the firmware does not get through the input.
    """
    if model.checkpoint is None:
        raise InputError(f"{model.path}: an image has no PyTorch side to compare with; give the checkpoint instead")
    info = read_image_info(model.image)
    firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(1, trace=True)), target)
    address = _mailbox_address(firmware, None)
    assert address is not None, "our own firmware has a mailbox"
    with open_machine(firmware, target, RunOptions(limits=limits)) as machine:
        machine.boot()
        mailbox = Mailbox.open(machine, address, firmware.ram)
        _require_width(x, mailbox)
        steps = []
        for index, row in enumerate(x):
            reply, trace = mailbox.step(row, first=index == 0, last=index == len(x) - 1)
            if not reply.ok:
                detail = reply.stop.fault.detail if reply.stop.fault else f"status {reply.status}"
                raise InputError(f"the firmware stopped at step {index}: {detail}")
            steps.append(trace)
        traced = split_trace(np.stack(steps), info)
        traced["logits"] = mailbox.read_outputs()[np.newaxis]
    return compare_layers(traced, model.checkpoint, x)


def open_machine(firmware: Firmware, target: Target, options: RunOptions) -> Machine:
    """Return the machine of the target's emulator with ``firmware`` in it.

    Raises InputError for what only another emulator measures, and MissingToolError where the emulator is missing.
    """
    _require_options(target, options)
    match target.emulator_name:
        case "native":
            return HostMachine(firmware, limits=options.limits)
        case "renode":
            return RenodeMachine(firmware, target, limits=options.limits)
        case "qemu":
            return QemuMachine(
                firmware,
                target,
                limits=options.limits,
                traffic=options.traffic,
                profile=options.profile,
                coverage=options.coverage,
            )
        case _:
            return UnicornMachine(
                firmware,
                target,
                limits=options.limits,
                traffic=options.traffic,
                profile=options.profile,
                coverage=options.coverage,
                memcheck=options.memcheck,
                replace_allocator=options.replace_allocator,
            )


_LACKS = {
    "native": ("profile", "coverage", "traffic", "replace_allocator"),
    "qemu": ("memcheck",),
    "renode": ("profile", "coverage", "memcheck", "traffic"),
}
"""What each emulator cannot do of what Unicorn can; the native sanitizers always check memory."""


def _require_options(target: Target, options: RunOptions) -> None:
    asked = [name for name in _LACKS.get(target.emulator_name, ()) if getattr(options, name)]
    if asked:
        missing = " or ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise InputError(f"{target.name} has no {missing}: a target of Unicorn has it, such as stm32h7-unicorn")


def require_emulator(target: Target) -> None:
    """Raise MissingToolError, with the command that installs it, where what runs the target's firmware is missing."""
    if target.emulator_name == "qemu":
        qemu_version(core_type(target.board))
    elif target.emulator_name == "renode":
        renode_version()
    elif target.emulator_name == "native":
        find_toolchain(target.board.build.toolchain)


def _halves(progress: Progress) -> tuple[Progress, Progress]:
    """Return what tells of two runs, one after the other, as of one that is twice as long."""
    return (
        lambda done, total: progress(done, 2 * total),
        lambda done, total: progress(total + done, 2 * total),
    )


@dataclass
class _Served:
    """What came of the inputs."""

    outputs: NDArray[np.float32] | None = None
    """(N, C): not a number from the first input on that was not answered."""
    instructions: list[int | None] = field(default_factory=list)
    """For each input that was answered."""
    faults: list[Fault] = field(default_factory=list)

    def is_as(self, other: "_Served") -> bool:
        """Return whether the same came of them: the same answers, to the bit, after as many instructions."""
        answers = [b"" if one.outputs is None else one.outputs.tobytes() for one in (self, other)]
        return answers[0] == answers[1] and self.instructions == other.instructions and self.faults == other.faults


def _drive(
    machine: Machine,
    firmware: Firmware,
    mailbox_address: int | None,
    inputs: EvaluationInputs | None,
    progress: Progress,
) -> tuple[_Served, Measurements]:
    """Run the firmware from reset on, with every input; return what came of them, and what was measured."""
    with machine:
        stop = machine.boot()
        served = _Served()
        if stop.reason == "yield" and mailbox_address is not None:
            mailbox = Mailbox.open(machine, mailbox_address, firmware.ram)
            served = _serve(mailbox, inputs, firmware, progress)
        elif stop.reason == "exit" and stop.exit_status:
            served.faults.append(_exit_fault(stop))
        return served, machine.measure()


def _serve(mailbox: Mailbox, inputs: EvaluationInputs | None, firmware: Firmware, progress: Progress) -> _Served:
    served = _Served()
    if mailbox.status != 0:
        served.faults.append(_refusal(firmware, f"the firmware refused to start: status {mailbox.status}"))
        return served
    if inputs is None:
        return served
    _require_width(inputs.x[0], mailbox)
    reference = inputs.logits64 if inputs.logits64 is not None else inputs.logits32
    if reference is not None and reference.shape[1] != mailbox.outputs:
        raise InputError(
            f"the reference logits have {reference.shape[1]} columns; the firmware gives {mailbox.outputs} outputs"
        )
    outputs = np.full((len(inputs), mailbox.outputs), np.nan, np.float32)
    for index, x in enumerate(inputs.x):
        progress(index, len(inputs))
        reply, answer = mailbox.infer(x)
        if not reply.ok:
            if reply.stop.reason == "yield":
                served.faults.append(_refusal(firmware, f"input {index}: the firmware answered status {reply.status}"))
            elif reply.stop.reason == "exit":
                served.faults.append(_refusal(firmware, f"input {index}: the firmware ended instead of answering"))
            break
        outputs[index] = answer
        served.instructions.append(reply.instructions)
    progress(len(inputs), len(inputs))
    served.outputs = outputs
    return served


def _mailbox_address(firmware: Firmware, inputs: EvaluationInputs | None) -> int | None:
    symbol = firmware.symbol(SYMBOL)
    if symbol is None and inputs is not None:
        raise InputError(
            f"{firmware.path} has no mailbox (symbol {SYMBOL}), so it can take no inputs; "
            "run it without --inputs, or add runtime/port/mailbox.h to it"
        )
    return None if symbol is None else symbol.address


def _require_width(x: NDArray[np.float32], mailbox: Mailbox) -> None:
    if x.shape[-1] != mailbox.columns:
        raise InputError(f"the inputs have {x.shape[-1]} features a row; the firmware takes {mailbox.columns}")


def _refusal(firmware: Firmware, detail: str) -> Fault:
    entry = firmware.entry_of("emu_yield")
    place = firmware.locate(entry) if entry is not None else None
    return Fault(kind="firmware_error", detail=detail, pc=entry, **(place.model_dump() if place else {}))


def _exit_fault(stop: Stop) -> Fault:
    return Fault(kind="firmware_error", detail=f"the firmware ended with exit status {stop.exit_status}")


def _record(firmware: Firmware, name: str, target: Target, measured: Measurements, served: _Served) -> Run:
    counts = [count for count in served.instructions if count is not None]
    memory = _memory(firmware, measured)
    not_measured = dict(measured.not_measured)
    if not counts:
        not_measured.setdefault("per_inference", "no input was answered")
    if memory.ram_peak_bytes is None:
        not_measured.setdefault("ram_peak_bytes", "the heap or a stack was not measured")
    instructions: Instructions = measured.instructions.model_copy()
    if served.outputs is not None:
        instructions.inferences = len(served.instructions)
    if counts:
        instructions.per_inference, instructions.per_inference_smallest = max(counts), min(counts)
    return Run(
        model=name,
        target=target.name,
        firmware=FirmwareRecord(path=str(firmware.path), sha256=firmware.sha256, toolchain=firmware.toolchain),
        memory=memory,
        stack=measured.stack,
        heap=measured.heap,
        timeline=measured.timeline,
        instructions=instructions,
        profile=measured.profile,
        coverage=measured.coverage,
        memory_check=measured.memory_check,
        faults=[*measured.faults, *served.faults],
        output=measured.output,
        output_cut_bytes=measured.output_cut_bytes,
        not_measured=not_measured,
        environment={
            "emu": emu.__version__,
            "unicorn": version("unicorn"),
            **_emulator_version(target),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
    )


def _memory(firmware: Firmware, measured: Measurements) -> Memory:
    board = firmware.board
    if not board.memory:
        return Memory(mailbox_bytes=None)
    static, beside = firmware.static_ram_bytes, measured.heap.peak_beside_static_bytes
    stacks = measured.stack_bytes_by_region
    return Memory(
        flash_bytes=firmware.flash_bytes,
        static_ram_bytes=static,
        stack_peak_bytes=measured.stack_peak_bytes,
        stack_touched_bytes=measured.stack_touched_bytes,
        stack_limit_bytes=measured.stack_limit_bytes,
        heap_peak_bytes=measured.heap.peak_live_bytes,
        ram_peak_bytes=None if beside is None or stacks is None else static + beside + sum(stacks.values()),
        mailbox_bytes=firmware.mailbox_bytes,
        by_region=_by_region(firmware, measured),
        flash_symbols=largest_symbols(firmware, [region for region in board.memory if not region.writable]),
        static_ram_symbols=largest_symbols(firmware, board.ram),
    )


def _emulator_version(target: Target) -> dict[str, str]:
    if target.emulator_name == "qemu":
        return {"qemu": qemu_version(core_type(target.board))}
    return {"renode": renode_version()} if target.emulator_name == "renode" else {}


def _by_region(firmware: Firmware, measured: Measurements) -> list[RegionUse]:
    heap, stacks = measured.heap.peak_live_bytes, measured.stack_bytes_by_region or {}
    uses = []
    for region in firmware.board.memory:
        holds_all_heap = heap == 0 or measured.heap_region is not None
        use = RegionUse(
            name=region.name,
            size_bytes=region.size,
            static_bytes=firmware.static_bytes_in(region),
            mailbox_bytes=firmware.mailbox_bytes_in(region),
            stack_bytes=stacks.get(region.name, 0),
            heap_bytes=(heap if region.name == measured.heap_region else 0) if holds_all_heap else None,
        )
        if use.static_bytes or use.mailbox_bytes or use.stack_bytes or use.heap_bytes:
            uses.append(use)
    return uses


def _why_no_parity(inputs: EvaluationInputs | None, served: _Served) -> str:
    if inputs is None:
        return "no inputs were given"
    if served.outputs is None:
        return "the firmware did not get to its inputs"
    return "the inputs come with no reference logits"
