"""The statements of a reading: what each part of a model is, and how that is known."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from emu.errors import InputError
from emu.model.choices import CHOICES, fits, is_normed
from emu.model.config import ModelConfig
from emu.model.stated import Stated
from emu.record import Statement

Source = Literal["tensors", "stated", "config.json", "metadata", "assumed"]

_EPSILONS = {"norm": "norm_epsilon", "inner_norm": "inner_norm_epsilon"}
"""The epsilon that belongs to a choice."""


@dataclass(frozen=True)
class Facts:
    """What is said about a model, by who says it: the first that says something counts."""

    tensors: Stated
    stated: Stated
    config_json: Stated
    metadata: Stated

    def find(self, key: str) -> tuple[Any, Source] | None:
        """Return the value of a choice and who says so, or None if nobody does."""
        sources: tuple[tuple[Source, Stated], ...] = (
            ("tensors", self.tensors),
            ("stated", self.stated),
            ("config.json", self.config_json),
            ("metadata", self.metadata),
        )
        return next(((value, source) for source, facts in sources if (value := getattr(facts, key)) is not None), None)


def shape_statements(config: ModelConfig) -> Iterator[Statement]:
    """Yield what the tensors' shapes show of a model."""
    if config.n_tokens:
        entrance = f"tokens, embedding {config.n_tokens} -> {config.d_model}"
    elif not config.linear_in:
        entrance = f"rows of {config.n_features}"
    else:
        entrance = f"linear {config.n_features} -> {config.d_model}"
    blocks = (
        f"{config.n_blocks} of d_model {config.d_model}, d_inner {config.d_inner}, d_state {config.d_state}, "
        f"d_conv {config.d_conv}, dt_rank {config.dt_rank}"
    )
    yield Statement(what="input", value=entrance, source="tensors")
    yield Statement(what="blocks", value=blocks, source="tensors")


def choose(shape: ModelConfig, facts: Facts) -> tuple[ModelConfig, list[Statement]]:
    """Return ``shape`` with every choice as it is said or else assumed, and a statement on each.

    Raises InputError for a choice that the user states and that the model's tensors contradict.
    """
    config, statements = shape, list[Statement]()
    for choice in CHOICES:
        if choice.key == "pooling" and is_normed(config):
            final = "after the blocks" if config.final_norm else "none"
            statements.append(Statement(what="final norm", value=final, source="tensors"))
        config, source = _decide(config, choice.key, facts)
        if fits(choice.key, getattr(config, choice.key), config):
            words = choice.values[getattr(config, choice.key)]
            statements.append(Statement(what=choice.key, value=words, source=source))
        if (epsilon := _EPSILONS.get(choice.key)) is not None:
            config, source = _decide(config, epsilon, facts)
            if fits(epsilon, None, config):
                statements.append(Statement(what=epsilon, value=f"{getattr(config, epsilon):g}", source=source))
    statements.append(Statement(what="between the layers", value="nothing else", source="assumed"))
    return config, statements


def _decide(config: ModelConfig, key: str, facts: Facts) -> tuple[ModelConfig, Source]:
    found = facts.find(key)
    if found is None:
        return config, "assumed"
    value, source = found
    stated = getattr(facts.stated, key)
    if source == "tensors" and stated is not None and stated != value:
        raise InputError(f"{key} is stated as {stated!r}, but the tensors show {value!r}")
    if not fits(key, value, config):
        if source == "stated":
            norms = "have norms" if is_normed(config) else "have no norm"
            raise InputError(f"{key} is stated as {value!r}, but the blocks {norms}")
        return config, "assumed"
    return replace(config, **{key: value}), source
