"""The distance from PyTorch that counts as rounding. The command line's help shows it, so nothing is imported here."""

DEFAULT_TOLERANCE = 1e-6
"""The largest mean logit error allowed, relative to the reference's largest logit: a few float32 roundings."""
