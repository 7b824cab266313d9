"""The memory of a machine in Renode, exchanged in files, and if possible in the request of a run."""

from dataclasses import dataclass, field
from pathlib import Path

from emu.machines.renode.monitor import Monitor, dump, load
from emu.machines.renode.robot_server import RenodeError

Place = tuple[int, int]
"""An address and a number of bytes."""

_ANSWER_SECONDS = 30.0


@dataclass
class Memory:
    """The memory of a stopped machine. All methods raise RenodeError if Renode refuses or does not answer."""

    monitor: Monitor
    directory: Path
    _known: dict[Place, bytes] = field(default_factory=dict)
    _wanted: dict[Place, None] = field(default_factory=dict)
    """Places read since the last stop, in order; they will probably be read again after the next stop."""
    _written: list[tuple[int, bytes]] = field(default_factory=list)
    """Writes that must happen before the next read or run."""
    _files: int = 0

    def write(self, address: int, data: bytes) -> None:
        """Replace memory; the write happens before the next read or run."""
        self._written.append((address, bytes(data)))
        self._known = {place: held for place, held in self._known.items() if not _overlap(place, (address, len(data)))}

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes."""
        place = (address, size)
        self._wanted[place] = None
        if place not in self._known:
            self._known |= self.read_all([place])
        return self._known[place]

    def read_all(self, places: list[Place]) -> dict[Place, bytes]:
        """Return the contents of several places, in one request."""
        files = self.new_files(places)
        commands = [*self.commands_to_write(), *dumps(files)]
        lines = self.monitor.run(commands, _ANSWER_SECONDS) if commands else []
        if lines:
            raise RenodeError(f"Renode answers {commands} with {lines}, but no answer was expected")
        return _contents(files)

    def commands_to_write(self) -> list[str]:
        """Return the commands of the pending writes; the caller must run them."""
        commands = []
        for address, data in self._written:
            (path,) = self.new_files([(address, len(data))]).values()
            path.write_bytes(data)
            commands.append(load(path, address))
        self._written = []
        return commands

    def places_to_fetch(self) -> list[Place]:
        """Return the places to fetch within the next run, and forget all contents."""
        places = list(self._wanted)
        self._known, self._wanted = {}, {}
        return places

    def fetched(self, files: dict[Place, Path]) -> None:
        """Take the contents that a run has fetched."""
        self._known = _contents(files)

    def new_files(self, places: list[Place]) -> dict[Place, Path]:
        """Return the path of a new file for the contents of each place."""
        first, self._files = self._files, self._files + len(places)
        return {place: self.directory / f"memory{first + index}" for index, place in enumerate(places)}


def dumps(files: dict[Place, Path]) -> list[str]:
    """Return the commands that write each place to its file."""
    return [dump(address, size, path) for (address, size), path in files.items()]


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < sum(other) and other[0] < sum(one)


def _contents(files: dict[Place, Path]) -> dict[Place, bytes]:
    """Return the contents of Renode's files; raises RenodeError if a file is missing or has another size."""
    contents = {}
    for (address, size), path in files.items():
        data = path.read_bytes() if path.exists() else b""
        if len(data) != size:
            raise RenodeError(f"dump_file has written {len(data)} of {size} bytes of memory at {address:#010x}")
        contents[address, size] = data
        path.unlink()
    return contents
