"""FairVGNN-style fair views (Wang, Zhao, Dong, Chen, Li and Derr, KDD 2022).

A generator learns for every attribute how likely it is to be kept; a discriminator reads the group from the hidden
layer of a GCN under masks drawn from the generator; a classifier reads the label from it. Generator and graph layer
are trained so that the discriminator is left with ½ for everybody, and after every epoch the weights of an attribute
are clipped to its share of kept masks times a bound, so that attributes that tell the group weigh little.

As in the paper: masks by the Gumbel trick over two logits per attribute, several masks per step, three losses in turn,
clipping, and the checkpoint with the largest AUC + F1 + accuracy − (both gaps) on validation rows under hard masks.
What differs: the discriminator never sees rows of the test part (the paper gives it the groups of all rows), and the
hard masks of the chosen checkpoint are kept, so that a prediction is the same each time it is asked for.

All of it is linear in propagated features (one graph layer, no activation), so a step is one small matrix product for
all masks, and every epoch's model is one vector: validation rows judge all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._graph import smoothed
from benchmarks.methods.baselines._graph_training import seeded
from benchmarks.methods.baselines._linear_gcn import HIDDEN, LinearGCN
from benchmarks.methods.graph_model import GraphModel
from foundation.seeding import torch_generator
from metrics.points import point_values
from tasks.task import TaskView
from tasks.thinning import thinned

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ADVERSARY_LR = 1e-3
"""Learning rate of discriminator and generator."""
TINY = 1e-6

DEFAULTS: Params = {
    "epochs": 100, "masks": 4, "adversary_rows": 2048, "discriminator_steps": 4, "classifier_steps": 5,
    "generator_steps": 4, "clip": 1.0, "ratio": 0.5, "layer_lr": 3e-3, "head_lr": 1e-2, "alpha": 1.0,
    "discriminator_moves_layer": True, "clip_head": 0.0, "sensitive_scale": 1.0,
}  # fmt: skip
"""Settings of a tuned fit that are not in the search space.

``adversary_rows``: most rows that discriminator and generator see, 0 for all; ``alpha``: weight of the gaps in the
choice of the checkpoint; ``discriminator_moves_layer``: whether the graph layer helps the discriminator in its steps;
``clip_head``: bound of the classifier's weights, 0 for none; ``sensitive_scale``: see
:data:`benchmarks.methods.baselines._graph.PUBLISHED`.
"""

_PAPER: Params = {**DEFAULTS, "masks": 10, "adversary_rows": 0, "discriminator_steps": 5, "sensitive_scale": 0.5}
SETTINGS: Mapping[str, Params] = {
    "german": {**_PAPER, "epochs": 200, "classifier_steps": 10, "generator_steps": 5, "clip": 0.1, "ratio": 0.0,
               "layer_lr": 1e-3},
    "bail": {**_PAPER, "epochs": 300, "classifier_steps": 10, "generator_steps": 10, "clip": 1.0, "ratio": 1.0,
             "layer_lr": 1e-3},
    "credit": {**_PAPER, "epochs": 200, "classifier_steps": 5, "generator_steps": 10, "clip": 1.0, "ratio": 0.0,
               "layer_lr": 1e-2, "discriminator_moves_layer": False, "clip_head": 1.0},
}  # fmt: skip
"""What the paper's repository runs for its GCN, by data set; the one of bail for every other."""


@dataclass
class _Game:
    """The players, and what they look at."""

    model: LinearGCN
    discriminator: nn.Linear  # hidden → one logit per group but the first
    keep: Tensor  # [d] logit of keeping an attribute
    labelled: tuple[Tensor, Tensor]  # propagated training rows, labels
    grouped: tuple[Tensor, Tensor]  # propagated rows for the discriminator, [r, g - 1] membership
    generator: torch.Generator

    def masks(self, count: int) -> Tensor:
        """[count, d] soft masks, Gumbel-softmax with temperature 1; gradients go to ``keep``."""
        return torch.sigmoid(self.keep + self._noise(count))

    def hard_mask(self, count: int) -> Tensor:
        """[d] mean of hard masks."""
        return (self.keep + self._noise(count) > 0).float().mean(0).detach()

    def _noise(self, count: int) -> Tensor:
        # the difference of two Gumbel draws is logistic
        uniform = torch.rand(count, len(self.keep), generator=self.generator).clamp(TINY, 1 - TINY)
        return torch.logit(uniform)

    def group_logits(self, masks: Tensor) -> Tensor:
        """[r, K, g - 1] logits of the discriminator under masks [K, d]."""
        weights = self.discriminator.weight @ self.model.layer.weight  # [g - 1, d]
        constant = self.discriminator.weight @ self.model.bias + self.discriminator.bias
        lines = (masks[:, None] * weights).flatten(0, 1)  # one product for all masks and groups
        return (self.grouped[0] @ lines.T).view(-1, len(masks), len(weights)) + constant


def fit(view: TaskView, params: Params, seed: int) -> GraphModel:
    """Play the game on training rows; validation rows choose the epoch."""
    settings = {**DEFAULTS, **params}
    propagate = smoothed(view, settings)
    propagated = propagate(view)
    game = _game(view, propagated, settings, seed)
    lines, masks = _play(game, settings)
    chosen = _chosen(lines, propagated, view, settings["alpha"])
    fitted = Line(lines[chosen], masks[chosen])
    return GraphModel.of_view(
        view, fitted, fitted, family="gcn", seed=seed, settings=settings, propagate=propagate, network="line"
    )


def _game(view: TaskView, propagated: Tensor, settings: Params, seed: int) -> _Game:
    d, count = propagated.shape[1], len(view.group_names)
    generator = torch_generator(seed, "fairvgnn")
    with seeded(seed, "fairvgnn"):
        discriminator = nn.Linear(HIDDEN, count - 1)
    drawn = (6 / (d + 2)) ** 0.5 * (2 * torch.rand(2, d, generator=generator) - 1)
    shown = torch.ones(len(propagated), dtype=torch.bool)
    shown[view.split.test] = False
    rows = shown.nonzero()[:, 0]
    if 0 < settings["adversary_rows"] < len(rows):
        rows = rows[thinned(view.labels[rows], view.groups[rows], settings["adversary_rows"], generator)]
    train = view.split.train
    return _Game(
        model=LinearGCN.drawn(torch.ones(d), seed),
        discriminator=discriminator,
        keep=(drawn[0] - drawn[1]).requires_grad_(),
        labelled=(propagated[train], view.labels[train].float()),
        grouped=(propagated[rows], nn.functional.one_hot(view.groups[rows], count)[:, 1:].float()),
        generator=generator,
    )


def _play(game: _Game, settings: Params) -> tuple[Tensor, Tensor]:
    """Lines [epochs, d + 1] of the epochs' models (the constant last), and hard masks [epochs, d]."""
    model, adam = game.model, torch.optim.Adam
    layer = adam([model.layer.weight, model.bias], lr=settings["layer_lr"])
    head = adam(model.head.parameters(), lr=settings["head_lr"])
    discriminator = adam(game.discriminator.parameters(), lr=ADVERSARY_LR)
    # two logits per attribute move by the learning rate each: their difference moves by twice as much
    keep = adam([game.keep], lr=2 * ADVERSARY_LR)
    helped = [layer] if settings["discriminator_moves_layer"] else []
    lines, masks = [], []
    for _ in range(settings["epochs"]):
        soft = game.masks(settings["masks"]).detach()
        for _ in range(settings["discriminator_steps"]):
            _step([discriminator, *helped], _recognition_loss(game, soft), [discriminator, layer])
        for _ in range(settings["classifier_steps"]):
            _step([layer, head], _label_loss(game, soft), [layer, head])
        for _ in range(settings["generator_steps"]):
            fooled = _fooling_loss(game, game.masks(settings["masks"]), settings["ratio"])
            _step([keep, layer], fooled, [keep, layer, discriminator])
        _clip(game, settings["clip"] * soft.mean(0), settings["clip_head"])
        masks.append(game.hard_mask(settings["masks"]))
        weight, constant = model.line(masks=masks[-1])
        lines.append(torch.cat((weight, constant[None])).detach())
    return torch.stack(lines), torch.stack(masks)


def _step(moved: list[torch.optim.Adam], loss: Tensor, touched: list[torch.optim.Adam]) -> None:
    for optimiser in touched:
        optimiser.zero_grad()
    torch.autograd.backward(loss)
    for optimiser in moved:
        optimiser.step()


def _recognition_loss(game: _Game, masks: Tensor) -> Tensor:
    """How badly the discriminator tells groups apart, mean over masks."""
    logits = game.group_logits(masks)
    return binary_cross_entropy_with_logits(logits, game.grouped[1][:, None].expand_as(logits))


def _label_loss(game: _Game, masks: Tensor) -> Tensor:
    """Cross-entropy of the classifier, mean over masks."""
    weights, constant = game.model.line(masks=masks)
    logits = game.labelled[0] @ weights.T + constant
    return binary_cross_entropy_with_logits(logits, game.labelled[1][:, None].expand_as(logits))


def _fooling_loss(game: _Game, masks: Tensor, ratio: float) -> Tensor:
    """Squared distance of the discriminator from ½, and of the masks from keeping everything."""
    unsure = (torch.sigmoid(game.group_logits(masks)) - 0.5).square().mean()
    return unsure + ratio * (1 - masks).square().mean()


@torch.no_grad()
def _clip(game: _Game, bound: Tensor, head: float) -> None:
    """Weights of an attribute to ± its bound [d], and those of the classifier to ± ``head`` if that is not 0."""
    game.model.layer.weight.clamp_(-bound, bound)
    if head:
        for parameter in game.model.head.parameters():
            parameter.clamp_(-head, head)


def _chosen(lines: Tensor, propagated: Tensor, view: TaskView, alpha: float) -> int:
    """Epoch with the largest AUC + F1 + accuracy − alpha · (gaps) on validation rows."""
    rows = view.split.validation
    probability = torch.sigmoid(lines[:, :-1] @ propagated[rows].T + lines[:, -1:])
    v = point_values(probability, view.labels[rows], view.groups[rows], len(view.group_names))
    score = v["auc@1"] + v["f1@1"] + v["acc@1"] - alpha * (v["dp@1"] + v["eopp@1"])
    if bool(score.isnan().all()):
        raise ArithmeticError("no epoch of FairVGNN has estimable metrics on validation rows")
    return int(score.nan_to_num(nan=-torch.inf).argmax())


class Line(nn.Module):
    """One epoch's model: weights of propagated features and a constant; ``mask`` says how often each was kept."""

    mask: Tensor

    def __init__(self, line: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.weight, self.constant = nn.Parameter(line[:-1].clone()), nn.Parameter(line[-1].clone())
        self.register_buffer("mask", mask)

    def forward(self, propagated: Tensor) -> Tensor:
        """[r, d] propagated features → [r] margins."""
        return propagated @ self.weight + self.constant


def empty_line(features: int, settings: Params) -> Line:  # noqa: ARG001 - its size is all that there is to know
    """A line without weights."""
    return Line(torch.zeros(features + 1), torch.zeros(features))


def space() -> Mapping[str, BaseDistribution]:
    """Bound of the weights, price of masking, learning rates, weight of the gaps in the choice of the epoch."""
    from optuna.distributions import FloatDistribution

    return {
        "clip": FloatDistribution(0.03, 1.0, log=True),
        "ratio": FloatDistribution(0.0, 1.0),
        "layer_lr": FloatDistribution(1e-3, 3e-2, log=True),
        "head_lr": FloatDistribution(1e-3, 3e-2, log=True),
        "alpha": FloatDistribution(0.0, 4.0),
    }


def published(dataset: str) -> Params:
    """Settings of the paper's repository."""
    return SETTINGS.get(dataset, SETTINGS["bail"])


METHOD = Baseline(
    label="FairVGNN",
    about="learnt masks of attributes that tell the group",
    family="gcn",
    reference="Wang, Zhao, Dong, Chen, Li, Derr: Improving Fairness in Graph Neural Networks via Mitigating Sensitive "
    "Attribute Leakage, KDD 2022",
    fit=fit,
    space=space,
    fair=True,
    graph=True,
    published=published,
    colour="orange",
    explainer="occlusion",
    place=170,
    levels=(("rival", "plain"),),
)
