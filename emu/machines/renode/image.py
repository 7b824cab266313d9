"""What Renode loads: the firmware as it is, or with added code that makes up for an instruction of Renode's."""

from dataclasses import dataclass

from emu.firmware import Extent, Firmware


@dataclass(frozen=True)
class Patch:
    """An instruction that another one replaces in Renode's memory."""

    address: int
    linked: bytes
    """The bytes in the ELF."""
    loaded: bytes
    """The bytes in Renode."""


@dataclass(frozen=True)
class Detour:
    """Code in ``code`` that runs in place of the instruction at ``site``."""

    code: Extent
    site: int


@dataclass(frozen=True)
class Image:
    """The contents of Renode's memory at reset, and what they have beyond the firmware."""

    contents: tuple[tuple[int, bytes], ...]
    """Addresses and bytes, in the order in which they are written."""
    added_memory: tuple[Extent, ...] = ()
    """Memory that the platform needs and the board does not have."""
    counter: int | None = None
    """The word that counts the instructions that detours retire beyond the firmware's own; None without detours."""
    patches: tuple[Patch, ...] = ()
    detours: tuple[Detour, ...] = ()
    why: str | None = None
    """How many instructions were replaced, and why; None if none was."""

    def pc_of(self, address: int) -> int:
        """Return the firmware's instruction that runs at ``address``, which may be in a detour."""
        return next((each.site for each in self.detours if each.code.start <= address < each.code.end), address)

    def as_linked(self, address: int, data: bytes) -> bytes:
        """Return ``data``, read at ``address``, with the ELF's instructions in place of the replaced ones."""
        shown = bytearray(data)
        for patch in self.patches:
            at = patch.address - address
            if at >= 0 and shown[at : at + len(patch.loaded)] == patch.loaded:
                shown[at : at + len(patch.loaded)] = patch.linked
        return bytes(shown)


def as_linked(firmware: Firmware, _renodes: object = None) -> Image:
    """Return the firmware as it is."""
    return Image(tuple((segment.load_address, segment.data) for segment in firmware.segments if segment.data))
