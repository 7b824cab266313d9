"""Renderings of run records; none of them runs or measures anything."""
