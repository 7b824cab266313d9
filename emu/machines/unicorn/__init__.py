"""Unicorn as a machine."""

from emu.machines.unicorn.machine import UnicornMachine as UnicornMachine
