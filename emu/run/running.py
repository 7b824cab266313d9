"""A run from its firmware to its verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emu.budgets.limits import judge_limits
from emu.firmware import Firmware
from emu.instruments import require
from emu.machines import Measurements
from emu.machines.shared import Shared
from emu.options import RunOptions
from emu.record import Failure, Parity, Reading, Run
from emu.run.driving import Progress, Served, drive, find_mailbox
from emu.run.emulators import open_machine
from emu.run.failures import failure, interruption
from emu.run.recording import make_record
from emu.run.second_run import add_stack, begin_second_run, needs_second_run, without_stack
from emu.targets import Target
from emu.verdicts import judge

if TYPE_CHECKING:  # firmware without inputs needs neither numpy nor the PyTorch side
    from emu.inputs import EvaluationInputs
    from emu.live.source import LiveModel
    from emu.model.sources import Model

_INTERRUPTED = "interrupted"

SoFar = Callable[[Run, str], None]
"""Called before a further part of a run, with the record of what is measured and the part's name. An interrupt in this
part leaves the record."""


def forget(_run: Run, _part: str) -> None:
    """Keep no record of a run that is not done."""


def run_model(
    model: Model | LiveModel,
    target: Target,
    inputs: EvaluationInputs,
    options: RunOptions,
    progress: Progress,
    reading: Reading | None = None,
    so_far: SoFar = forget,
    shared: Shared | None = None,
) -> Run:
    """Build firmware for ``model``, run every input through it, and return the record with its verdicts.

    ``reading`` is what the model is taken to compute, for the record. ``shared`` is what machines share (see
    ``open_machine``). If the model's layers cannot be compared, that is a failure in the record.

    Raises InputError if the inputs are not for the model.
    """
    from emu.build import BuildOptions, build_firmware
    from emu.model.image import read_image_info

    elf = build_firmware(model.image, target.board, BuildOptions(input_rows=inputs.x.shape[1]))
    each_step = read_image_info(model.image).each_step

    def with_reading(run: Run, part: str) -> None:
        run.reading = reading
        so_far(run, part)

    run = _measure(elf, model.name, target, inputs, each_step, options, progress, with_reading, shared)
    run.reading = reading
    if options.trace_input is not None:
        from emu.run.layers import trace_layers

        so_far(run.model_copy(update={"not_measured": run.not_measured | {"layers": _INTERRUPTED}}), "layers")
        try:
            run.layers = trace_layers(model, target, inputs, options.trace_input, options.limits, shared)
            run.layers_of = "module" if model.checkpoint is None else "reading"
        except Exception as error:  # the run itself is done
            run.failures.append(failure("layers", error))
            run.not_measured["layers"] = run.failures[-1].detail
    return _judged(run, options)


def run_firmware(
    elf: Path,
    name: str,
    target: Target,
    inputs: EvaluationInputs | None,
    options: RunOptions,
    progress: Progress,
    so_far: SoFar = forget,
    shared: Shared | None = None,
) -> Run:
    """Run an ELF. With a mailbox and inputs: run every input; otherwise run from reset to the end.

    The firmware is asked for outputs at each step if the inputs come with PyTorch's answers at each step.

    Raises InputError if the ELF or the inputs are not for this target or firmware. An error of the firmware is not an
    exception, but a fault in the record.
    """
    each_step = inputs is not None and inputs.has_answers_at_each_step
    return _judged(_measure(elf, name, target, inputs, each_step, options, progress, so_far, shared), options)


def cut_short(run: Run, part: str, interrupt: KeyboardInterrupt | SystemExit, options: RunOptions) -> Run:
    """Return the record of a run that an interrupt ended in ``part``, with its verdicts."""
    failures = [*run.failures, interruption(part, interrupt)]
    return _judged(run.model_copy(update={"failures": failures}), options)


def _measure(
    elf: Path,
    name: str,
    target: Target,
    inputs: EvaluationInputs | None,
    each_step: bool,
    options: RunOptions,
    progress: Progress,
    so_far: SoFar,
    shared: Shared | None,
) -> Run:
    require(options, target)
    firmware = Firmware.load(elf, target)
    mailbox_address = find_mailbox(firmware, inputs)
    twice = options.stack_peak and needs_second_run(target)
    first, second = _halves(progress) if twice else (progress, progress)
    machine = open_machine(firmware, target, replace(options, stack_peak=False), shared)
    served, measured = drive(machine, firmware, mailbox_address, inputs, each_step, first)
    failures: list[Failure] = []
    if twice:
        alone = without_stack(measured, f"the second run, for the stack, was {_INTERRUPTED}")
        so_far(_record(firmware, name, target, inputs, options, served, alone), "second run")
        try:
            machine, measured = begin_second_run(firmware, target, options.limits, measured, shared)
            if machine is not None:
                again, with_stack = drive(machine, firmware, mailbox_address, inputs, each_step, second)
                measured = add_stack(measured, with_stack, same=again.is_as(served))
        except Exception as error:  # the first run is done
            failures.append(failure("second run", error))
            measured = without_stack(measured, f"the second run, for the stack, failed: {failures[-1].detail}")
    run = _record(firmware, name, target, inputs, options, served, measured)
    run.failures += failures
    return run


def _record(
    firmware: Firmware,
    name: str,
    target: Target,
    inputs: EvaluationInputs | None,
    options: RunOptions,
    served: Served,
    measured: Measurements,
) -> Run:
    """Return the record with parity, and without the findings that are accepted."""
    run = make_record(firmware, name, target, measured, served)
    if inputs is not None and served.outputs is not None:
        run.parity = _parity(served, inputs)
    if run.parity is None:
        run.not_measured["parity"] = _why_no_parity(inputs, served)
    elif run.parity.argmax_agreement is None:
        run.not_measured["argmax_agreement"] = (
            "the outputs at each step are no classes: the inputs have no y or classes"
        )
    if run.memory_check is not None and options.suppressions:
        from emu.suppressions import suppress

        run.memory_check = suppress(run.memory_check, options.suppressions)
    return run


def _parity(served: Served, inputs: EvaluationInputs) -> Parity | None:
    from emu.parity import compare

    assert served.outputs is not None, "the firmware has answered"
    return compare(served.outputs, inputs, answered=len(served.instructions))


def _judged(run: Run, options: RunOptions) -> Run:
    run.verdicts = [*judge(run, options.tolerance), *judge_limits(run, options.budgets)]
    return run


def _halves(progress: Progress) -> tuple[Progress, Progress]:
    """Return two callbacks that report two runs, one after the other, as one run of twice the length."""
    return (
        lambda done, total: progress(done, 2 * total),
        lambda done, total: progress(total + done, 2 * total),
    )


def _why_no_parity(inputs: EvaluationInputs | None, served: Served) -> str:
    if inputs is None:
        return "no inputs were given"
    if served.outputs is None:
        return "the firmware did not get to its inputs"
    return "the inputs come with no reference logits"
