"""Finds the files that are not Python: the C engine, linker scripts, boards and demo models."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the directory or file ``name`` (for example ``"runtime"`` or ``"targets/stm32h7.toml"``).

    A wheel carries these files inside the package; a checkout keeps them next to it.
    """
    installed = _PACKAGE / "resources" / name
    return installed if installed.exists() else _PACKAGE.parent / name
