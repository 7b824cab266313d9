"""The record of a run, made from its measurements and its answers."""

import platform
from collections.abc import Mapping

import emu
from emu.firmware import Firmware
from emu.machines import Measurements
from emu.probes.footprint import largest_symbols
from emu.probes.layout import layout
from emu.record import Firmware as FirmwareRecord
from emu.record import Instructions, Memory, RegionUse, Run
from emu.run.driving import Served
from emu.run.emulators import emulator_version
from emu.run.failures import failure
from emu.targets import Region, Target


def make_record(firmware: Firmware, name: str, target: Target, measured: Measurements, served: Served) -> Run:
    """Return the record of a run, without parity and verdicts."""
    counted = [] if "instructions" in measured.not_measured else served.instructions
    counts = [count for count in counted if count is not None]
    memory = _memory(firmware, measured)
    not_measured = dict(measured.not_measured)
    if not counts:
        not_measured.setdefault("per_inference", not_measured.get("instructions", "no input was answered"))
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
        failures=[failure("counts", error) for error in measured.failures],
        output=measured.output,
        output_cut_bytes=measured.output_cut_bytes,
        not_measured=not_measured,
        not_checked=list(target.emulator.not_checked),
        not_modelled=list(measured.not_modelled),
        changed=list(measured.changed),
        environment={
            "emu": emu.__version__,
            **emulator_version(target),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
    )


def _memory(firmware: Firmware, measured: Measurements) -> Memory:
    board = firmware.board
    if not board.memory:
        return Memory(mailbox_bytes=None)
    static, heap = firmware.static_ram_bytes, measured.heap.taken_beside_static_bytes
    stacks = measured.stack_bytes_by_region
    return Memory(
        flash_bytes=firmware.flash_bytes,
        static_ram_bytes=static,
        stack_peak_bytes=measured.stack_peak_bytes,
        stack_touched_bytes=measured.stack_touched_bytes,
        stack_limit_bytes=measured.stack_limit_bytes,
        heap_peak_bytes=measured.heap.peak_live_bytes,
        ram_peak_bytes=None if heap is None or stacks is None else static + heap + sum(stacks.values()),
        mailbox_bytes=firmware.mailbox_bytes,
        by_region=_by_region(firmware, measured),
        flash_symbols=largest_symbols(firmware, [region for region in board.memory if not region.writable]),
        static_ram_symbols=largest_symbols(firmware, board.ram),
        layout=layout(firmware),
    )


def _by_region(firmware: Firmware, measured: Measurements) -> list[RegionUse]:
    heap, stacks = measured.heap.taken_beside_static_bytes, measured.stack_bytes_by_region
    heaps = {measured.heap_region: heap} if measured.heap_region is not None else {} if heap == 0 else None
    uses = []
    for region in firmware.board.memory:
        use = RegionUse(
            name=region.name,
            size_bytes=region.size,
            start=region.start,
            is_ram=region.writable,
            static_bytes=firmware.static_bytes_in(region),
            mailbox_bytes=firmware.mailbox_bytes_in(region),
            stack_bytes=_share(stacks, region),
            heap_bytes=_share(heaps, region),
        )
        has_heap = use.heap_bytes or region.name == measured.heap_region
        if use.static_bytes or use.mailbox_bytes or use.stack_bytes or has_heap:
            uses.append(use)
    return uses


def _share(by_region: Mapping[str, int | None] | None, region: Region) -> int | None:
    """Return the bytes of the heap or the stacks in a memory, or None if they are not known."""
    if by_region is None:
        return None if region.writable else 0
    return by_region.get(region.name, 0)
