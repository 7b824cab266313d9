"""The run record: plain data about one run, the only thing that verdicts and reports read.

Its JSON form is a contract with other programs (schema 1): a field may be added, never renamed or removed without a
new schema number. A figure that was not measured is ``None``, and ``Run.not_measured`` gives the reason.
"""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from emu.reading import read_json
from emu.repetitions import repetitions

SCHEMA = 1


class _Part(BaseModel):
    # An output that is NaN has an infinite error, which JSON has to keep.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings", defer_build=True)

    @model_validator(mode="after")
    def _has_numbers_that_a_run_can_have(self) -> Self:
        for name in type(self).model_fields:
            if not _is_possible(getattr(self, name)):
                raise ValueError(f"{name} has a number that no run can have")
        return self


def _is_possible(value: object) -> bool:
    """Return whether a figure, or each in a table or list, has at most 64 bits and is not NaN; an error may be inf."""
    if isinstance(value, dict):
        return all(_is_possible(key) and _is_possible(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(_is_possible, value))
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 64
    return not (isinstance(value, float) and math.isnan(value))


class Location(_Part):
    """A place in the firmware. A part is None if the debug information does not have it."""

    function: str | None = None
    """The function's name; C++ and Rust names are demangled."""
    symbol: str | None = None
    """The linker's name of the function; None if it is the same name."""
    file: str | None = None
    """The source file, as the debug information names it."""
    line: int | None = None
    """The line in ``file``."""


class Frame(Location):
    """One frame of the stack, innermost first; or many frames with the same ``pc`` and size, folded into one."""

    pc: int
    """The address of the call; in the innermost frame, the address of the current instruction."""
    frame_bytes: int | None
    """The size of all ``times`` frames together; None if there is no unwind information for the frame."""
    interrupted_by: str | None = None
    """The exception that interrupted the function at ``pc``, such as PendSV; ``frame_bytes`` counts the frame that the
    core pushed. None if the function made a call."""
    walk_ends: str | None = None
    """Why no frame follows although the function has a caller; None if one follows, or if the stack begins here."""
    times: int = 1
    """The number of frames that were folded into this one, as a recursion makes them."""
    cycle: int = 1
    """The number of frames that repeat in turn, this one and its neighbours, if functions call each other in a circle.
    Each of them has the same ``times``."""
    is_rest: bool = False
    """Whether this stands for ``times`` different frames, which a record of a very deep stack leaves out. ``pc`` is the
    innermost one's."""


_INNERMOST, _OUTERMOST = 200, 50
"""The frames of a backtrace that a record keeps."""


def _folded(frames: list[Frame]) -> list[Frame]:
    """Fold what repeats, and leave out the middle of what is still very deep. The sizes add up to the same bytes."""
    folded = frames if any(frame.times > 1 for frame in frames) else _folded_once(frames)
    rest = folded[_INNERMOST : max(_INNERMOST, len(folded) - _OUTERMOST)]
    if len(rest) <= 1:
        return folded
    known = [frame.frame_bytes for frame in rest if frame.frame_bytes is not None]
    left_out = Frame(
        pc=rest[0].pc,
        frame_bytes=sum(known) if len(known) == len(rest) else None,
        times=sum(frame.times for frame in rest),
        is_rest=True,
    )
    return [*folded[:_INNERMOST], left_out, *folded[-_OUTERMOST:]]


def _folded_once(frames: list[Frame]) -> list[Frame]:
    """Fold what repeats, in frames that each stand for themselves."""
    folded: list[Frame] = []
    alike = [(frame.pc, frame.frame_bytes, frame.interrupted_by, frame.walk_ends) for frame in frames]
    for start, length, times in repetitions(alike):
        for frame in frames[start : start + length]:
            if times > 1:
                size = None if frame.frame_bytes is None else frame.frame_bytes * times
                frame = frame.model_copy(update={"frame_bytes": size, "times": times, "cycle": length})
            folded.append(frame)
    return folded


Backtrace = Annotated[list[Frame], AfterValidator(_folded)]
"""Frames, innermost first. A recursion is folded, so a backtrace is short however deep the stack was."""


class Fault(Location):
    """Something that the firmware must not do, and the place in the firmware that did it."""

    kind: str
    """``unmapped_read``, ``unmapped_write``, ``unmapped_fetch``, ``write_to_read_only``, ``fetch_from_no_execute``,
    ``invalid_instruction``, ``exception``, ``breakpoint``, ``stack_overflow``, ``instruction_budget``, ``time_limit``,
    ``wait_for_interrupt``, ``reset``, ``firmware_error``, ``semihosting`` or ``emulator_lost``. On the build machine
    also ``signal``, ``undefined_behaviour`` and the kinds of ``MemoryFinding``. After ``double_free``, ``invalid_free``
    and ``heap_meets_stack`` the firmware runs on."""
    address: int | None = None
    """The address that was accessed; None if the fault is not an access."""
    pc: int | None = None
    """The address of the instruction."""
    detail: str
    """What happened, in a sentence."""
    backtrace: Backtrace = []
    task: str | None = None
    """The task that ran, or that the running handler has interrupted, by the name of its stack in ``Stack.stacks``.
    None if the firmware was on the stack that it starts on."""


class Firmware(_Part):
    """The ELF that ran."""

    path: str
    """The path of the file."""
    sha256: str
    """The SHA-256 of the file's bytes."""
    toolchain: str | None
    """The compiler's own description in the ELF; None if the ELF has none."""


class RegionUse(_Part):
    """One memory of the board: how much of each figure of ``Memory`` is in this memory."""

    name: str
    """The memory's name in the board file."""
    size_bytes: int
    """The size of the whole memory."""
    start: int | None = None
    """The memory's first address; None in older records."""
    is_ram: bool | None = None
    """Whether firmware can write to the memory; None in older records."""
    static_bytes: int
    """In flash: the bytes that a programmer writes. In RAM: the bytes that ``static_ram_bytes`` counts."""
    mailbox_bytes: int = 0
    """Bytes that exist only under test."""
    stack_bytes: int | None = 0
    """Reserved peaks of the stacks that ``ram_peak_bytes`` counts; None if the stacks were not measured."""
    heap_bytes: int | None = 0
    """The heap's bytes that ``ram_peak_bytes`` counts; None if the heap's memory is not known."""


class SymbolUse(_Part):
    """The bytes of a function or a variable in one kind of memory."""

    name: str
    """The name of the function or the variable."""
    bytes: int
    """The size."""


class Piece(_Part):
    """Neighbouring bytes of one symbol in one memory, or bytes between two symbols. Pieces do not overlap."""

    region: str
    """The memory's name in the board file."""
    section: str
    """The section of the ELF; empty for bytes between two sections."""
    address: int
    """The first address. For initial values in flash it is the address that a programmer writes them to."""
    bytes: int
    """The size."""
    symbol: str | None = None
    """The function or the variable; None for bytes without a symbol: padding, literals, names without a size."""
    file: str | None = None
    """The object file by the linker's map, else the source file by the debug information; None if neither tells."""
    archive: str | None = None
    """The library that the object file is in, by the linker's map; None for other files, and without a map."""
    initial_values: bool = False
    """Whether startup code copies the bytes to RAM, where they are another piece."""
    reserved: bool = False
    """Whether the bytes only reserve room for a stack or the heap; no static figure counts them."""


class Memory(_Part):
    """Bytes of each kind of memory. Every figure is None if the firmware ran on no board."""

    flash_bytes: int | None = None
    """Bytes that a programmer writes: code, constants and the initial values of variables."""
    static_ram_bytes: int | None = None
    """Variables: bytes reserved before ``main``, without stacks, the heap and the mailbox."""
    stack_peak_bytes: int | None = None
    """Reserved: from the initial stack pointer to the lowest stack pointer of the run.

    The three ``stack_`` figures describe the stack that the firmware starts on. ``Stack.stacks`` has every stack."""
    stack_touched_bytes: int | None = None
    """From the initial stack pointer to the lowest byte written."""
    stack_limit_bytes: int | None = None
    """How far the stack may grow; None if the limit is not known."""
    heap_peak_bytes: int | None = None
    """The most live bytes at any time, by requested sizes."""
    ram_peak_bytes: int | None = None
    """Static RAM, the allocator's memory (``Heap.taken_beside_static_bytes``) and the reserved peak of every stack.

    Nothing is counted twice. Heap blocks inside a variable (such as FreeRTOS's ``ucHeap``), and stacks that are
    variables, count as static RAM. Stacks inside heap blocks count as heap. The mailbox does not count: it exists only
    under test."""
    mailbox_bytes: int | None = 0
    """Bytes that hold inputs and outputs, only under test; no other figure counts them."""
    by_region: list[RegionUse] = []
    """The memories that hold something."""
    flash_symbols: list[SymbolUse] = []
    """The largest parts of ``flash_bytes``, largest first: functions, constants and initial values."""
    static_ram_symbols: list[SymbolUse] = []
    """The largest parts of ``static_ram_bytes``, largest first."""
    layout: list[Piece] = []
    """What fills each memory, by address; empty in older records. In each memory the pieces add up to
    ``RegionUse.static_bytes`` and ``RegionUse.mailbox_bytes``, without the reserved pieces."""


class StackUse(_Part):
    """One of the firmware's stacks. Its figures count the frames that the core pushed for exceptions."""

    name: str
    """The task that has the stack, if an RTOS tells its tasks' names. Else the variable or the heap block that is the
    stack, or the core's name for the stack."""
    place: str | None = None
    """The variable or the heap block that is the stack, if ``name`` is a task's; else None."""
    pointer: Literal["MSP", "PSP", "a1"]
    """The register that points to the stack's lower end."""
    top: int
    """The address that the stack grows down from."""
    limit_bytes: int | None
    """How far the stack may grow; None if the limit is not known."""
    peak_bytes: int
    """Reserved: from ``top`` to the lowest stack pointer of the run."""
    backtrace: Backtrace = []
    """The calls at the stack's peak. The list ends where the stack begins."""
    with_interrupts_bytes: int | None = None
    """Computed: the peak if interrupts came when the stack was deepest. None if no exception came, or if it is unknown.

    On a process stack, one interrupt pushes its frame, and the kernel saves the task's registers. On the main stack,
    the handlers that ran preempt each other as deep as their priorities let them. Other handlers do not count."""


class HandlerUse(_Part):
    """The handler of an exception that came."""

    name: str
    """The exception, such as SysTick."""
    priority: int
    """Its group priority at the end of the run: exceptions of lower numbers preempt it."""
    stack_bytes: int
    """The most bytes of the main stack that one execution of its calls took, without frames of exceptions."""


class Stack(_Part):
    """The stack that the firmware starts on, at its peak."""

    backtrace: Backtrace = []
    stacks: list[StackUse] = []
    """Every stack that SP was on; the first is the stack that the firmware starts on, if that stack's peak is known."""
    handlers: list[HandlerUse] = []
    """The handlers that ran, the most urgent first; empty if they are not known."""
    second_run: bool = False
    """Whether a second, identical run measured the peak; the first run has all other figures."""


class Allocations(Location):
    """Live allocations of one call path. The place is the call of the allocator."""

    call_site: int
    """The address that the call returns to."""
    bytes: int
    """The sum of the requested sizes."""
    allocations: int
    """The number of live allocations."""
    backtrace: Backtrace = []
    """The callers, beginning with the caller of the allocator."""
    task: str | None = None
    """The task that made the calls (see ``Fault.task``)."""


class FailedAllocations(Location):
    """Allocations of one call path that the allocator refused. A program may expect refusals."""

    call_site: int
    """The address that the call returns to."""
    largest_bytes: int
    """The largest request."""
    failures: int
    """The number of refused calls."""
    live_bytes: int | None = None
    """Live bytes at the largest request, by requested sizes."""
    taken_bytes: int | None = None
    """The allocator's memory at the largest request: what ``_sbrk`` gave, and variables that hold blocks. ``_sbrk`` may
    have had more to give. None if the allocator's memory is not known, and in older records."""
    free_bytes: int | None = None
    """The part of the allocator's memory outside live blocks at the largest request, headers included. None if the
    allocator's memory is not known."""
    largest_free_bytes: int | None = None
    """The longest piece of ``free_bytes`` between two blocks."""
    sbrk_refused: bool = False
    """Whether ``_sbrk`` refused more memory at the largest request."""
    backtrace: Backtrace = []
    task: str | None = None
    """The task that made the calls (see ``Fault.task``)."""


class Heap(_Part):
    """The requests to the allocator. If one allocator calls another, only the outermost call counts."""

    attached: bool
    """Whether an allocator was found and followed. If not, this section has nothing but the refused calls in
    ``failed``."""
    peak_live_bytes: int | None = None
    """The most live bytes at any time, by requested sizes."""
    peak_beside_static_bytes: int | None = None
    """The most live bytes at any time of blocks outside static variables. Static RAM counts the other blocks."""
    taken_beside_static_bytes: int | None = None
    """The heap's bytes that ``ram_peak_bytes`` counts, without blocks inside static variables. The figure adds all that
    ``_sbrk`` gave to the most live bytes at any time of blocks from elsewhere. None in older records, in which
    ``ram_peak_bytes`` counts ``peak_beside_static_bytes``."""
    peak: list[Allocations] = []
    """The live allocations at the (first) peak, largest first: their bytes add up to ``peak_live_bytes``. If there are
    more than 500 call paths, the smaller ones are merged by the place of the call, without its callers."""
    heap_region_bytes: int | None = None
    """From the first break to the highest: the memory that the allocator took from ``_sbrk``."""
    overhead_bytes: int | None = None
    """``heap_region_bytes`` - ``peak_live_bytes``: headers, rounding, and free or unused memory."""
    allocations: int | None = None
    """Calls that returned a block."""
    frees: int | None = None
    """Calls that freed a block."""
    failed_allocations: int | None = None
    """Calls that were refused."""
    failed: list[FailedAllocations] = []
    calls_without_callers: int = 0
    """Calls for a block on a call path that was not kept, as there were too many paths: ``peak``, ``failed`` and
    ``leaks`` group them by the place of the call."""
    live_at_exit_bytes: int | None = None
    """Live bytes when the run ended."""
    leaks: list[Allocations] = []
    """The live allocations when the run ended, largest first."""


class Timeline(_Part):
    """Stack and heap against instructions, in equal intervals from reset on. The last interval may be shorter."""

    interval_instructions: int
    """Instructions in an interval."""
    stack_bytes: list[int]
    """The most in each interval. The largest value is the stack's peak."""
    heap_bytes: list[int] | None = None
    """The most live bytes in each interval; None if the heap was not measured."""


class Instructions(_Part):
    """Retired instructions. An instruction that an IT block skips counts: the core fetches and retires it."""

    per_inference: int | None = None
    """The largest count of an input."""
    per_inference_smallest: int | None = None
    """The smallest count of an input."""
    total: int | None = None
    """Instructions of the boot and all inputs."""
    inferences: int | None = None
    """Inputs that the firmware answered; None if the firmware was given no inputs."""
    by_function: dict[str, int] = {}
    """Self counts over the whole run, largest first; they add up to ``total``."""
    loads_by_region: dict[str, int] | None = None
    """Loads from each memory of the board; None without ``--traffic``."""
    stores_by_region: dict[str, int] | None = None
    """Stores to each memory of the board; None without ``--traffic``."""


class Origin(Location):
    """The instruction that first loaded an undefined value, and its place."""

    pc: int
    """The address of the instruction."""
    address: int
    """The address of the value's lowest undefined byte."""
    memory: str
    """The owner of the memory that ``address`` is in, or near."""


class OtherError(Location):
    """Another instruction that made the same mistake as a finding."""

    kind: str
    """A kind of ``MemoryFinding``."""
    pc: int
    """The address of the instruction."""
    address: int | None
    """The address that was accessed the first time; None if the error is not in an access."""
    times: int
    """How often the instruction made the error."""
    memory: str | None = None
    """The owner of the memory that ``address`` is in, or near; None if the error is not in an access."""


class MemoryFinding(Fault):
    """An error that the memory checker found, listed once for each mistake.

    ``others`` has the other instructions that made the mistake. All fields but ``times`` describe the first time. The
    backtrace begins with the instruction's own function, which can be in the C library.

    The kind is ``uninitialised_branch``, ``uninitialised_address``, ``uninitialised_output``, ``unaligned_access``,
    ``write_to_read_only`` or ``overlapping_copy``. Or it is ``heap_out_of_bounds``, ``use_after_free`` or
    ``null_pointer``, followed by ``_read`` or ``_write``. Or it is ``read_`` or ``write_``, followed by ``below_stack``
    or ``outside_objects``.
    """

    memory: str | None = None
    """The owner of the memory that ``address`` is in, or near; None if the error is not in an access (a branch)."""
    origin: Origin | None = None
    """The undefined value's origin. None for other kinds, and if the host got bytes that no instruction loaded."""
    times: int = 1
    """How often the instruction made the error."""
    others: list[OtherError] = []
    """The errors of other instructions in the same call about the same memory, or in the same call of a function such
    as memcpy."""


class MemoryCheck(_Part):
    """What the memory checker found.

    The checker follows undefined bits through registers and memory. To load or copy undefined bits is not a finding. An
    undefined bit that decides a branch, an address or an output is a finding.
    """

    allocator: Literal["faithful", "replaced", "sanitizer"]
    """``faithful``: the firmware's own allocator ran. ``replaced``: emu's allocator ran. ``sanitizer``:
    AddressSanitizer's allocator ran, on the build machine. The last two keep blocks apart and do not reuse freed
    blocks."""
    findings: list[MemoryFinding] = []
    """The findings in the order in which they were first made; findings in outputs that the host read come last."""
    suppressed: int = 0
    """The number of findings (not their times) that a suppression file removed."""
    cut: bool = False
    """Whether there were more findings than the record keeps."""
    taken_as_set: list[str] = []
    """The sections of the firmware whose variables count as set when it starts: ``kept_over_reset`` of the board."""


class CallPath(Location):
    """A function that was called on one path. The place is the function's start."""

    caller: int | None
    """The index of the caller's path, which is smaller than this path's index; None if the function has no caller."""
    self_instructions: int
    """The function's own instructions, without its callees'."""
    inclusive_instructions: int
    """The function's instructions, with its callees'."""
    times: int = 1
    """How often the recursion that ends here has been folded into this path: deeper calls count here, too."""


class Profile(_Part):
    """How the instructions of the boot and all inputs are spread over the code."""

    by_line: dict[str, dict[int, int]] = {}
    """Instructions by file and line."""
    without_line: int = 0
    """Instructions of code without line information. Together with ``by_line`` they add up to the total."""
    call_paths: list[CallPath] = []
    """The call paths, whose self counts add up to the total. After a tail call the callee takes its caller's place on
    the path, as in a debugger. A straight piece of code belongs to the function that it begins in."""
    cut: bool = False
    """Whether there were more paths than the record keeps. Instructions of the other paths count for their callers."""

    @model_validator(mode="after")
    def _callers_come_first(self) -> Self:
        for index, path in enumerate(self.call_paths):
            if path.caller is not None and not 0 <= path.caller < index:
                raise ValueError(f"call_paths.{index}.caller is {path.caller}, which is no earlier path")
        return self


class CoveredFunction(Location):
    """A function of the firmware."""

    executions: int
    """How often its first instruction ran."""


class Coverage(_Part):
    """The parts of the firmware's code that ran, over the boot and all inputs."""

    lines: dict[str, dict[int, int]] = {}
    """How often each line with code ran, by file; 0 if the line never ran. In one function, the line's most frequent
    instruction counts. The counts of several functions (copies of an inline function) are added up."""
    functions: list[CoveredFunction] = []
    """The functions by address, including functions that never ran."""


class WorstInput(_Part):
    """One input and its error."""

    index: int
    """The index of the input, from 0."""
    max_abs_error: float
    """The input's largest logit error."""
    predicted: int
    """The class of the firmware's largest logit; -1 if an output is NaN or infinite, or there is no answer. -1 also if
    the outputs are no classes."""
    expected: int
    """The class of the reference's largest logit; -1 if the outputs are no classes."""
    step: int | None = None
    """The step with the largest error, from 0, which ``predicted``, ``expected`` and ``label`` are about. A wrong class
    is worse than any error. None if the input has one set of outputs."""
    label: int | None = None
    """The true class, if labels are given."""
    not_numbers: int = 0
    """The number of the input's outputs that are NaN or infinite."""
    answered: bool = True
    """Whether the firmware answered the input; if not, its error is infinite."""


class ClassParity(_Part):
    """The inputs that the reference puts into one class; the steps of all inputs, if ``Parity.steps`` is a number."""

    index: int
    """The index of the class, from 0."""
    name: str | None = None
    """The name of the class, if the inputs come with names."""
    inputs: int
    """The number of inputs in the class."""
    predictions: dict[int, int]
    """The number of these inputs that the firmware puts into each class, most first. The class is -1 if an output is
    NaN or infinite, or if there is no answer."""
    max_abs_error: float | None
    """The largest logit error; None if the class has no inputs."""


class Errors(_Part):
    """The distance of the firmware's logits from one reference."""

    max_abs_error: float
    """The largest error of a logit."""
    mean_abs_error: float
    """The mean error over all logits of all inputs."""


class NotNumbers(_Part):
    """The outputs that are NaN or infinite."""

    outputs: int
    """The number of these outputs."""
    all_outputs: int
    """The number of all outputs in the firmware's answers."""
    inputs: int
    """The number of inputs that have such an output."""
    first_inputs: list[int]
    """The indices of the first ten of these inputs."""


class Parity(_Part):
    """The firmware's outputs against PyTorch's on the same inputs."""

    inputs: int
    """The number of inputs that were compared."""
    reference: str
    """The reference: PyTorch in float64 or in float32."""
    max_abs_error: float
    """The largest error of a logit."""
    mean_abs_error: float
    """The mean error over all logits of all inputs."""
    relative_mean_error: float
    """``mean_abs_error`` divided by the reference's largest absolute logit."""
    steps: int | None = None
    """The number of steps of an input, each with outputs of its own. None if outputs are those of a whole input, and in
    older records."""
    argmax_agreement: float | None = Field(ge=0, le=1)
    """The share of inputs, 0..1, for which firmware and reference have the same largest logit; the share of steps, if
    each has outputs. None if the outputs are no classes: outputs of each step without ``y`` and ``classes``."""
    worst_input: WorstInput
    """The input with the largest error; a wrong class is worse than any error."""
    worst_inputs: list[WorstInput] = []
    """The worst few inputs, worst first."""
    by_class: list[ClassParity] = []
    """Every class of the model, with its inputs; empty if the outputs are no classes."""
    float32: Errors | None = None
    """The errors against float32 PyTorch, if the inputs come with its logits."""
    label_accuracy: float | None = Field(default=None, ge=0, le=1)
    """The share of inputs (or steps), 0..1, whose true label the firmware finds, if labels are given."""
    not_numbers: NotNumbers | None = None
    """The outputs that are NaN or infinite; None if there are none, and in older records."""
    unanswered: int = 0
    """The number of inputs without an answer, all at the end: a fault ended the run. Their errors are infinite."""

    @property
    def compared(self) -> int:
        """The number of outputs with a class of their own: of inputs, or of the steps of all inputs."""
        return self.inputs * (self.steps or 1)

    @property
    def agreeing(self) -> int | None:
        """The number of ``compared`` for which firmware and reference have the same class; None without classes."""
        return None if self.argmax_agreement is None else round(self.argmax_agreement * self.compared)

    @property
    def unit(self) -> str:
        """What has a class: an input or a step."""
        return "input" if self.steps is None else "step"


class LayerError(_Part):
    """One intermediate tensor of one input against PyTorch's."""

    tensor: str
    """The tensor's name, such as ``layers.0.conv1d``."""
    max_abs_error: float
    """The largest error of an element."""
    largest: float
    """The reference tensor's largest absolute value."""
    diverged: bool
    """Whether the error is more than rounding."""


class Statement(_Part):
    """One part of emu's reading of a checkpoint."""

    what: str
    """The part, such as ``pooling``."""
    value: str
    """emu's reading of the part, as text for people."""
    source: Literal["module", "tensors", "stated", "config.json", "metadata", "assumed"]
    """How the part is known. ``module``: the module was in memory, and its own tensors agree. ``tensors``: names and
    shapes show it. ``stated``: the user said so, in the file next to the checkpoint or with ``--set``. ``config.json``
    and ``metadata``: the file next to the weights, or the weights' own metadata, says so. ``assumed``: nothing says
    so."""


class Reading(_Part):
    """emu's reading of a checkpoint: what the model computes."""

    statements: list[Statement]
    """The parts, in the order in which they are computed."""
    checked_inputs: int = 0
    """The number of inputs whose reference logits were compared with this reading, computed in float64. The comparison
    is made before anything is built, and a run is made only if they agree."""
    max_relative_error: float | None = None
    """The largest difference of the compared logits from the reading, relative to the largest reference logit. The
    reference's own rounding is a part of it. None if no input was compared."""


class Verdict(_Part):
    """One condition that had to hold."""

    name: str
    """What the condition is about."""
    ok: bool
    """Whether the condition holds."""
    value: str
    """The value found, as text for people."""
    limit: str
    """The value allowed, as text for people."""


class Failure(_Part):
    """A part of a run that emu could not make."""

    part: str
    """The part: ``layers``, ``second run`` or ``counts``."""
    detail: str
    """What went wrong, in a sentence."""
    exit_code: int
    """The exit code that `emu run` ends with because of this failure."""


class Run(_Part):
    """One model (or firmware) on one target."""

    model: str
    """What ran: a demo's name, or a file's name without its ending."""
    target: str
    """The board and the emulator, such as ``stm32h7-unicorn``."""
    firmware: Firmware
    memory: Memory
    stack: Stack = Stack()
    heap: Heap = Heap(attached=False)
    timeline: Timeline | None = None
    instructions: Instructions = Instructions()
    profile: Profile | None = None
    coverage: Coverage | None = None
    memory_check: MemoryCheck | None = None
    parity: Parity | None = None
    layers: list[LayerError] | None = None
    """One input's intermediate tensors against the model's: see ``layers_of``. None without ``--trace-layers``."""
    layers_of: Literal["module", "reading"] | None = None
    """Whose tensors ``layers`` are compared with: the module's own, or those that emu computes of the checkpoint, as it
    reads the file. None without ``--trace-layers``, and in older records, which have the latter."""
    reading: Reading | None = None
    """What the checkpoint was taken to compute; None for an image and for firmware that emu did not build."""
    faults: list[Fault] = []
    failures: list[Failure] = []
    """The parts that emu could not make. ``not_measured`` has the reason for what they leave out."""
    output: str = ""
    """The text that the firmware printed, or the end of a long text."""
    output_cut_bytes: int = 0
    """The number of bytes printed before ``output`` begins."""
    verdicts: list[Verdict] = []
    not_measured: dict[str, str] = {}
    """The reason why a figure or section is missing, by its name.

    The name is one of these:

    - a figure: a field of ``memory``, ``instructions`` or ``parity`` that holds a number;
    - a section of a run: ``coverage``, ``heap``, ``instructions``, ``layers``, ``memory_check``, ``parity``,
      ``profile``, ``stacks``, ``timeline``;
    - a part of a section: ``by_function``, ``leaks``, ``heap_region_bytes``, ``loads_by_region``, ``overhead_bytes``,
      ``stack_limit_bytes``, ``stores_by_region``;
    - ``limit of NAME``: the limit of the stack NAME;
    - ``covered_lines``: the lines in ``coverage``;
    - ``uninitialised values`` or ``errors of the heap``: findings that the memory check did not look for.
    """
    not_checked: list[str] = []
    """What a chip refuses and the emulator lets pass, a line each; a run without faults says nothing about these."""
    changed: list[str] = []
    """What the emulator ran otherwise than the ELF has it, a sentence each with the reason."""
    environment: dict[str, str] = {}
    """The versions of the programs that ran the firmware, and the system."""

    @property
    def on_board(self) -> bool:
        """Whether the run has figures of a board. A program for the build machine has none, and no limit applies."""
        return self.memory.flash_bytes is not None

    @property
    def other_stacks(self) -> list[StackUse]:
        """The stacks other than the one that the firmware starts on, which is the first of all if its peak is known."""
        return self.stack.stacks[self.memory.stack_peak_bytes is not None :]

    @property
    def ok(self) -> bool:
        """Whether every verdict holds."""
        return all(verdict.ok for verdict in self.verdicts)


class RunFile(_Part):
    """The file that ``emu run --json`` writes."""

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    """The version of this format."""
    runs: list[Run]

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def read_run_file(path: Path) -> RunFile:
    """Read a file of ``emu run --json``; raises InputError if the file is missing or not a run record."""
    return read_json(path, RunFile.model_validate, "a run record of `emu run --json`")
