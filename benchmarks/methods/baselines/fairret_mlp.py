"""A network trained with a fairret: a fairness loss of the package of that name, beside the log loss."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._network import Network
from foundation.seeding import derive_seed, torch_generator
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

HIDDEN = 32
STEPS, BATCH, LOOK = 200, 1024, 20
"""Steps, rows of a step (groups must be met in it), and steps between looks at the validation rows."""


@dataclass(frozen=True)
class Penalty:
    """Strength times a fairret of a statistic, 0 on rows that give the statistic no value.

    The statistic of every group is set against that of all rows: ``|stat_g / stat - 1|``, then a norm over groups.
    """

    loss: Any  # a fairret.loss.ViolationLoss
    by_label: bool
    strength: float

    def __call__(self, margins: Tensor, labels: Tensor, members: Tensor) -> Tensor:
        """[] loss of margins [r] with labels [r] and memberships [r, g] float."""
        if self.by_label and not bool(labels.any()):
            return margins.new_zeros(())  # no rate of positives without positives
        label = (labels[:, None].float(),) if self.by_label else ()
        found: Tensor = self.loss(margins[:, None], members, *label)
        return self.strength * found


def penalty(params: Params) -> Penalty:
    """The fairret that parameters name."""
    from fairret.loss.violation import LSELoss, NormLoss
    from fairret.statistic.linear_fractional import PositiveRate, TruePositiveRate

    by_label = params["statistic"] == "true_positive_rate"
    statistic = TruePositiveRate() if by_label else PositiveRate()
    kinds = {"norm": NormLoss, "lse": LSELoss}
    return Penalty(kinds[params["fairret"]](statistic), by_label, params["strength"])


def space() -> Mapping[str, BaseDistribution]:
    """The statistic, how its violations are joined, the strength of the fairret and the step size."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "statistic": CategoricalDistribution(("positive_rate", "true_positive_rate")),
        "fairret": CategoricalDistribution(("norm", "lse")),
        "strength": FloatDistribution(1e-2, 3.0, log=True),
        "learning_rate": FloatDistribution(1e-3, 2e-2, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """200 steps of Adam on the training rows; kept are the weights of the lowest loss of the validation rows."""
    given, watched = _rows(view, view.split.train), _rows(view, view.split.validation)
    term, batches = penalty(params), _batches(len(view.split.train), torch_generator(seed, "batches"))
    module = _network(view.features.shape[1], derive_seed(seed, "network"))
    optimizer = torch.optim.Adam(module.parameters(), lr=params["learning_rate"])
    best, kept = torch.inf, module.state_dict()
    for step, rows in zip(range(1, STEPS + 1), batches, strict=False):
        optimizer.zero_grad()
        _loss(module, term, *(part[rows] for part in given)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % LOOK == 0:
            with torch.no_grad():
                reached = float(_loss(module, term, *watched))
            if reached < best:
                best, kept = reached, copy.deepcopy(module.state_dict())
    module.load_state_dict(kept)
    return ModelExpert(Network(module.requires_grad_(False)), "mlp", seed, params)


def _rows(view: TaskView, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features [r, d], labels [r] and memberships [r, g] of rows; of groups that have training rows."""
    present = torch.from_numpy(np.unique(view.groups[view.split.train].numpy()))
    members = (view.groups[rows][:, None] == present).float()
    return view.features[rows], view.labels[rows], members


def _loss(module: torch.nn.Module, term: Penalty, features: Tensor, labels: Tensor, members: Tensor) -> Tensor:
    margins = module(features)[:, 0]
    plain = torch.nn.functional.binary_cross_entropy_with_logits(margins, labels.float())
    return plain + term(margins, labels, members)


def _network(d: int, seed: int) -> torch.nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(d, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1))


def _batches(n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of one step after the other, for ever: every row once, then all again in another order."""
    while True:
        yield from torch.split(torch.randperm(n, generator=generator), min(BATCH, n))


METHOD = Baseline(
    label="fairret (MLP)",
    about="a network with a fairness loss of the package fairret",
    family="mlp",
    reference="Buyl, Defrance and De Bie, fairret: a Framework for Differentiable Fairness Regularization Terms, ICLR "
    "2024; fairret",
    fit=fit,
    space=space,
    fair=True,
    colour="orange",
    explainer="shapley_sampling",
    place=105,
    seconds=(0.3, 0.1),
    secondary=True,
)
