"""How linear models of a role are fitted, and what tuning may choose.

Numbers enter as they are or piecewise-linear encoded. *utility*: log loss. *result*: rows weighted by reweighing, or
soft group gaps in the loss; tuning chooses. *procedural*: without sensitive columns and those that tell more of the
group than ``proxy_limit`` (Cramér's V); weights of the others are shrunk the more, the more their column tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from experts.expert import Role
from experts.linear.expert import LinearExpert
from experts.linear.logistic import LogisticLoss, fit_logistic
from experts.networks.piecewise_linear import PiecewiseLinear
from experts.proxies import proxy_gains
from experts.reweighing import reweighing_weights
from metrics.surrogates import rate_weights
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

RAW, PIECEWISE = "raw", "piecewise_linear"
REWEIGHING, PENALTY = "reweighing", "penalty"


def space(role: Role) -> Mapping[str, BaseDistribution]:
    """What a trial of a role may choose."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    shared: Mapping[str, BaseDistribution] = {
        "C": FloatDistribution(1e-3, 1e1, log=True),
        "encoding": CategoricalDistribution((RAW, PIECEWISE)),
    }
    own: dict[Role, Mapping[str, BaseDistribution]] = {
        "result": {
            "method": CategoricalDistribution((REWEIGHING, PENALTY)),
            "lambda_weight": FloatDistribution(0.1, 1.0),
            "lambda_fair": FloatDistribution(0.01, 3.0, log=True),
        },
        "procedural": {
            "proxy_limit": FloatDistribution(0.03, 1.0, log=True),
            "lambda_proxy": FloatDistribution(0.01, 10.0, log=True),
        },
    }
    return {**shared, **own.get(role, {})}


def fit(view: TaskView, role: Role, params: Mapping[str, Any], seed: int) -> LinearExpert:  # noqa: ARG001
    """A linear model of a role on the training rows; the optimum does not depend on the seed.

    Raises
    ------
    ValueError
        If linear models of the role are not known.
    """
    if role not in ("utility", "result", "procedural"):
        raise ValueError(f"There is no linear model of the role {role}; roles are utility, result, procedural.")
    d = view.features.shape[1]
    encoding = PiecewiseLinear.fit(view) if params["encoding"] == PIECEWISE else PiecewiseLinear(((),) * d)
    gains = torch.ones(len(encoding.owner), dtype=torch.float64)
    if role == "procedural":
        by_column = proxy_gains(view, params["proxy_limit"], params["lambda_proxy"])
        gains = by_column[view.column_of_feature[encoding.owner]]
    theta = _fitted(view, encoding, gains, params, role)
    theta[:-1] *= gains
    return LinearExpert.of(view, role, encoding, theta)


def _fitted(view: TaskView, encoding: PiecewiseLinear, gains: Tensor, params: Mapping[str, Any], role: Role) -> Tensor:
    """[e+1] weights of features times ``gains`` [e], and the bias: a small gain is a large penalty."""
    rows = view.split.train
    labels, groups = view.labels[rows], view.groups[rows]
    features = encoding.encode(view.features[rows]).double() * gains
    features = torch.cat([features, features.new_ones(len(rows), 1)], 1)
    weights = torch.ones(len(rows), dtype=torch.float64)
    if role == "result" and params["method"] == REWEIGHING:
        weights = reweighing_weights(labels, groups) ** params["lambda_weight"]
    loss = LogisticLoss(features, labels.double(), weights * (len(rows) / weights.sum()), params["C"])
    theta = fit_logistic(loss)
    if role != "result" or params["method"] == REWEIGHING:
        return theta
    rates = rate_weights(labels, groups, len(view.group_names)).double()
    return fit_logistic(LogisticLoss(features, loss.labels, weights, loss.C, rates, params["lambda_fair"]), theta)
