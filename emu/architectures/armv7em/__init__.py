"""Arm Cortex-M7: Thumb-2 code, exceptions of Armv7-M, frames by unwind information."""
