"""Find Espressif's GCC for the ESP32-S3 in the folders of ESP-IDF.

Espressif's GCC compiles for the ESP32-S3's own core. QEMU emulates the core ``de233_fpu``, which differs in two ways:

- The emulated core has 32 address registers instead of 64. All code for the windowed ABI works with 32.
- The emulated core lacks the products of 64 bits (``muluh``, ``mulsh``). GCC and its libgcc use these instructions to
  multiply to 64 bits and to divide by constants. Such code ends in an illegal instruction under QEMU; no GCC option
  avoids the instructions.

These differences come from the descriptions of the two cores; nobody has tried them. So a compiler that was built for
the emulated core is used first, if there is one.

``xtensa-esp-elf-gcc``, the compiler for all Espressif chips, needs an option for the chip. The command
``xtensa-esp32s3-elf-gcc``, which every release also has, sets this option, so only this command is looked for.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_COMMAND = "xtensa-esp32s3-elf-gcc"
_PACKAGES = ("xtensa-esp-elf", "xtensa-esp32s3-elf")  # the names in ESP-IDF 5.2 and later, and in earlier versions


def espressif_compilers() -> Iterator[Path]:
    """Yield the installed compilers: on the PATH, under ``IDF_TOOLS_PATH``, in ``~/.espressif``; newest first."""
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
    """Return the sort key of a release: GCC's version, then all numbers of its name (``esp-2022r1-11.2.0``)."""
    name = compiler.parents[2].name
    version = re.search(r"\d+\.\d+\.\d+", name)
    return _numbers(version[0] if version else ""), _numbers(name)


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]
