"""Probes: each turns the raw counters of a machine into one part of the run record."""
