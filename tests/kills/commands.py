"""The commands that the test ends, each with its own directories for outputs, cache and temporary files."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from emu.model.sources import find_model

PACKAGE = Path(__file__).parents[2]
RUN = ("--json", "r.json", "--report", "report")
COMMANDS = {
    "run in Unicorn": ("run", "har", "--limit", "3", *RUN, "-t", "stm32h7-unicorn", "--profile", "--memcheck"),
    "run in QEMU": ("run", "har", "--limit", "3", *RUN, "-t", "stm32h7-qemu", "--coverage"),
    "run in Renode": ("run", "../given/program.elf", *RUN, "-t", "stm32h7-renode", "--stack-peak"),
    "run as a process": ("run", "har", "--limit", "3", *RUN, "-t", "host-native"),
    "export": ("export", str(find_model("har").path), "-o", "har.mamba", "--header", "har.h"),
    "build": ("build", "har", "-t", "stm32h7-unicorn", "-o", "har.elf"),
    "report": ("report", "../given/r.json", "--html", "page.html", "--markdown", "page.md", "--junit", "page.xml"),
    "diff": ("diff", "../given/r.json", "../given/r.json"),
}


@dataclass(frozen=True)
class Place:
    """The directories of one command."""

    root: Path
    renode: Path
    """The program that speaks Renode's protocol."""

    def __post_init__(self) -> None:
        for name in ("out", "cache", "temporary", "given"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MISBEHAVE"))}
        own = {"XDG_CACHE_HOME": str(self.root / "cache"), "TMPDIR": str(self.root / "temporary")}
        return {**kept, **own, "EMU_RENODE": str(self.renode), "PYTHONPATH": str(PACKAGE)}

    def outputs(self) -> dict[str, bytes]:
        """Return what the command wrote, with the name of the place taken out."""
        root, out = str(self.root).encode(), self.root / "out"
        files = (path for path in out.rglob("*") if path.is_file() and path not in self._drafts())
        return {str(path.relative_to(out)): path.read_bytes().replace(root, b"PLACE") for path in files}

    def left_over(self) -> list[str]:
        """Return the temporary files, drafts and locks that exist."""
        emu = self.root / "cache" / "emu"
        found = [*(self.root / "temporary").iterdir(), *self._drafts()]
        found += [path for name in ("drafts", "locks") if (emu / name).is_dir() for path in (emu / name).iterdir()]
        return sorted(str(path.relative_to(self.root)) for path in found)

    def processes(self) -> list[str]:
        """Return the processes whose environment or arguments name this place."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    arguments = (entry / "cmdline").read_bytes()
                    if str(self.root).encode() in (entry / "environ").read_bytes() + arguments:
                        found.append(arguments.replace(b"\0", b" ").decode(errors="replace"))
                except OSError:  # the process has ended meanwhile
                    continue
        return found

    def _drafts(self) -> list[Path]:
        return [*(self.root / "out").rglob(".emu-*")]


def command(name: str) -> list[str]:
    return [sys.executable, "-m", "emu", *COMMANDS[name]]
