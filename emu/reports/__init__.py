"""Reports: each renders run records, and none runs or measures anything."""
