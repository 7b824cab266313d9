"""``emu`` and ``python -m emu``: the command line, which takes a moment to import."""

from emu.ending import signals_end_at_once


def main() -> None:
    """Run the command line; an interrupt during the import leaves no traceback."""
    signals_end_at_once()
    from emu.cli import main

    main()


if __name__ == "__main__":
    main()
