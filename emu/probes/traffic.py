"""Loads and stores by the board's memory.

The unit is a data access of the core: a register of a PUSH, LDM or VLDM is one (a double-precision register too).
"""

from emu.targets import Region


def by_region(regions: tuple[Region, ...], counts: list[int]) -> dict[str, int]:
    """Return the counts by the regions' names; regions that nothing touched are left out."""
    return {region.name: count for region, count in zip(regions, counts, strict=True) if count}
