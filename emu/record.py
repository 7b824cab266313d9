"""The run record: plain data about one run, the only thing that verdicts and reports read.

Its JSON form is a contract with other programs (schema 1): a field may be added, never renamed or removed without a
new schema number. A figure that was not measured is ``None``, and ``Run.not_measured`` gives the reason.
"""

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emu.reading import read_json

SCHEMA = 1


class _Part(BaseModel):
    # An infinite error (an output that is no number) has to survive the way through JSON.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    @model_validator(mode="after")
    def _has_numbers_that_a_run_can_have(self) -> Self:
        for name in type(self).model_fields:
            if not _is_possible(getattr(self, name)):
                raise ValueError(f"{name} has a number that no run can have")
        return self


def _is_possible(value: object) -> bool:
    """Return whether a figure, or each in a table of them, has at most 64 bits and is not NaN; an error may be inf."""
    if isinstance(value, dict):
        return all(_is_possible(key) and _is_possible(each) for key, each in value.items())
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 64
    return not (isinstance(value, float) and math.isnan(value))


class Location(_Part):
    """A place in the firmware; every part is None where the debug information does not say."""

    function: str | None = None
    """The function's name."""
    file: str | None = None
    """The source file, as the debug information names it."""
    line: int | None = None
    """The line in it."""


class Frame(Location):
    """One frame of the stack, innermost first."""

    pc: int
    """The instruction in the function: the call's, but for the innermost frame."""
    frame_bytes: int | None
    """None where there is no unwind information for the frame."""


class Fault(Location):
    """Something that the firmware must not do, with the place where it did it."""

    kind: str
    """``unmapped_read``, ``unmapped_write``, ``unmapped_fetch``, ``write_to_read_only``, ``fetch_from_no_execute``,
    ``invalid_instruction``, ``exception``, ``breakpoint``, ``stack_overflow``, ``instruction_budget``, ``time_limit``,
    ``wait_for_interrupt``, ``firmware_error``, ``semihosting``, ``emulator_lost``; on the build machine ``signal``,
    ``undefined_behaviour`` and the kinds of ``MemoryFinding``; and those after which
    the firmware runs on: ``double_free``, ``invalid_free``, ``heap_meets_stack``."""
    address: int | None = None
    """What was accessed; None where the fault is no access."""
    pc: int | None = None
    """The instruction."""
    detail: str
    """What happened, in a sentence."""
    backtrace: list[Frame] = []


class Firmware(_Part):
    """The ELF that ran."""

    path: str
    """Where it was."""
    sha256: str
    """Of the file's bytes."""
    toolchain: str | None
    """What the compiler says it is; None where the ELF does not have it."""


class RegionUse(_Part):
    """One memory of the board, with the figures of ``Memory`` that are in it."""

    name: str
    """As in the board file."""
    size_bytes: int
    """Of the whole memory."""
    static_bytes: int
    """What a programmer writes to flash; in RAM what ``static_ram_bytes`` counts."""
    mailbox_bytes: int = 0
    """What exists only under test."""
    stack_bytes: int | None = 0
    """Reserved peaks of the stacks that ``ram_peak_bytes`` counts. None if the stacks were not measured."""
    heap_bytes: int | None = 0
    """What ``ram_peak_bytes`` counts of the heap; None if it is not known which memory the heap is in."""


class SymbolUse(_Part):
    """The bytes that a function or a variable has in one kind of memory."""

    name: str
    """Of the function or the variable."""
    bytes: int
    """Its size."""


class Memory(_Part):
    """Bytes of each kind of memory; none was measured where the firmware ran on no board."""

    flash_bytes: int | None = None
    """What a programmer writes: code, constants, and the values that variables begin with."""
    static_ram_bytes: int | None = None
    """Variables: what is reserved before ``main``, without stacks, the heap and the mailbox."""
    stack_peak_bytes: int | None = None
    """Reserved: from the initial stack pointer to the lowest one ever held.

    The three ``stack_`` figures are those of the stack that the firmware starts on; where it changes to others,
    ``Stack.stacks`` has each."""
    stack_touched_bytes: int | None = None
    """From the initial stack pointer to the lowest byte ever written."""
    stack_limit_bytes: int | None = None
    """How far the stack may grow; None where nothing tells."""
    heap_peak_bytes: int | None = None
    """The most live bytes at any time, as asked for."""
    ram_peak_bytes: int | None = None
    """Static RAM, what the allocator took (``Heap.taken_beside_static_bytes``), and the reserved peak of every stack.

    What is in static RAM already is not counted again: heap blocks inside a variable (such as FreeRTOS's ``ucHeap``),
    and stacks that are variables. Neither are stacks inside heap blocks. The mailbox exists only under test, and is not
    in it."""
    mailbox_bytes: int | None = 0
    """What takes inputs and outputs, only under test; in no other figure."""
    by_region: list[RegionUse] = []
    """Each memory that holds something."""
    flash_symbols: list[SymbolUse] = []
    """The largest of what ``flash_bytes`` consists of, largest first: functions, constants, and initial values."""
    static_ram_symbols: list[SymbolUse] = []
    """The same of ``static_ram_bytes``."""


class StackUse(_Part):
    """One of the firmware's stacks; frames of interrupts are in none, as they are not simulated."""

    name: str
    """The variable that it is, or what it is to the core."""
    pointer: Literal["MSP", "PSP", "a1"]
    """The register that is at its lower end."""
    top: int
    """The address that it grows down from."""
    limit_bytes: int | None
    """None where nothing tells how far it may grow."""
    peak_bytes: int
    """Reserved: from ``top`` to the lowest stack pointer."""
    backtrace: list[Frame] = []
    """At its peak; it ends where the stack begins."""


class Stack(_Part):
    """The stack that the firmware starts on, at its peak."""

    backtrace: list[Frame] = []
    stacks: list[StackUse] = []
    """Every stack that SP was on, that one first."""
    second_run: bool = False
    """Whether the peak was measured in a run of its own, the same again, beside the one that has the other figures."""


class Allocations(Location):
    """Live allocations that were made on one call path; the place is the call of the allocator."""

    call_site: int
    """What the call returns to."""
    bytes: int
    """Of all of them, as asked for."""
    allocations: int
    """How many there are."""
    backtrace: list[Frame] = []
    """The callers, from the one that called the allocator outwards."""


class FailedAllocations(Location):
    """Allocations made on one call path that the allocator refused, which a program may well expect."""

    call_site: int
    """What the call returns to."""
    largest_bytes: int
    """The most that was asked for."""
    failures: int
    """How many calls were refused."""
    live_bytes: int | None = None
    """What was live when the most was asked for, as asked for."""
    free_bytes: int | None = None
    """What no live block held then, of the memory that the allocator had; headers are in it. None if nothing tells
    which memory that is."""
    largest_free_bytes: int | None = None
    """The longest piece of ``free_bytes`` between two blocks."""
    sbrk_refused: bool = False
    """Whether ``_sbrk`` refused more memory then."""
    backtrace: list[Frame] = []


class Heap(_Part):
    """What the allocator was asked for. Where one allocator calls another, the outermost call counts."""

    attached: bool
    """Whether an allocator was found and followed; if not, all else here is missing, but for calls in ``failed`` that
    were seen to be refused."""
    peak_live_bytes: int | None = None
    """The most live bytes at any time, as asked for."""
    peak_beside_static_bytes: int | None = None
    """The same of those blocks alone that do not lie in static variables, where static RAM has them already."""
    taken_beside_static_bytes: int | None = None
    """What ``ram_peak_bytes`` counts of the heap, without what lies in static variables: all that ``_sbrk`` gave, and
    the most live bytes at any time of blocks that come from elsewhere. None in older records, in which
    ``ram_peak_bytes`` counts ``peak_beside_static_bytes``."""
    peak: list[Allocations] = []
    """What was live at the (first) peak, largest first: the bytes add up to ``peak_live_bytes``. Where there are more
    than 500 call paths, the smaller ones are put together by the place of the call, without its callers."""
    heap_region_bytes: int | None = None
    """From the first break to the highest: what the allocator took from ``_sbrk``."""
    overhead_bytes: int | None = None
    """``heap_region_bytes`` - ``peak_live_bytes``: headers, rounding, and what lay free or unused."""
    allocations: int | None = None
    """Calls that gave a block."""
    frees: int | None = None
    """Calls that took one back."""
    failed_allocations: int | None = None
    """Calls that were refused."""
    failed: list[FailedAllocations] = []
    live_at_exit_bytes: int | None = None
    """What was live when the run ended."""
    leaks: list[Allocations] = []
    """What was live at the end, largest first."""


class Timeline(_Part):
    """Stack and heap against instructions, in intervals of equal length from reset on; the last one may be shorter."""

    interval_instructions: int
    """The length of an interval."""
    stack_bytes: list[int]
    """The most in each interval; the most of all is the stack's peak."""
    heap_bytes: list[int] | None = None
    """The same of live bytes; None where the heap was not measured."""


class Instructions(_Part):
    """Retired instructions; an instruction that an IT block skips counts as one, as the core fetches and retires it."""

    per_inference: int | None = None
    """The largest count of any input."""
    per_inference_smallest: int | None = None
    """The smallest."""
    total: int | None = None
    """Boot and all inputs."""
    inferences: int | None = None
    """Inputs that were answered; None where the firmware was given none."""
    by_function: dict[str, int] = {}
    """Self counts over the whole run, largest first; they add up to ``total``."""
    loads_by_region: dict[str, int] | None = None
    """Loads from each memory of the board; None without ``--traffic``."""
    stores_by_region: dict[str, int] | None = None
    """The same of stores."""


class Origin(Location):
    """Where an undefined value was loaded first; the place is the instruction's."""

    pc: int
    """The instruction."""
    address: int
    """Of its lowest undefined byte."""
    memory: str
    """Whose memory ``address`` is in, or near."""


class MemoryFinding(Fault):
    """An error that the memory checker found, once for each instruction that made it.

    All but ``times`` is of the first time. The backtrace begins with the instruction's own function, which may be one
    of the C library.

    Its kind is ``uninitialised_branch``, ``uninitialised_address``, ``uninitialised_output``, ``unaligned_access``,
    ``write_to_read_only``, or one of ``heap_out_of_bounds``, ``use_after_free``, ``null_pointer`` with ``_read`` or
    ``_write`` behind it, or ``read_`` or ``write_`` before ``below_stack``, ``outside_objects``.
    """

    memory: str | None = None
    """Whose memory ``address`` is in, or near; None where the error is in no access (a branch)."""
    origin: Origin | None = None
    """Of the undefined value; None for other kinds, and where bytes were handed out that no instruction loaded."""
    times: int = 1
    """How often the instruction made the error."""


class MemoryCheck(_Part):
    """What the memory checker found.

    It follows undefined bits through registers and memory: a load or a copy of one is no finding, but it is one where
    it reaches a branch, an address or an output.
    """

    allocator: Literal["faithful", "replaced", "sanitizer"]
    """Whether the firmware's own allocator ran, or one that keeps blocks apart and freed ones out of use: emu's, or
    AddressSanitizer's on the build machine."""
    findings: list[MemoryFinding] = []
    """In the order in which they were first made, those of outputs that the host read last."""
    suppressed: int = 0
    """Findings (not their times) that a suppression file took out."""
    cut: bool = False
    """Whether there were more findings than are kept."""


class CallPath(Location):
    """A function as it was called on one path; the place is the function's start."""

    caller: int | None
    """Index of the caller's path, which comes before this one; None where the function is the first."""
    self_instructions: int
    """Its own, without those of what it called."""
    inclusive_instructions: int
    """With those of everything that it called."""


class Profile(_Part):
    """Where the instructions went, over the boot and all inputs."""

    by_line: dict[str, dict[int, int]] = {}
    """Instructions by file and line."""
    without_line: int = 0
    """Instructions of code without line information; with those of ``by_line`` they add up to the total."""
    call_paths: list[CallPath] = []
    """Their self counts add up to the total. After a tail call the callee has its caller's place on the path, as in a
    debugger; a straight piece of code belongs to the function that it begins in."""
    cut: bool = False
    """Whether there were more paths than are kept: the instructions of the rest count for their callers."""

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
    """What ran of the firmware's code, over the boot and all inputs."""

    lines: dict[str, dict[int, int]] = {}
    """How often each line with code ran, by file: of its instructions in one function the one that ran most counts,
    and functions (copies of an inline function) are added up. 0 where it never ran."""
    functions: list[CoveredFunction] = []
    """By address, with those that were never entered."""


class WorstInput(_Part):
    """One input and its error."""

    index: int
    """Which input, from 0."""
    max_abs_error: float
    """Its largest logit error."""
    predicted: int
    """The class of the firmware's largest logit; -1 where an output is not a number."""
    expected: int
    """The class of the reference's."""
    label: int | None = None
    """The true class, where labels are given."""


class ClassParity(_Part):
    """The inputs that the reference puts into one class."""

    index: int
    """The class, from 0."""
    name: str | None = None
    """Its name, where the inputs come with names."""
    inputs: int
    """How many there are."""
    predictions: dict[int, int]
    """How many of them the firmware puts into which class, most first; -1 where an output is not a number."""
    max_abs_error: float | None
    """None where there are no such inputs."""


class Errors(_Part):
    """Distance of the firmware's logits from one reference."""

    max_abs_error: float
    """The largest of any logit."""
    mean_abs_error: float
    """The mean over all logits of all inputs."""


class Parity(_Part):
    """The firmware's outputs against PyTorch's on the same inputs."""

    inputs: int
    """How many were compared."""
    reference: str
    """What with: PyTorch in float64 or in float32."""
    max_abs_error: float
    """The largest of any logit."""
    mean_abs_error: float
    """The mean over all logits of all inputs."""
    relative_mean_error: float
    """``mean_abs_error`` over the reference's largest absolute logit."""
    argmax_agreement: float = Field(ge=0, le=1)
    """Share of inputs, 0..1, on which the largest logit is the reference's."""
    worst_input: WorstInput
    """A wrong class is worse than any distance."""
    worst_inputs: list[WorstInput] = []
    """The worst few, that one first."""
    by_class: list[ClassParity] = []
    """Every class of the model."""
    float32: Errors | None = None
    """The same distances from float32 PyTorch, where the inputs come with its logits."""
    label_accuracy: float | None = Field(default=None, ge=0, le=1)
    """Share of inputs on which the firmware is right about the true label, where labels are given."""


class LayerError(_Part):
    """One intermediate tensor of one input against PyTorch's."""

    tensor: str
    """Its name, such as ``layers.0.conv1d``."""
    max_abs_error: float
    """The largest of any element."""
    largest: float
    """The reference tensor's largest absolute value."""
    diverged: bool
    """Whether that is more than rounding."""


class Verdict(_Part):
    """One thing that had to hold."""

    name: str
    """What it is about."""
    ok: bool
    """Whether it holds."""
    value: str
    """What was found, for people."""
    limit: str
    """What it was held to, for people."""


class Run(_Part):
    """One model (or firmware) on one target."""

    model: str
    """What ran: a demo's name, or the file's without its ending."""
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
    faults: list[Fault] = []
    output: str = ""
    """What the firmware printed: all of it, or its end."""
    output_cut_bytes: int = 0
    """What it printed before ``output`` begins."""
    verdicts: list[Verdict] = []
    not_measured: dict[str, str] = {}
    """Why something is missing, by its name.

    The name is one of these:

    - a figure: a field of ``memory``, ``instructions`` or ``parity`` that holds a number;
    - a section of a run: ``coverage``, ``heap``, ``instructions``, ``memory_check``, ``parity``, ``profile``,
      ``stacks``, ``timeline``;
    - a part of a section: ``by_function``, ``leaks``, ``heap_region_bytes``, ``loads_by_region``, ``overhead_bytes``,
      ``stack_limit_bytes``, ``stores_by_region``;
    - ``limit of NAME``: the limit of the stack NAME;
    - ``covered_lines``: the lines in ``coverage``;
    - ``uninitialised values`` or ``errors of the heap``: findings that the memory check did not look for.
    """
    environment: dict[str, str] = {}
    """Versions of what ran it."""

    @property
    def on_board(self) -> bool:
        """Whether it says something about a board: a program for the build machine has no figures to limit."""
        return self.memory.flash_bytes is not None

    @property
    def ok(self) -> bool:
        """Whether every verdict holds."""
        return all(verdict.ok for verdict in self.verdicts)


class RunFile(_Part):
    """What ``emu run --json`` writes."""

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    """The version of this format."""
    runs: list[Run]

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def read_run_file(path: Path) -> RunFile:
    """Read what ``emu run --json`` wrote; raises InputError if it is missing or something else."""
    return read_json(path, RunFile.model_validate, "a run record of `emu run --json`")
