"""Verdicts: a run is judged from its record alone."""

from emu.record import Run, Verdict
from emu.tolerance import DEFAULT_TOLERANCE
from emu.wording import counted, without_numbers

NOT_ALWAYS_LOOKED_FOR = ("uninitialised values", "errors of the heap")
"""The names in ``Run.not_measured`` of errors that a memory check cannot find in every firmware or on every target."""


def not_looked_for(run: Run) -> dict[str, str]:
    """Return the kinds of memory errors that the memory check of a run could not find, each with the reason."""
    if run.memory_check is None:
        return {}
    unseen = {kind: run.not_measured[kind] for kind in NOT_ALWAYS_LOOKED_FOR if kind in run.not_measured}
    if run.memory_check.taken_as_set and "uninitialised values" not in unseen:
        kept = " and ".join(run.memory_check.taken_as_set)
        unseen[f"uninitialised values in {kept}"] = "kept_over_reset of the board says that their values count as set"
    return unseen


def is_checked(run: Run) -> bool:
    """Return whether reference logits have shown that emu's reading of the run's model is PyTorch's model."""
    return run.reading is not None and run.reading.max_relative_error is not None


def layers_of(run: Run) -> str:
    """Return whose tensors the engine's were compared with."""
    if run.layers_of == "module":
        return "the module's own"
    return "PyTorch" if is_checked(run) else "the model as emu reads it"


def judge(run: Run, tolerance: float = DEFAULT_TOLERANCE) -> list[Verdict]:
    """Return the verdicts on a run; a figure that was not measured gets none.

    ``tolerance`` limits the mean logit error, relative to the reference's largest absolute logit.
    """
    verdicts = [Verdict(name="no fault", ok=not run.faults, value=counted(len(run.faults), "fault"), limit="0")]
    if run.failures:
        told = "; ".join(f"{failure.part}: {failure.detail}" for failure in run.failures)
        verdicts.append(Verdict(name="every part was made", ok=False, value=told, limit="all"))
    if run.memory_check is not None:
        found, suppressed = len(run.memory_check.findings), run.memory_check.suppressed
        told = [counted(found, "memory error"), *([f"{suppressed:,} suppressed"] if suppressed else [])]
        if unseen := not_looked_for(run):
            told.append(f"not looked for: {', '.join(unseen)}")
        verdicts.append(Verdict(name="no memory error", ok=not found, value="; ".join(told), limit="0"))
    if run.parity is not None:
        agreeing, compared = run.parity.agreeing, run.parity.compared
        if agreeing is not None:
            steps = "" if run.parity.steps is None else " steps"
            verdicts.append(
                Verdict(
                    name="labels agree with PyTorch",
                    ok=agreeing == compared,
                    value=f"{agreeing} of {compared}{steps}",
                    limit="all",
                )
            )
        relative = run.parity.relative_mean_error
        verdicts.append(
            Verdict(
                name="mean logit error",
                ok=relative <= tolerance,
                value="; ".join(without_numbers(run.parity)) or f"{relative:.1e}",
                limit=f"{tolerance:.0e} relative",
            )
        )
    peak, limit = run.memory.stack_peak_bytes, run.memory.stack_limit_bytes
    if peak is not None and limit is not None:
        verdicts.append(Verdict(name="stack fits", ok=peak <= limit, value=f"{peak:,} B", limit=f"{limit:,} B"))
    for stack in run.other_stacks:
        if stack.limit_bytes is not None:
            peak, limit = stack.peak_bytes, stack.limit_bytes
            name = f"stack {stack.name} fits"
            verdicts.append(Verdict(name=name, ok=peak <= limit, value=f"{peak:,} B", limit=f"{limit:,} B"))
    if run.layers is not None:
        diverged = [layer.tensor for layer in run.layers if layer.diverged]
        verdicts.append(
            Verdict(
                name=f"layers agree with {layers_of(run)}",
                ok=not diverged,
                value=f"first to diverge: {diverged[0]}" if diverged else "all",
                limit="all",
            )
        )
    return verdicts
