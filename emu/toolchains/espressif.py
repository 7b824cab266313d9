"""Espressif's GCC for the ESP32-S3, where ESP-IDF put it.

It compiles for the S3's own core. The one that QEMU emulates (``de233_fpu``) differs in two ways that compiled code can
tell: it has 32 address registers and not 64, which all code for the windowed ABI bears, and it lacks the products of 64
bits (``muluh``, ``mulsh``). GCC uses those to multiply to 64 bits and to divide by constants, and so does its libgcc:
such code ends in an illegal instruction under QEMU, and no option avoids it. This is what the two cores' descriptions
say; nobody has run it. So a compiler that was built for the emulated core goes first if there is one.

``xtensa-esp-elf-gcc``, the compiler for all of Espressif's chips, is not looked for: it must be told the chip, and
``xtensa-esp32s3-elf-gcc``, which stands beside it in every release, is the command that does.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_COMMAND = "xtensa-esp32s3-elf-gcc"
_PACKAGES = ("xtensa-esp-elf", "xtensa-esp32s3-elf")  # as ESP-IDF 5.2 and later call it, and as earlier ones did


def espressif_compilers() -> Iterator[Path]:
    """Yield the compilers that are there: on the PATH, under ``IDF_TOOLS_PATH``, in ``~/.espressif``; newest first."""
    on_path = shutil.which(_COMMAND)
    if on_path is not None:
        yield Path(on_path)
    given = os.environ.get("IDF_TOOLS_PATH")
    for root in [*([Path(given)] if given else []), Path.home() / ".espressif"]:
        found = [
            path for package in _PACKAGES for path in (root / "tools").glob(f"{package}/*/{package}/bin/{_COMMAND}")
        ]
        yield from sorted((path for path in found if os.access(path, os.X_OK)), key=_release, reverse=True)


def _release(compiler: Path) -> tuple[list[int], list[int]]:
    """Return what a release is ordered by: GCC's version, then all numbers of its name (``esp-2022r1-11.2.0``)."""
    name = compiler.parents[2].name
    version = re.search(r"\d+\.\d+\.\d+", name)
    return _numbers(version[0] if version else ""), _numbers(name)


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]
