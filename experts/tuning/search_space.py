"""Search spaces of the roles: what tuning may choose, stated in every tuning result.

``published`` are the ranges that the earlier tuner documents; ``wide`` moves the learning rate to 1e-4 … 3e-2,
because at 1e-5 two thousand steps do not train these networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from experts.expert import ALIASES, Role

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution

SpaceKind = Literal["published", "wide"]

LEARNING_RATE: dict[str, tuple[float, float]] = {"published": (1e-5, 1e-3), "wide": (1e-4, 3e-2)}
WEIGHT_DECAY = (1e-6, 1e-3)
LAMBDA = (0.01, 10.0)
LAMBDAS: dict[Role, tuple[str, ...]] = {
    "utility": (),
    "result": ("lambda_rep", "lambda_fair"),
    "procedural": ("lambda_attention", "lambda_adv"),
    "combined": ("lambda_rep", "lambda_fair", "lambda_attention", "lambda_adv"),
}


def ranges(role: Role | str, kind: str = "published") -> dict[str, tuple[float, float]]:
    """Bounds of each hyperparameter of a role; all are drawn log-uniformly.

    Parameters
    ----------
    role : str
        ``utility``, ``result``, ``procedural`` or an alias (``expert1|2|3``).
    kind : str
        ``published`` or ``wide``.

    Raises
    ------
    ValueError
        If the role or the kind is unknown.
    """
    name = ALIASES.get(role, role)
    if name not in LAMBDAS:
        raise ValueError(f"There is no search space for role {role!r}; roles are {', '.join(LAMBDAS)}.")
    if kind not in get_args(SpaceKind):
        raise ValueError(f"There is no search space {kind!r}; choose one of {', '.join(get_args(SpaceKind))}.")
    bounds = {"lr": LEARNING_RATE[kind], "weight_decay": WEIGHT_DECAY}
    return {**bounds, **dict.fromkeys(LAMBDAS[name], LAMBDA)}


def search_space(role: Role | str, kind: str = "published") -> dict[str, FloatDistribution]:
    """Optuna distributions of :func:`ranges`, in a fixed order."""
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(low, high, log=True) for name, (low, high) in ranges(role, kind).items()}


def describe(role: Role | str, kind: str = "published") -> dict[str, dict[str, float | str]]:
    """The space as JSON, as written into tuning results."""
    bounds = ranges(role, kind)
    return {name: {"low": low, "high": high, "scale": "log-uniform"} for name, (low, high) in bounds.items()}
