"""The evidence for a figure or a fault, in plain lines: frames, places, allocations, classes that disagree."""

from collections.abc import Iterable, Iterator

from emu.record import FailedAllocations, Fault, Frame, Heap, MemoryFinding, Parity
from emu.wording import call_path, class_number, counted, error_of, frame_note, function_of, kind, number_of, place

_MOST_PLACES = 4


def where(fault: Fault) -> str:
    """Return the place of a fault, such as ``in limit filter.c:21 (pc 0x0800002a)``, as far as it is known.

    Under an RTOS the name of the task is the last part.
    """
    parts = [f"in {fault.function}" if fault.function else "", place(fault)]
    parts.append(f"(pc {fault.pc:#010x})" if fault.pc is not None else "")
    parts.append(f"in the task {fault.task}" if fault.task is not None else "")
    return " ".join(part for part in parts if part)


def refusal_note(failed: FailedAllocations) -> str:
    """Return the allocator's live bytes and its own memory when it refused, as far as they are known."""
    live, free, largest = failed.live_bytes, failed.free_bytes, failed.largest_free_bytes
    notes = [] if live is None else [f"{live:,} B live"]
    if free is not None and largest is not None:
        of = "" if failed.taken_bytes is None else f" of the {failed.taken_bytes:,} B that it has taken"
        notes.append(f"{free:,} B free{of}, at most {largest:,} B in one piece")
    return ", ".join([*notes, *(["_sbrk refused more"] if failed.sbrk_refused else [])])


def refusals(heap: Heap) -> Iterator[str]:
    """Yield a line for each call path to which the allocator refused memory; only their number, if no path is known."""
    for failed in heap.failed:
        times, note = counted(failed.failures, "time"), refusal_note(failed)
        what = f"{failed.largest_bytes:,} B to {' < '.join(call_path(failed.backtrace))} {place(failed)}".rstrip()
        yield f"{what}, {times}" + (f"; then {note}" if note else "")
    if heap.failed_allocations and not heap.failed:
        yield counted(heap.failed_allocations, "call")


def frame_lines(frames: Iterable[Frame]) -> Iterator[str]:
    """Yield a line for each frame, innermost first."""
    for frame in frames:
        bytes_ = "?" if frame.frame_bytes is None else f"{frame.frame_bytes:,} B"
        yield f"{bytes_:>10}  {function_of(frame)}  {place(frame)} {frame_note(frame)}".rstrip()


def fault_lines(fault: Fault, notes: Iterable[str] = ()) -> Iterator[str]:
    """Yield the lines of a fault: its kind and detail, its place, ``notes``, and its backtrace."""
    yield f"{kind(fault.kind)}: {fault.detail}"
    if where(fault):
        yield f"  {where(fault)}"
    yield from (f"  {note}" for note in notes)
    yield from frame_lines(fault.backtrace)


def finding_lines(finding: MemoryFinding) -> Iterator[str]:
    """Yield the lines of a memory error."""
    return fault_lines(finding, finding_notes(finding))


def finding_notes(finding: MemoryFinding) -> list[str]:
    """Return notes on a memory error: whose memory it is, the origin of the value, and how often it happened."""
    notes = []
    if finding.memory is not None and finding.address is not None:
        notes.append(f"{finding.address:#010x} is {finding.memory}")
    if finding.origin is not None:
        origin = finding.origin
        source = f"{origin.function or f'{origin.pc:#010x}'} {place(origin)}".rstrip()
        notes.append(f"first loaded in {source} from {origin.address:#010x}, {origin.memory}")
    if finding.times > 1:
        notes.append(counted(finding.times, "time"))
    if finding.others:
        places = list(dict.fromkeys(place(other) or f"{other.pc:#010x}" for other in finding.others))
        more = ", ..." if len(places) > _MOST_PLACES else ""
        by = counted(len(finding.others), "other instruction")
        notes.append(f"the same mistake by {by}: {', '.join(places[:_MOST_PLACES])}{more}")
    return notes


def class_name(parity: Parity, index: int) -> str:
    """Return the name of a class, or its number if it has no name; ``no class`` for -1."""
    names = {each.index: each.name for each in parity.by_class}
    return names.get(index) or class_number(index)


def disagreements(parity: Parity) -> list[str]:
    """Return a line for each pair of classes that the firmware confuses, the most frequent first."""
    pairs = [
        (number, each.index, said)
        for each in parity.by_class
        for said, number in each.predictions.items()
        if said != each.index
    ]
    return [
        f"{counted(number, parity.unit)}: {_opinions(parity, expected, said)}"
        for number, expected, said in sorted(pairs, key=lambda pair: -pair[0])
    ]


def worst_inputs(parity: Parity) -> list[str]:
    """Return a line for each of the worst inputs, the worst first."""
    lines = []
    for worst in parity.worst_inputs or [parity.worst_input]:
        opinions = "" if parity.agreeing is None else f", {_opinions(parity, worst.expected, worst.predicted)}"
        lines.append(f"input {number_of(worst)}: {error_of(worst)}{opinions}")
    return lines


def _opinions(parity: Parity, expected: int, said: int) -> str:
    return f"PyTorch says {class_name(parity, expected)}, the firmware {class_name(parity, said)}"
