"""Adversarial mitigation (fairlearn, torch): a network whose output is to tell an adversary nothing of the group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._network import Network
from foundation.seeding import derive_seed, torch_generator
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

HIDDEN = 16
STEPS, BATCH = 1000, 256


def space() -> Mapping[str, BaseDistribution]:
    """The constraint, the weight of the adversary, and the step size of both networks."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "constraint": CategoricalDistribution(("demographic_parity", "equalized_odds")),
        "alpha": FloatDistribution(1e-2, 1e1, log=True),
        "learning_rate": FloatDistribution(1e-3, 3e-2, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """As many epochs on the training rows as make about 1,000 steps of 256 rows."""
    from fairlearn.adversarial import AdversarialFairnessClassifier

    train = view.split.train
    model: Any = AdversarialFairnessClassifier(  # type: ignore[no-untyped-call]
        backend=_engine(seed),
        predictor_model=[HIDDEN, "relu"],
        adversary_model=[],
        constraints=params["constraint"],
        alpha=params["alpha"],
        learning_rate=params["learning_rate"],
        epochs=math.ceil(STEPS * BATCH / len(train)),
        batch_size=min(BATCH, len(train)),
        shuffle=True,
        random_state=seed % 2**32,
    )
    groups = view.groups[train].numpy()
    with torch.random.fork_rng(devices=[]):  # fairlearn seeds torch's global generator
        model.fit(view.features[train].numpy(), view.labels[train].numpy(), sensitive_features=groups)
    *layers, _sigmoid = model.backendEngine_.predictor_model.layers_
    return ModelExpert(Network(torch.nn.Sequential(*layers)), "adversarial", seed, params)


def _engine(seed: int) -> type:
    """The torch engine of fairlearn with weights and batches that follow from the seed.

    Its own seed is a fraction, which torch rounds to 0 whatever ``random_state`` is (fairlearn 0.15).
    """
    from fairlearn.adversarial._pytorch_engine import PytorchEngine

    order = torch_generator(seed, "batches")

    class SeededEngine(PytorchEngine):
        made = 0

        def get_model(self, list_nodes: list[Any]) -> torch.nn.Module:
            torch.manual_seed(derive_seed(seed, "network", self.made))
            self.made += 1
            module: torch.nn.Module = super().get_model(list_nodes)  # type: ignore[no-untyped-call]
            return module

        def shuffle(self, X: Tensor, Y: Tensor, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            index = torch.randperm(len(X), generator=order)
            return X[index], Y[index], A[index]

    return SeededEngine


METHOD = Baseline(
    label="Adversarial mitigation",
    about="an adversary looks for groups",
    family="adversarial",
    reference="Zhang, Lemoine and Mitchell, Mitigating Unwanted Biases with Adversarial Learning, AIES 2018; fairlearn",
    fit=fit,
    space=space,
    fair=True,
    colour="orange",
    explainer="shapley_sampling",
    place=110,
    seconds=(1.2, 0.2),
)
