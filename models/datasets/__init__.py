"""Data sets for the demo models: two that packages ship, two that the literature uses and the user downloads."""
