"""Guesses what a peripheral's registers do from the names of the registers and of their fields.

A driver waits for few things: that a clock is ready once it is on, and that a UART can take a byte. Vendors name the
bits for these alike.
"""

import re
from typing import Any

from emu.boards.svd import Register, SvdPeripheral

_SWITCHES = ("ON", "EN", "")
"""What a bit's name has instead of RDY if the bit switches on what becomes ready."""
_READY = {"TXE": 1, "TC": 1, "TXFNF": 1, "TXE_TXFNF": 1}
"""Bits of a UART's status that are always set."""
_STATUS = ("ISR", "SR")
_DATA = ("TDR", "DR", "TXD")


def settings_of(peripheral: SvdPeripheral) -> dict[str, Any]:
    """Return the settings of a board file that the names suggest; none if they suggest nothing."""
    settings: dict[str, Any] = {"reads": {}, "follows": {}}
    for register in peripheral.registers.values():
        _clocks(register, settings)
    if re.match(r"(LP)?US?ART", peripheral.name.upper()):
        _uart(peripheral, settings)
    _port(peripheral, settings)
    _timer(peripheral, settings)
    settings = {key: value for key, value in settings.items() if value}
    if not settings:
        return {}
    resets = {_offset(each): each.reset for each in peripheral.registers.values() if each.reset}
    return {"resets": resets, **settings} if resets else settings


def _clocks(register: Register, settings: dict[str, Any]) -> None:
    """Let PLLRDY follow PLLON, and SWS follow SW; set what is ready without a switch."""
    for name in register.fields:
        if not name.endswith("RDY"):
            continue
        switch = next((name[:-3] + end for end in _SWITCHES if name[:-3] + end in register.fields), None)
        if switch is None or _width(register, switch) != _width(register, name):
            settings["reads"][_bits(register, name)] = (1 << _width(register, name)) - 1
        else:
            settings["follows"][_bits(register, name)] = _bits(register, switch)
    if {"SW", "SWS"} <= register.fields.keys() and _width(register, "SW") == _width(register, "SWS"):
        settings["follows"][_bits(register, "SWS")] = _bits(register, "SW")


def _uart(peripheral: SvdPeripheral, settings: dict[str, Any]) -> None:
    """Make what is written to the data register output, and the transmitter always ready."""
    registers = peripheral.registers
    data = next((registers[name] for name in _DATA if name in registers), None)
    if data is None:
        return
    settings["output"] = data.offset
    for status in (registers[name] for name in _STATUS if name in registers):
        for name in _READY.keys() & status.fields.keys():
            settings["reads"][_bits(status, name)] = 1
        control = registers.get("CR1")
        for acknowledge, enable in (("TEACK", "TE"), ("REACK", "RE")):
            if control is not None and acknowledge in status.fields and enable in control.fields:
                settings["follows"][_bits(status, acknowledge)] = _bits(control, enable)
    sent = registers.get("EVENTS_TXDRDY")
    if sent is not None:
        settings["reads"][_offset(sent)] = 1


def _port(peripheral: SvdPeripheral, settings: dict[str, Any]) -> None:
    """Let a pin read as it is driven, and BSRR set and clear bits of ODR."""
    registers = peripheral.registers
    if not {"IDR", "ODR", "BSRR"} <= registers.keys():
        return
    pins, driven, bits = _offset(registers["IDR"]), _offset(registers["ODR"]), _offset(registers["BSRR"])
    settings["follows"][f"{pins}[15:0]"] = f"{driven}[15:0]"
    settings["ones_clear"] = {f"{bits}[31:16]": f"{driven}[15:0]"}
    settings["ones_set"] = {f"{bits}[15:0]": f"{driven}[15:0]"}


def _timer(peripheral: SvdPeripheral, settings: dict[str, Any]) -> None:
    """Let CNT count instructions up to ARR if CEN is set, and set UIF then, and by UG."""
    registers = peripheral.registers
    if not {"CR1", "SR", "EGR", "CNT", "PSC", "ARR"} <= registers.keys() or "CEN" not in registers["CR1"].fields:
        return
    bits = "[15:0]" if registers["ARR"].reset <= 0xFFFF else ""
    settings["zeros_clear"] = [_offset(registers["SR"])]
    settings["counters"] = [
        {
            "value": _offset(registers["CNT"]) + bits,
            "enable": _bits(registers["CR1"], "CEN"),
            "reload": _offset(registers["ARR"]) + bits,
            "prescaler": f"{_offset(registers['PSC'])}[15:0]",
            "flag": _bits(registers["SR"], "UIF"),
            "restart": _bits(registers["EGR"], "UG"),
        }
    ]


def _width(register: Register, name: str) -> int:
    high, low = register.fields[name]
    return high - low + 1


def _offset(register: Register) -> str:
    return f"{register.offset:#04x}"


def _bits(register: Register, name: str) -> str:
    high, low = register.fields[name]
    return f"{_offset(register)}[{low}]" if high == low else f"{_offset(register)}[{high}:{low}]"
