"""What a chip refuses and an emulator lets pass, as Markdown."""

from collections.abc import Iterator

from emu.emulators import EMULATORS


def describe() -> str:
    """Return a table with a row for each emulator."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| Emulator | What it does not check |"
    yield "|---|---|"
    for name, emulator in EMULATORS.items():
        yield f"| {name} | {'<br>'.join(emulator.not_checked)} |"
