"""Budgets: the figures of a run that can be limited, limits on them, and baselines that they may not outgrow."""
