"""Search spaces of LLM experts: what tuning may choose for a kind of adapter and a role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experts.expert import Role
from llm_experts.adapters.registry import kind_named
from llm_experts.training.objectives import LAMBDAS, TERMS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

WEIGHT_DECAY = (1e-6, 1e-3)
"""Added to the gradient: at 1e-2 it undoes what a few hundred steps of Adam learn."""
REFERENCE_WIDTH = 1024
"""Width of the base that the kinds' learning rates are meant for."""


def learning_rates(kind: str, width: int) -> tuple[float, float]:
    """Bounds of the learning rate on a base of a width.

    Adam's rate for matrices goes with 1 / width (Yang & Hu, "Tensor Programs V", 2022).
    """
    chosen = kind_named(kind)
    low, high = chosen.lr_range
    scale = REFERENCE_WIDTH / width if chosen.trains_matrices else 1.0
    return low * scale, high * scale


def search_space(
    kind: str, role: Role, *, counterfactual: bool = True, width: int = REFERENCE_WIDTH
) -> dict[str, BaseDistribution]:
    """Optuna distributions in a fixed order.

    Parameters
    ----------
    kind : str
        Of :data:`llm_experts.adapters.registry.ADAPTERS`: gives the learning rates and ranks.
    role : str
    counterfactual : bool
        Whether rows can be moved to another group (the sensitive columns are in the text).
    width : int
        Hidden size of the base.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    chosen = kind_named(kind)
    space: dict[str, BaseDistribution] = {
        "lr": FloatDistribution(*learning_rates(kind, width), log=True),
        "weight_decay": FloatDistribution(*WEIGHT_DECAY, log=True),
    }
    if len(chosen.rank_choices) > 1:
        space["rank"] = CategoricalDistribution(chosen.rank_choices)
    terms = [TERMS[name] for name in LAMBDAS[role]]
    tuned = [term for term in terms if term.tuned and (counterfactual or not term.needs_moved)]
    return {**space, **{term.name: FloatDistribution(*term.bounds, log=True) for term in tuned}}


def describe(
    kind: str, role: Role, *, counterfactual: bool = True, width: int = REFERENCE_WIDTH
) -> dict[str, dict[str, Any]]:
    """The space as JSON, as written into tuning results."""
    from optuna.distributions import FloatDistribution

    found: dict[str, dict[str, Any]] = {}
    for name, values in search_space(kind, role, counterfactual=counterfactual, width=width).items():
        if isinstance(values, FloatDistribution):
            found[name] = {"low": values.low, "high": values.high, "scale": "log-uniform"}
        else:
            found[name] = {"choices": list(values.choices), "scale": "categorical"}  # type: ignore[attr-defined]
    return found
