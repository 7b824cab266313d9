"""The layouts of a file: of firmware that need not run, or of the runs in a record."""

from collections.abc import Mapping
from pathlib import Path

from emu.elf import is_elf
from emu.errors import InputError
from emu.firmware import Firmware
from emu.probes.layout import layout
from emu.probes.linker_map import LinkerMap, read_map
from emu.record import read_run_file
from emu.sizes import Layout, Space, layout_of
from emu.targets import Target


def read_layouts(
    path: Path, targets: Mapping[str, Target], target: Target | None = None, linker_map: Path | None = None
) -> list[Layout]:
    """Return the layout of an ELF, or of each run in a record.

    The board of an ELF is that of ``target``, or the first one whose memory holds the ELF. The linker's map is
    ``linker_map``, or the file FIRMWARE.map next to FIRMWARE.elf if it is of this ELF. Raises InputError if the file
    cannot be read, if no board fits, if the map is of another ELF, or if a record has no layout.
    """
    if is_elf(path):
        return [_of_elf(path, targets, target, linker_map)]
    if linker_map is not None:
        raise InputError(f"--map needs an ELF, and {path} is none")
    layouts = [found for run in read_run_file(path).runs if (found := layout_of(run)) is not None]
    if not layouts:
        raise InputError(f"{path}: no layout in it; record it again with `emu run --json`, on a target with a board")
    return layouts


def _of_elf(path: Path, targets: Mapping[str, Target], target: Target | None, linker_map: Path | None) -> Layout:
    firmware = Firmware.load(path, target) if target is not None else _on_first_board(path, targets)
    board = firmware.board
    spaces = [Space(r.name, r.start, r.size, r.writable) for r in board.memory if r.kind == "memory"]
    return Layout(f"{path.stem} on {board.name}", spaces, layout(firmware, _find_map(path, firmware, linker_map)))


def _on_first_board(path: Path, targets: Mapping[str, Target]) -> Firmware:
    reasons = {}
    for target in {each.board.name: each for each in targets.values() if each.board.memory}.values():
        try:
            return Firmware.load(path, target)
        except InputError as error:
            reasons[target.board.name] = str(error)
    why = "; ".join(dict.fromkeys(reasons.values()))
    raise InputError(f"{path} fits no known board: {why}; give your own with --board FILE.toml")


def _find_map(path: Path, firmware: Firmware, given: Path | None) -> LinkerMap | None:
    if given is not None:
        found = read_map(given)
        if not found.is_of(firmware.sections):
            raise InputError(f"{given} is not the map of {path}: its sections are at other addresses; link again")
        return found
    beside = [path.with_suffix(".map"), path.with_name(f"{path.name}.map")]
    for candidate in beside:
        if candidate.is_file():
            try:
                found = read_map(candidate)
            except InputError:  # a file of another kind
                continue
            if found.is_of(firmware.sections):
                return found
    return None
