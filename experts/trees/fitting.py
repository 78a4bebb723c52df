"""How trees of a role are fitted, and what tuning may choose.

*utility*: log loss. *result*: rows weighted by reweighing (Kamiran and Calders, 2012), or an objective of log loss and
soft group gaps; tuning chooses. *procedural*: sensitive columns are left out, and so is every column that tells more of
the group than ``proxy_limit`` (Cramér's V); splits on the others cost the more the more they tell of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from experts.expert import Role
from experts.proxies import proxy_gains
from experts.reweighing import reweighing_weights
from experts.trees.booster import TreeModel, fit_fair_trees, fit_trees
from experts.trees.expert import TreeExpert
from experts.trees.fair_loss import FairLoss
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

REWEIGHING, OBJECTIVE = "reweighing", "objective"
OWN = ("method", "lambda_weight", "lambda_fair", "proxy_limit", "lambda_proxy")
"""Parameters that are not LightGBM's."""


def tree_space() -> Mapping[str, BaseDistribution]:
    """Step size, size of the trees and brakes on them."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "learning_rate": FloatDistribution(0.02, 0.3, log=True),
        "num_leaves": IntDistribution(4, 64, log=True),
        "min_data_in_leaf": IntDistribution(5, 100, log=True),
        "lambda_l2": FloatDistribution(1e-3, 1e1, log=True),
        "feature_fraction": FloatDistribution(0.5, 1.0),
    }


def space(role: Role) -> Mapping[str, BaseDistribution]:
    """What a trial of a role may choose."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    own: dict[Role, Mapping[str, BaseDistribution]] = {
        "result": {
            "method": CategoricalDistribution((REWEIGHING, OBJECTIVE)),
            "lambda_weight": FloatDistribution(0.1, 1.0),
            "lambda_fair": FloatDistribution(0.01, 3.0, log=True),
        },
        "procedural": {
            "proxy_limit": FloatDistribution(0.03, 1.0, log=True),
            "lambda_proxy": FloatDistribution(0.01, 10.0, log=True),
        },
    }
    return {**tree_space(), **own.get(role, {})}


def fit(view: TaskView, role: Role, params: Mapping[str, Any], seed: int) -> TreeExpert:
    """Trees of a role on the training rows, stopped by their loss on the validation rows.

    Raises
    ------
    ValueError
        If trees of the role are not known.
    """
    settings = {name: value for name, value in params.items() if name not in OWN}
    if role == "utility":
        model = _plain(view, settings, seed)
    elif role == "result":
        model = _result(view, settings, params, seed)
    elif role == "procedural":
        model = _procedural(view, settings, params, seed)
    else:
        raise ValueError(f"There are no boosted trees of the role {role}; roles are utility, result, procedural.")
    return TreeExpert.of(view, role, model)


def _plain(view: TaskView, settings: Mapping[str, Any], seed: int, weights: Tensor | None = None) -> TreeModel:
    train, watched = view.split.train, view.split.validation
    return fit_trees(
        view.features[train],
        view.labels[train],
        settings,
        seed,
        weights=None if weights is None else weights.numpy(),
        validation=(view.features[watched], view.labels[watched]),
    )


def _result(view: TaskView, settings: Mapping[str, Any], params: Mapping[str, Any], seed: int) -> TreeModel:
    train, watched = view.split.train, view.split.validation
    if params["method"] == REWEIGHING:
        weights = reweighing_weights(view.labels[train], view.groups[train]) ** params["lambda_weight"]
        return _plain(view, settings, seed, weights)
    n_groups, strength = len(view.group_names), params["lambda_fair"]
    loss, judged = (FairLoss.of(view.labels[r], view.groups[r], n_groups, strength) for r in (train, watched))
    return fit_fair_trees(view.features[train], loss, settings, seed, validation=(view.features[watched], judged))


def _procedural(view: TaskView, settings: Mapping[str, Any], params: Mapping[str, Any], seed: int) -> TreeModel:
    gains = proxy_gains(view, params["proxy_limit"], params["lambda_proxy"])
    return _plain(view, {**settings, "feature_contri": gains[view.column_of_feature].tolist()}, seed)
