"""``emu`` and ``python -m emu``: the command line, which takes a moment to import."""

import gc

from emu.ending import signals_end_at_once

_ALLOCATIONS = 50_000
"""Allocations between two collections: what is imported stays, so that to look through it often is for nothing."""


def main() -> None:
    """Run the command line; an interrupt during the import leaves no traceback."""
    signals_end_at_once()
    gc.set_threshold(_ALLOCATIONS)
    from emu.cli import main

    try:
        main()
    finally:
        gc.freeze()  # else the interpreter looks through everything before it ends


if __name__ == "__main__":
    main()
