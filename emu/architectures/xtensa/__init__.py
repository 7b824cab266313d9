"""Xtensa LX7 with the windowed ABI: code, exceptions, frames by register windows."""
