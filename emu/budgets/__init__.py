"""Budgets: the figures of a run that can be limited, the limits, and the baselines that a figure may not outgrow."""
