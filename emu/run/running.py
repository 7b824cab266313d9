"""A run from its firmware to its verdicts."""

from dataclasses import replace
from pathlib import Path

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import EvaluationInputs
from emu.instruments import require
from emu.model.image import read_image_info
from emu.model.sources import Model
from emu.parity import compare
from emu.record import Failure, Reading, Run
from emu.run.driving import Progress, Served, drive, find_mailbox
from emu.run.emulators import open_machine
from emu.run.failures import failure
from emu.run.layers import trace_layers
from emu.run.options import RunOptions
from emu.run.recording import make_record
from emu.run.second_run import add_stack, begin_second_run, needs_second_run, without_stack
from emu.suppressions import suppress
from emu.targets import Target
from emu.verdicts import judge


def run_model(
    model: Model,
    target: Target,
    inputs: EvaluationInputs,
    options: RunOptions,
    progress: Progress,
    reading: Reading | None = None,
) -> Run:
    """Build firmware for ``model``, run every input through it, and return the record with its verdicts.

    ``reading`` is what the model is taken to compute, for the record. If the model's layers cannot be compared, that is
    a failure in the record.

    Raises InputError if the inputs are not for the model.
    """
    elf = build_firmware(model.image, target.board, BuildOptions(input_rows=inputs.x.shape[1]))
    each_step = read_image_info(model.image).each_step
    run = _measure(elf, model.name, target, inputs, each_step, options, progress)
    run.reading = reading
    if options.trace_input is not None:
        try:
            run.layers = trace_layers(model, target, inputs.x[options.trace_input], options.limits)
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
) -> Run:
    """Run an ELF. With a mailbox and inputs: run every input; otherwise run from reset to the end.

    The firmware is asked for outputs at each step if the inputs come with PyTorch's answers at each step.

    Raises InputError if the ELF or the inputs are not for this target or firmware. An error of the firmware is not an
    exception, but a fault in the record.
    """
    each_step = inputs is not None and inputs.has_answers_at_each_step
    return _judged(_measure(elf, name, target, inputs, each_step, options, progress), options)


def _measure(
    elf: Path,
    name: str,
    target: Target,
    inputs: EvaluationInputs | None,
    each_step: bool,
    options: RunOptions,
    progress: Progress,
) -> Run:
    require(options, target)
    firmware = Firmware.load(elf, target)
    mailbox_address = find_mailbox(firmware, inputs)
    twice = options.stack_peak and needs_second_run(target)
    first, second = _halves(progress) if twice else (progress, progress)
    machine = open_machine(firmware, target, replace(options, stack_peak=False))
    served, measured = drive(machine, firmware, mailbox_address, inputs, each_step, first)
    failures: list[Failure] = []
    if twice:
        try:
            machine, measured = begin_second_run(firmware, target, options.limits, measured)
            if machine is not None:
                again, with_stack = drive(machine, firmware, mailbox_address, inputs, each_step, second)
                measured = add_stack(measured, with_stack, same=again.is_as(served))
        except Exception as error:  # the first run is done
            failures.append(failure("second run", error))
            measured = without_stack(measured, f"the second run, for the stack, failed: {failures[-1].detail}")
    run = make_record(firmware, name, target, measured, served)
    run.failures += failures
    if inputs is not None and served.outputs is not None:
        run.parity = compare(served.outputs, inputs, answered=len(served.instructions))
    if run.parity is None:
        run.not_measured["parity"] = _why_no_parity(inputs, served)
    elif run.parity.argmax_agreement is None:
        run.not_measured["argmax_agreement"] = (
            "the outputs at each step are no classes: the inputs have no y or classes"
        )
    if run.memory_check is not None:
        run.memory_check = suppress(run.memory_check, options.suppressions)
    return run


def _judged(run: Run, options: RunOptions) -> Run:
    run.verdicts = judge(run, options.tolerance)
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
