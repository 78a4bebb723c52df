"""The experts as scikit-learn classifiers."""

# scikit-learn is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from experts.classifier import NOT_NEGATIVE, LaneClassifier
from experts.networks.lanes import LaneParameters, margins
from tasks.task import TaskView


class RoleClassifier(LaneClassifier):
    """The classifiers that are one lane of their role.

    Attributes
    ----------
    n_iter_ : int
        Optimiser step of the chosen checkpoint.
    validation_metrics_ : dict
        Metrics there, on the rows that chose it.
    """

    def _fit_view(self, view: TaskView, seed: int) -> None:
        _, result = self._lane(view, "utility", seed, None)
        if self.fairness_active_:
            floor = result.metrics[0]["utility@1"] - self.epsilon
            _, result = self._lane(view, self._role, seed, floor)
        self.parameters_: LaneParameters = result.parameters
        self.n_iter_ = result.step[0]
        self.validation_metrics_ = result.metrics[0]

    def _margins(self, features: Tensor) -> Tensor:
        return margins(self.parameters_.double(), features)[0]


class UtilityClassifier(RoleClassifier):
    """The utility expert: one hidden layer, cross-entropy; no fairness terms.

    Parameters
    ----------
    lr, weight_decay : float
        Adam's learning rate and L2 coefficient.
    steps : int
        Largest number of optimiser steps.
    patience : int
        Evaluations (20 in all) without a better checkpoint before training stops.
    hidden : int
        Hidden units.
    dropout : float
        Dropout rate of hidden units.
    validation_fraction : float
        Share of the rows that choose the checkpoint.
    random_state : int, RandomState or None
        Initial weights, dropout, batch order and the validation rows.
    """

    _role = "utility"

    def __init__(
        self,
        *,
        lr: float = 0.01,
        weight_decay: float = 1e-5,
        steps: int = 1000,
        patience: int = 5,
        hidden: int = 16,
        dropout: float = 0.3,
        validation_fraction: float = 0.25,
        random_state: Any = 0,
    ) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.patience = patience
        self.hidden = hidden
        self.dropout = dropout
        self.validation_fraction = validation_fraction
        self.random_state = random_state


class ResultFairClassifier(RoleClassifier):
    """The result-fair expert: cross-entropy, distance of the groups' mean embeddings, soft group gaps.

    Parameters
    ----------
    lambda_rep, lambda_fair : float
        Weight of the embedding distance and of the soft parity and opportunity gaps.
    epsilon : float
        Validation utility that fairness may cost.
    lr, weight_decay, steps, patience, hidden, dropout, validation_fraction, random_state
        As for :class:`UtilityClassifier`.
    """

    _role = "result"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LaneClassifier._parameter_constraints,
        **LaneClassifier._fair_constraints,
        "lambda_rep": [NOT_NEGATIVE],
        "lambda_fair": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        *,
        lambda_rep: float = 0.1,
        lambda_fair: float = 1.0,
        epsilon: float = 0.02,
        lr: float = 0.01,
        weight_decay: float = 1e-5,
        steps: int = 1000,
        patience: int = 5,
        hidden: int = 16,
        dropout: float = 0.3,
        validation_fraction: float = 0.25,
        random_state: Any = 0,
    ) -> None:
        self.lambda_rep = lambda_rep
        self.lambda_fair = lambda_fair
        self.epsilon = epsilon
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.patience = patience
        self.hidden = hidden
        self.dropout = dropout
        self.validation_fraction = validation_fraction
        self.random_state = random_state


class ProceduralFairClassifier(RoleClassifier):
    """The procedurally fair expert: cross-entropy, divergence of the groups' attributions, an adversary.

    Parameters
    ----------
    lambda_attention, lambda_adv : float
        Weight of the attribution divergence and of the adversary that guesses the group.
    epsilon : float
        Validation utility that fairness may cost.
    lr, weight_decay, steps, patience, hidden, dropout, validation_fraction, random_state
        As for :class:`UtilityClassifier`.
    """

    _role = "procedural"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LaneClassifier._parameter_constraints,
        **LaneClassifier._fair_constraints,
        "lambda_attention": [NOT_NEGATIVE],
        "lambda_adv": [NOT_NEGATIVE],
    }

    def __init__(
        self,
        *,
        lambda_attention: float = 1.0,
        lambda_adv: float = 0.1,
        epsilon: float = 0.02,
        lr: float = 0.01,
        weight_decay: float = 1e-5,
        steps: int = 1000,
        patience: int = 5,
        hidden: int = 16,
        dropout: float = 0.3,
        validation_fraction: float = 0.25,
        random_state: Any = 0,
    ) -> None:
        self.lambda_attention = lambda_attention
        self.lambda_adv = lambda_adv
        self.epsilon = epsilon
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.patience = patience
        self.hidden = hidden
        self.dropout = dropout
        self.validation_fraction = validation_fraction
        self.random_state = random_state
