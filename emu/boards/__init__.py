"""New board files: from a board that emu knows, or from a linker script and a CMSIS-SVD file."""
