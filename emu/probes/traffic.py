"""Loads and stores by the board's memory.

The unit is a data access of the core: PUSH, LDM and VLDM make one for each register, double precision included.
"""

from emu.targets import Region


def by_region(regions: tuple[Region, ...], counts: list[int]) -> dict[str, int]:
    """Return the counts by the regions' names, without regions that had no access."""
    return {region.name: count for region, count in zip(regions, counts, strict=True) if count}
