"""The commands of `emu`, one file for each. A command reads its parameters, calls the working code, and prints."""
