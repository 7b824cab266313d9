"""The demo models: how they were trained, and on what."""
