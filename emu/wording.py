"""How verdicts, limits and reports word a count, a place, a call path, and text that came out of firmware."""

import math
import re
from collections.abc import Sequence

from emu.printable import printable
from emu.record import (
    CallPath,
    Frame,
    LayerError,
    Location,
    MemoryCheck,
    Parity,
    Reading,
    RegionUse,
    Run,
    StackUse,
    Verdict,
    WorstInput,
)

_NEAREST = 6


def last_lines(output: str, most: int) -> tuple[list[str], int]:
    """Return the last lines that firmware printed, made printable, and the number of all its lines."""
    lines = output.removesuffix("\n").split("\n") if output else []
    return [printable(line.removesuffix("\r")) for line in lines[-most:]], len(lines)


def counted(number: int, noun: str) -> str:
    """Return ``1 block`` or ``1,200 blocks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def memory_size(number: int) -> str:
    """Return the size of a memory: ``128 KB`` if it is a multiple of a kilobyte, else bytes."""
    for unit, name in ((1024 * 1024, "MB"), (1024, "KB")):
        if number and number % unit == 0:
            return f"{number // unit} {name}"
    return f"{number:,} B"


def left_out(use: RegionUse) -> str:
    """Return the uses that a memory's sum leaves out, such as ``but for the heap``; empty if all are known."""
    unknown = [name for name, used in (("heap", use.heap_bytes), ("stacks", use.stack_bytes)) if used is None]
    return f"but for the {' and the '.join(unknown)}" if unknown else ""


def place(location: Location) -> str:
    """Return ``step.c:125``, or an empty text if no line is known."""
    return "" if location.file is None else f"{location.file}:{location.line}"


def function_of(frame: Frame) -> str:
    """Return the function of a frame, or the frame's address if no symbol names one; then how often it repeats."""
    if frame.is_rest:
        return f"({counted(frame.times, 'other frame')})"
    return (frame.function or f"{frame.pc:#010x}") + repeated(frame)


def repeated(path: Frame | CallPath) -> str:
    """Return how often a folded frame or path repeats, such as `` x 16,381``; empty if it is a single one."""
    if path.times == 1:
        return ""
    in_turn = f" ({path.cycle} in turn)" if isinstance(path, Frame) and path.cycle > 1 else ""
    return f" x {path.times:,}{in_turn}"


def frame_note(frame: Frame) -> str:
    """Return in brackets what interrupted a frame's function, and why no frame follows; or an empty text."""
    notes = [f"interrupted by {frame.interrupted_by}"] if frame.interrupted_by else []
    if frame.walk_ends or frame.frame_bytes is None:
        notes.append(frame.walk_ends or "no unwind information")
    return f"({'; '.join(notes)})" if notes else ""


def interrupts_note(stack: StackUse) -> str:
    """Return the stack's computed peak, if interrupts may make it deeper than it was; else an empty text."""
    computed = stack.with_interrupts_bytes
    return f"{computed:,} B with interrupts (computed)" if computed is not None and computed > stack.peak_bytes else ""


def call_path(backtrace: Sequence[Frame]) -> list[str]:
    """Return the six innermost functions of a call path, innermost first, then ``...`` if the path goes on."""
    return [function_of(frame) for frame in backtrace[:_NEAREST]] + ["..."] * (len(backtrace) > _NEAREST)


def title(run: Run) -> str:
    """Return the name of a run in a report on several."""
    return f"{run.model} on {run.target}"


def kind(name: str) -> str:
    """Return the kind of a fault in words: ``double free`` for ``double_free``."""
    return name.replace("_", " ")


def allocator(check: MemoryCheck) -> str:
    """Return the allocator that ran during a memory check."""
    return {
        "faithful": "the firmware's own allocator",
        "replaced": "an allocator that keeps blocks apart",
        "sanitizer": "AddressSanitizer's allocator",
    }[check.allocator]


def reading_lines(reading: Reading) -> list[tuple[str, str]]:
    """Return how emu read a checkpoint: each way of knowing, with what is known that way."""
    sources = {
        "module": "from the module",
        "tensors": "from the tensors",
        "config.json": "from config.json",
        "metadata": "from the metadata",
        "stated": "stated",
        "assumed": "assumed",
    }
    lines = []
    for source, title in sources.items():
        parts = [f"{each.what}: {each.value}" for each in reading.statements if each.source == source]
        if parts:
            lines.append((title, "; ".join(parts)))
    if reading.max_relative_error is not None:
        counted_inputs = counted(reading.checked_inputs, "input")
        lines.append(
            ("checked", f"the logits of {counted_inputs} agree with it within {reading.max_relative_error:.1e}")
        )
    return lines


def without_numbers(parity: Parity) -> list[str]:
    """Return a line on outputs that are NaN or infinite, and a line on inputs without an answer."""
    lines, found = [], parity.not_numbers
    if found is not None:
        inputs = ", ".join([*(f"#{index}" for index in found.first_inputs), *["..."] * (found.inputs > 10)])
        outputs = f"NaN or infinite: {found.outputs:,} of {counted(found.all_outputs, 'output')}"
        lines.append(f"{outputs}, in {counted(found.inputs, 'input')}: {inputs}")
    if parity.unanswered:
        lines.append(f"no answer to {parity.unanswered:,} of {counted(parity.inputs, 'input')}: the fault says why")
    return lines


def error_of(worst: WorstInput) -> str:
    """Return an input's error, or why it has none: ``error 1.20e-07``, ``no answer``."""
    if not worst.answered:
        return "no answer"
    if worst.not_numbers:
        are = "is" if worst.not_numbers == 1 else "are"
        return f"{counted(worst.not_numbers, 'output')} {are} NaN or infinite"
    return f"error {worst.max_abs_error:.2e}"


def number_of(worst: WorstInput) -> str:
    """Return the number of an input, such as ``#4``, and the step that its class is about if each step has a class."""
    return f"#{worst.index}" if worst.step is None else f"#{worst.index} step {worst.step}"


def worst_input(parity: Parity) -> str:
    """Return the worst input with its error, and its class if the outputs are classes."""
    worst = parity.worst_input
    told = f"{number_of(worst)}: {error_of(worst)}"
    if parity.argmax_agreement is None:
        return told
    return f"{told}, {class_number(worst.predicted)}, PyTorch says {worst.expected}"


def class_number(index: int) -> str:
    """Return ``class 2``, or ``no class`` for -1."""
    return f"class {index}" if index >= 0 else "no class"


def layer_error(layer: LayerError) -> str:
    """Return the error of a tensor, next to the tensor's largest value."""
    if not math.isfinite(layer.max_abs_error):
        return "some of it is NaN or infinite"
    return f"error {layer.max_abs_error:.1e} of {layer.largest:.1e}"


def margin(verdict: Verdict) -> str:
    """Return by how much a verdict holds or fails; empty if its value or its limit is not a number."""
    value, limit = _number(verdict.value), _number(verdict.limit)
    if value is None or limit is None or not limit[0]:
        return ""
    if value[1] == limit[1] == "B":
        left = round(limit[0] - value[0])
        return f"{left:,} B left" if left >= 0 else f"{-left:,} B too many"
    ratio = value[0] / limit[0]
    return f"{ratio:.0%} of the limit" if ratio < 10 else f"{ratio:,.0f} times the limit"


def _number(text: str) -> tuple[float, str] | None:
    match = re.match(r"([\d,]*\.?\d+(?:e[-+]?\d+)?)\s*(\S*)", text)
    number = float(match[1].replace(",", "")) if match else math.inf
    return (number, match[2]) if match and math.isfinite(number) else None
