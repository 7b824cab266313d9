"""Firmware as a program for the machine that builds it, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from emu.machines.host.machine import HostMachine as HostMachine
