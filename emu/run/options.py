"""What a user can choose about a run."""

from dataclasses import dataclass, field

from emu.machines import Limits
from emu.suppressions import Suppression
from emu.verdicts import DEFAULT_TOLERANCE


@dataclass(frozen=True)
class RunOptions:
    """What a user can choose about a run."""

    traffic: bool = False
    """Also count loads and stores by memory region, which makes the run several times slower."""
    profile: bool = False
    """Also count instructions by line and by call path."""
    memcheck: bool = False
    """Also check every access to memory, and where undefined values go."""
    coverage: bool = False
    """Also tell which lines and functions ran."""
    replace_allocator: bool = False
    """Serve the allocator's calls from memory that the board does not have, where overruns meet no other block."""
    stack_peak: bool = False
    """Also measure the stack's reserved peak where that takes a second, slow run; the other emulators always do."""
    suppressions: tuple[Suppression, ...] = ()
    """Findings of the memory checker that are accepted."""
    limits: Limits = field(default_factory=Limits)
    tolerance: float = DEFAULT_TOLERANCE
