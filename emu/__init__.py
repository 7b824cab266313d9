"""Prove firmware without hardware: parity with PyTorch, stack, heap and instructions, in an emulator."""

__version__ = "0.1.0"
