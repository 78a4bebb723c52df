"""The experts as scikit-learn classifiers: ``fit(X, y, sensitive_features=…)``, ``predict_proba``.

``sensitive_features`` is scikit-learn metadata: ask for it with ``set_fit_request(sensitive_features=True)``. It is
used in ``fit`` only; predictions need ``X`` alone.
"""

# scikit-learn is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from experts.expert import Role
from experts.networks.lanes import LaneParameters, margins
from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from foundation.seeding import derive_seed, numpy_generator
from tasks.arrays import frame_of, view_of_arrays
from tasks.task import TaskView

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class FairnessInactiveWarning(UserWarning):
    """A fair classifier was fitted without groups: its fairness terms were off."""


class LaneClassifier(ClassifierMixin, BaseEstimator):
    """What the classifiers share: rows and groups from arrays, and one lane of the expert trainer.

    A part of the training rows, stratified by class and group, chooses the checkpoint. When a class has a single row,
    all rows do both. A fair classifier first fits the utility expert and keeps the checkpoint of the smallest gap
    whose validation utility is at most ``epsilon`` below.
    """

    _role: ClassVar[Role]
    _lambdas: ClassVar[tuple[str, ...]] = ()
    lr: float
    weight_decay: float
    steps: int
    patience: int
    hidden: int
    dropout: float
    validation_fraction: float
    random_state: Any
    epsilon: float  # of fair classifiers

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        assert tags.classifier_tags is not None  # ClassifierMixin set them
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any, sensitive_features: Any = None) -> LaneClassifier:
        """Fit on rows with binary labels.

        Parameters
        ----------
        X : [n, d] array-like of finite numbers
        y : [n] array-like of two classes; the second in sorted order is class 1
        sensitive_features : [n] or [n, a] array-like of hashables, optional
            Group of each row; rows of several columns are intersections. Without it, or with a single group, a fair
            classifier has nothing to equalise: it warns (:class:`FairnessInactiveWarning`) and is the utility
            classifier.

        Raises
        ------
        ValueError
            If the labels are not of exactly two classes, or lengths differ.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        labels = self._encode_labels(y)
        groups = self._encode_groups(sensitive_features, len(y))
        seed = int(check_random_state(self.random_state).randint(2**31))
        train, validation = split_rows(labels, groups, self.validation_fraction, seed)
        view = view_of_arrays(X, labels, groups, train, validation)
        result = self._train(view, seed)
        if result.state[0] == "failed" or result.step[0] == 0:
            reason = result.reason[0] or "no checkpoint could be evaluated."
            raise ValueError(f"Training failed: {reason} Use a smaller lr, or check X for extreme values.")
        self.parameters_, self.encoder_ = result.parameters, view.encoder
        self.n_iter_ = result.step[0]
        self.validation_metrics_ = result.metrics[0]
        return self

    def decision_function(self, X: Any) -> Floats:
        """[n] logit margin of class 1."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        trained: LaneParameters = self.parameters_
        # In double precision a row's margin does not depend on how many rows are asked for.
        precise = LaneParameters(trained.theta.double(), trained.n_features, trained.hidden)
        logits: Floats = margins(precise, self.encoder_.encode(frame_of(X)).double())[0].numpy()
        return logits

    def predict_proba(self, X: Any) -> Floats:
        """[n, 2] probabilities of ``classes_``."""
        positive = expit(self.decision_function(X))
        return np.stack([1 - positive, positive], axis=1)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """[n] class labels; a tie is class 0."""
        positive = self.decision_function(X) > 0
        classes: npt.NDArray[Any] = self.classes_
        return classes[positive.astype(np.int64)]

    def _encode_labels(self, y: npt.NDArray[Any]) -> Integers:
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(f"{type(self).__name__} needs rows of two classes; y holds one class only.")
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}: it has "
                f"{len(self.classes_)} classes."
            )
        return labels.astype(np.int64)

    def _encode_groups(self, sensitive_features: Any, rows: int) -> Integers:
        self.groups_: list[Any] = []
        groups = np.zeros(rows, dtype=np.int64)
        if sensitive_features is not None:
            values = _hashables(sensitive_features)
            check_consistent_length(values, groups)
            self.groups_ = sorted(set(values), key=lambda value: (type(value).__name__, str(value)))
            number = {value: index for index, value in enumerate(self.groups_)}
            groups = np.array([number[value] for value in values], dtype=np.int64)
        self.fairness_active_ = self._role != "utility" and len(self.groups_) > 1
        if self._role != "utility" and not self.fairness_active_:
            warnings.warn(
                f"{type(self).__name__} was fitted without sensitive_features of at least two groups: its fairness "
                "terms are off and it is the utility classifier. Pass sensitive_features to fit.",
                FairnessInactiveWarning,
                stacklevel=3,
            )
        return groups

    def _budget(self) -> Budget:
        return Budget(
            steps=self.steps,
            eval_every=max(1, self.steps // 20),
            patience=self.patience,
            warm_up=self.steps // 5,
            hidden=self.hidden,
            dropout=self.dropout,
            rungs=(),
        )

    def _train(self, view: TaskView, seed: int) -> LaneResult:
        budget = self._budget()
        lambdas = {name: float(getattr(self, name)) for name in self._lambdas}
        run, lane = derive_seed(seed, "lanes"), derive_seed(seed, "lane")
        plain = LaneConfig(self.lr, self.weight_decay, {}, lane)
        result = train_lanes(view, "utility", [plain], budget, seed=run)
        if not self.fairness_active_ or result.state[0] == "failed":
            return result
        floor = result.metrics[0]["utility@1"] - self.epsilon
        fair = LaneConfig(self.lr, self.weight_decay, lambdas, lane)
        return train_lanes(view, self._role, [fair], budget, seed=run, utility_floor=floor)


class UtilityClassifier(LaneClassifier):
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


class ResultFairClassifier(LaneClassifier):
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
    _lambdas = ("lambda_rep", "lambda_fair")

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


class ProceduralFairClassifier(LaneClassifier):
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
    _lambdas = ("lambda_attention", "lambda_adv")

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


def _hashables(sensitive_features: Any) -> Sequence[Any]:
    """One hashable per row; the columns of a table make a tuple."""
    table = np.asarray(sensitive_features, dtype=object)
    return [tuple(row) for row in table] if table.ndim > 1 else table.tolist()


def split_rows(labels: Integers, groups: Integers, share: float, seed: int) -> tuple[Integers, Integers]:
    """Train and validation rows: ``share`` of every class × group cell, both classes in both parts."""
    every = np.arange(len(labels))
    if np.bincount(labels).min() < 2:
        return every, every
    order = numpy_generator(seed, "validation rows").permutation(len(labels))
    order = order[np.lexsort((groups[order], labels[order]))]
    held_out = np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        rows = order[labels[order] == label]
        count = min(len(rows) - 1, max(1, round(share * len(rows))))
        # Evenly spaced in rows that are sorted by group: every group gives its share.
        held_out[rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]] = True
    return every[~held_out], every[held_out]
