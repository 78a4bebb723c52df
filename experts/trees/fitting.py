"""How trees of a role are fitted, and what tuning may choose.

*utility*: log loss. *result*: rows weighted by reweighing (Kamiran and Calders, 2012), or an objective of log loss and
soft group gaps; tuning chooses.

*procedural*: sensitive columns are left out, and so is every column that tells more of the group than ``proxy_limit``
(Cramér's V). Splits on the others cost the more, the more they tell of the group (``association``), or the more groups
differed in how much they weighed in a short first fit (``attribution``); tuning chooses.

What that buys, with one setting of the trees on five tasks (default_credit, adult:sex, law_school, bank_marketing,
communities_crime; split 101, at most 3,000 training rows), ATT_JSD as a share of that of the utility trees: without the
sensitive column alone .27, .48, .84, 1.00, .84, utility −.6 to +.4 points; by attribution with λ = 3 .27, .53, .43,
.75, .57, utility −.7 to +.8; with the limit .15 .27, .40, .34, .65, .23, utility −6.3 to +.4. fair_proc follows less
surely: by attribution it falls in four of the five tasks, at the limit in three, and rises in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from experts.expert import Role
from experts.proxies import proxy_gains
from experts.reweighing import reweighing_weights
from experts.trees.booster import ROUNDS, Floats, TreeModel, fit_fair_trees, fit_trees
from experts.trees.expert import TreeExpert, by_source
from experts.trees.fair_loss import FairLoss
from tasks.task import TaskView
from tasks.thinning import thinned_rows

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

REWEIGHING, OBJECTIVE = "reweighing", "objective"
ASSOCIATION, ATTRIBUTION = "association", "attribution"
PROFILE_ROWS, PROFILE_ROUNDS = 256, 50
"""Training rows whose reasons tell how groups differ, and trees of the first fit that gives them."""
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
            "method": CategoricalDistribution((ASSOCIATION, ATTRIBUTION)),
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
        model = fit_plain(view, settings, seed)
    elif role == "result":
        model = _result(view, settings, params, seed)
    elif role == "procedural":
        model = _procedural(view, settings, params, seed)
    else:
        raise ValueError(f"There are no boosted trees of the role {role}; roles are utility, result, procedural.")
    return TreeExpert.of(view, role, model)


def watched_rows(view: TaskView) -> tuple[Tensor, Tensor]:
    """[v, d] features and [v] labels of the validation rows, whose log loss ends the boosting."""
    rows = view.split.validation
    return view.features[rows], view.labels[rows]


def fit_plain(
    view: TaskView, settings: Mapping[str, Any], seed: int, weights: Floats | None = None, rounds: int = ROUNDS
) -> TreeModel:
    """Boosting on the training rows [r], weighted or not, stopped by the log loss of the validation rows."""
    train = view.split.train
    return fit_trees(
        view.features[train],
        view.labels[train],
        settings,
        seed,
        weights=weights,
        validation=watched_rows(view),
        rounds=rounds,
    )


def _result(view: TaskView, settings: Mapping[str, Any], params: Mapping[str, Any], seed: int) -> TreeModel:
    train, watched = view.split.train, view.split.validation
    if params["method"] == REWEIGHING:
        weights = reweighing_weights(view.labels[train], view.groups[train]) ** params["lambda_weight"]
        return fit_plain(view, settings, seed, weights.numpy())
    n_groups, strength = len(view.group_names), params["lambda_fair"]
    loss, judged = (FairLoss.of(view.labels[r], view.groups[r], n_groups, strength) for r in (train, watched))
    return fit_fair_trees(view.features[train], loss, settings, seed, validation=(view.features[watched], judged))


def _procedural(view: TaskView, settings: Mapping[str, Any], params: Mapping[str, Any], seed: int) -> TreeModel:
    strength, limit = params["lambda_proxy"], params["proxy_limit"]
    if params["method"] == ASSOCIATION:
        return _penalised(view, settings, proxy_gains(view, limit, strength), seed)
    gains = proxy_gains(view, limit, 0.0)
    gaps = _profile_gaps(view, _penalised(view, settings, gains, seed, PROFILE_ROUNDS))
    return _penalised(view, settings, gains * torch.exp(-strength * gaps / gaps.max().clamp_min(1e-12)), seed)


def _penalised(
    view: TaskView, settings: Mapping[str, Any], gains: Tensor, seed: int, rounds: int = ROUNDS
) -> TreeModel:
    """Trees in which the gain of a split on a column counts ``gains`` [columns] times."""
    return fit_plain(view, {**settings, "feature_contri": gains[view.column_of_feature].tolist()}, seed, rounds=rounds)


def _profile_gaps(view: TaskView, model: TreeModel) -> Tensor:
    """[columns] float64 largest difference of two groups in the mean share of a column in a row's reasons."""
    rows = thinned_rows(view, view.split.train, PROFILE_ROWS, 0, "explained training rows")
    sizes = by_source(model.contributions(view.features[rows]), view).abs()
    shares = sizes / sizes.sum(1, keepdim=True).clamp_min(1e-12)
    groups = torch.nn.functional.one_hot(view.groups[rows], len(view.group_names)).double()
    means = (groups.mT @ shares)[groups.sum(0) > 0] / groups.sum(0)[groups.sum(0) > 0, None]
    return means.amax(0) - means.amin(0)
