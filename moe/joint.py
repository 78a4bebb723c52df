"""Joint fine-tuning of a library: networks and weights together, all other members as frozen offsets.

Every fold has its own copy of the system: networks that have not seen the fold, and weights. A copy is trained on the
rows outside its fold and judged on those inside, so what is kept was asked for by rows that it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from experts.bagging import Bag, BaggedExpert, HonestBag, bag_rows
from experts.expert import Expert
from experts.networks.adam import LaneAdam, clip_lanes
from experts.networks.batches import stratified_order
from experts.networks.lanes import LaneParameters, margins
from experts.networks.mlp import MLPExpert
from experts.networks.ple_mlp import PLEExpert
from foundation.seeding import torch_generator
from tasks.task import TaskView

LaneModel = MLPExpert | PLEExpert


@dataclass(frozen=True)
class JointConfig:
    """How long and how fast.

    Attributes
    ----------
    learning_rate : float > 0
        Small: the system starts from what its parts were trained to.
    steps, batch, evaluate_every : int
    networks : int
        The members of the largest weight among those that are networks; the others are frozen.
    certain : float
        Paired standard errors of the log loss by which unseen rows must prefer the tuned system.
    """

    learning_rate: float = 1e-3
    steps: int = 100
    batch: int = 512
    evaluate_every: int = 25
    networks: int = 4
    certain: float = 1.0


@dataclass(frozen=True, eq=False)
class JointTuning:
    """What joint fine-tuning gave.

    Attributes
    ----------
    members : tuple of m HonestBag
    point : [m] float64
        Weights on the simplex: the mean over folds.
    kept : bool
        Whether unseen rows asked for it; if not, members and weights are those handed in.
    before, after : float
        Log loss on unseen rows, of what was handed in and of the best checkpoint.
    history : list of dict
        One record per checkpoint: ``step, log_loss``.
    """

    members: tuple[HonestBag, ...]
    point: Tensor
    kept: bool
    before: float
    after: float
    history: list[dict[str, float]]


def tune_jointly(
    view: TaskView,
    members: Sequence[HonestBag],
    point: Tensor,
    fold: Tensor,
    *,
    seed: int,
    config: JointConfig | None = None,
) -> JointTuning:
    """Train networks and weights of a static mixture together.

    Parameters
    ----------
    view : TaskView
    members : sequence of m HonestBag
    point : [m]
        Weights on the simplex.
    fold : [n] int64
        That the members were made with.
    seed : int
    config : JointConfig, optional
    """
    config, members = config or JointConfig(), tuple(members)
    trained = trainable_members(members, point, config.networks)
    system = _System(view, members, point.double(), fold, trained)
    start = system.unseen_losses()
    before = float(start.mean())
    best, after, history = None, before, list[dict[str, float]]()
    if not trained:
        return JointTuning(members, point.double(), False, before, before, history)
    strata = system.labels * len(view.group_names) + view.groups[bag_rows(view)]
    generator = torch_generator(seed, "joint fine-tuning")
    order = torch.empty(0, dtype=torch.int64)
    adam = LaneAdam(system.theta, torch.full((system.folds,), config.learning_rate), torch.zeros(system.folds))
    for step in range(1, config.steps + 1):
        if len(order) < config.batch:
            order = torch.cat([order, stratified_order(strata, generator)])
        picked, order = order[: config.batch], order[config.batch :]
        adam.step(clip_lanes(system.gradient(picked), 1.0))
        if step % config.evaluate_every == 0 or step == config.steps:
            gain = start - system.unseen_losses()
            history.append({"step": step, "log_loss": before - float(gain.mean())})
            error = float(gain.std()) / len(gain) ** 0.5
            if float(gain.mean()) > max(config.certain * error, before - after):
                best, after = system.theta.clone(), history[-1]["log_loss"]
    if best is None:
        return JointTuning(members, point.double(), False, before, before, history)
    tuned, weights = system.result(best)
    return JointTuning(tuned, weights, True, before, after, history)


def trainable_members(members: Sequence[HonestBag], point: Tensor, most: int) -> list[int]:
    """Places of members whose models are networks on a row's own features, at most ``most``, by weight."""
    able = [
        place
        for place, member in enumerate(members)
        if point[place] > 0 and all(isinstance(model, LaneModel) for model in member.bag.expert.experts)
    ]
    return sorted(sorted(able, key=lambda place: -float(point[place]))[:most])


class _System:
    """Networks [folds, P_d] of some members and log weights [folds, used members], flat in ``theta``."""

    def __init__(
        self, view: TaskView, members: Sequence[HonestBag], point: Tensor, fold: Tensor, trained: list[int]
    ) -> None:
        rows = bag_rows(view)
        self._view, self._members, self._point, self._fold, self._trained = view, members, point, fold, trained
        self.labels, self.folds = view.labels[rows], int(fold.max()) + 1
        self._sign = torch.where(self.labels == 1, 1.0, -1.0)
        self._frozen = [k for k in range(len(members)) if point[k] > 0 and k not in trained]
        oof = [members[k].bag.oof for k in self._frozen]
        empty = torch.zeros(len(rows), 0)
        self._said = torch.sigmoid(torch.stack(oof, 1) * self._sign[:, None]) if oof else empty
        self._inputs = [_inputs(members[k].bag.expert.experts[0], view, rows) for k in trained]
        parts = [torch.cat([_lane(model).theta for model in members[k].bag.expert.experts]) for k in trained]
        used = torch.tensor([*self._frozen, *trained], dtype=torch.int64)
        parts.append(point[used].log().float().expand(self.folds, -1))
        self._sizes = [part.shape[1] for part in parts]
        self.theta = torch.cat(parts, 1)
        self._seen = (fold[None] != torch.arange(self.folds)[:, None]).float()

    def _networks(self, theta: Tensor) -> tuple[list[LaneParameters], Tensor]:
        """Networks of the trained members, and weights [folds, used]."""
        *parts, scores = torch.split(theta, self._sizes, 1)
        shapes = [_lane(self._members[k].bag.expert.experts[0]) for k in self._trained]
        lanes = [LaneParameters(part, s.n_features, s.hidden) for part, s in zip(parts, shapes, strict=True)]
        return lanes, torch.softmax(scores, 1)

    def _likelihood(self, theta: Tensor, rows: Tensor) -> Tensor:
        """[folds, r] probability that each fold's system gives to the true label of rows."""
        networks, weights = self._networks(theta)
        said = [
            torch.sigmoid(margins(network, features[rows]) * self._sign[rows])
            for network, features in zip(networks, self._inputs, strict=True)
        ]
        frozen = weights[:, : len(self._frozen)] @ self._said[rows].T
        own = weights[:, len(self._frozen) :, None] * torch.stack(said, 1) if said else frozen[:, None] * 0
        return (frozen + own.sum(1)).clamp(min=1e-7)

    def gradient(self, rows: Tensor) -> Tensor:
        """[folds, P] of each fold's mean log loss on those of the rows that it may see."""
        theta, seen = self.theta.detach().requires_grad_(), self._seen[:, rows]
        losses = -(self._likelihood(theta, rows).log() * seen).sum(1) / seen.sum(1).clamp(min=1)
        (gradient,) = torch.autograd.grad(losses.sum(), theta)
        return gradient

    def unseen_losses(self) -> Tensor:
        """[n] float64 log loss of each row by the system of its own fold."""
        with torch.no_grad():
            likelihood = self._likelihood(self.theta, torch.arange(len(self.labels)))
        return -likelihood.gather(0, self._fold[None])[0].double().log()

    def result(self, theta: Tensor) -> tuple[tuple[HonestBag, ...], Tensor]:
        """Members with the networks of a checkpoint, and the mean weights [m]."""
        networks, weights = self._networks(theta)
        members, point = list(self._members), torch.zeros(len(self._members), dtype=torch.float64)
        point[torch.tensor([*self._frozen, *self._trained])] = weights.double().mean(0)
        for place, network, features in zip(self._trained, networks, self._inputs, strict=True):
            bag = self._members[place].bag
            with torch.no_grad():
                oof = margins(network, features).gather(0, self._fold[None])[0].clone()
            models = tuple(_replaced(model, network.select([k])) for k, model in enumerate(bag.expert.experts))
            tuned = Bag(bag.name, bag.family, bag.role, bag.trial, oof, BaggedExpert(models))
            members[place] = HonestBag.of(self._view, tuned, self._fold)
        return tuple(members), point / point.sum()


def _lane(model: Expert) -> LaneParameters:
    assert isinstance(model, LaneModel)
    return model.parameters


def _replaced(model: Expert, parameters: LaneParameters) -> Expert:
    assert isinstance(model, LaneModel)
    return replace(model, parameters=parameters)


def _inputs(model: Expert, view: TaskView, rows: Tensor) -> Tensor:
    """[n, d] what the network reads of rows; the models of a bag read the same."""
    features = view.features[rows]
    return model.encoding.encode(features) if isinstance(model, PLEExpert) else features
