"""Data sets for the demo models: two come with packages; the user downloads the two from the literature."""
