"""Firmware in QEMU: the machine, and for each kind of core what differs there."""

from emu.machines.qemu.cores import core_type as core_type
from emu.machines.qemu.machine import QemuMachine as QemuMachine
from emu.machines.qemu.process import qemu_version as qemu_version
