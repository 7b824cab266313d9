"""Firmware in QEMU: the machine, and what of each core is QEMU's own."""

from emu.machines.qemu.cores import core_type as core_type
from emu.machines.qemu.machine import QemuMachine as QemuMachine
from emu.machines.qemu.process import qemu_version as qemu_version
