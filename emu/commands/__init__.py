"""The commands of `emu`, a file each. A command reads its parameters, calls what does the work, and prints."""
