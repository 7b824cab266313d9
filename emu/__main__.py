"""``python -m emu``: the command line."""

from emu.cli import main

main()
