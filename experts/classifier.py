"""What the experts have in common as scikit-learn classifiers: ``fit(X, y, sensitive_features=…)``, ``predict_proba``.

``sensitive_features`` is scikit-learn metadata: ask for it with ``set_fit_request(sensitive_features=True)``. It is
used in ``fit`` only; predictions need ``X`` alone.
"""

# scikit-learn is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data
from torch import Tensor

from experts.expert import Role
from experts.networks.trainer import OBJECTIVES, Budget, LaneConfig, LaneResult, train_lanes
from foundation.seeding import derive_seed, numpy_generator
from tasks.arrays import frame_of, view_of_arrays, view_of_frame
from tasks.task import TaskView

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
MOST_GROUPS = 50
"""Groups beyond which ``fit`` refuses: every pair of groups is compared, and so many are values, not groups."""


class FairnessInactiveWarning(UserWarning):
    """A fair classifier was fitted without groups: its fairness terms were off."""


class LaneClassifier(ClassifierMixin, BaseEstimator, ABC):
    """Rows and groups from arrays, checks of arguments, and lanes of the expert trainer; subclasses make a model.

    A part of the training rows, stratified by class and group, chooses checkpoints. When a class has a single row,
    all rows do both. Fair lanes keep the checkpoint of the smallest gap whose validation utility is at most
    ``epsilon`` below that of the utility lane.
    """

    _role: ClassVar[Role]
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [NOT_NEGATIVE],
        "steps": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 0, None, closed="left")],
        "hidden": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }
    _fair_constraints: ClassVar[dict[str, Any]] = {"epsilon": [NOT_NEGATIVE]}
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

    def fit(self, X: Any, y: Any, sensitive_features: Any = None) -> Self:
        """Fit on rows with binary labels.

        Parameters
        ----------
        X : [n, d] array-like of finite numbers, or DataFrame of raw columns
            A DataFrame may hold numbers, truth values, texts and categories, with empty cells: it is encoded as the
            tables of the benchmark are (:class:`tasks.encode.Encoder`, statistics of the training rows).
        y : [n] array-like of two classes; the second in sorted order is class 1
        sensitive_features : [n] or [n, a] array-like of hashables, optional
            Group of each row, at most ``MOST_GROUPS`` different ones and none missing; rows of several columns are
            intersections. Used in ``fit`` only. Without it, or with a single group, a fair classifier has nothing to
            equalise: it warns (:class:`FairnessInactiveWarning`) and is the utility classifier.

        Raises
        ------
        ValueError
            If a parameter is out of its range, the labels are not of exactly two classes, lengths differ, a group is
            missing, there are too many groups, or an expert cannot be trained.
        """
        self._validate_params()
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True)
            y = _labels_of(X, y)
        else:
            X, y = validate_data(self, X, y, dtype=np.float64)
        labels = self._encode_labels(y)
        groups = self._encode_groups(sensitive_features, len(y))
        seed = int(check_random_state(self.random_state).randint(2**31))
        train, validation = split_rows(labels, groups, self.validation_fraction, seed)
        self.raw_columns_ = isinstance(X, pd.DataFrame)
        make = view_of_frame if self.raw_columns_ else view_of_arrays
        view = make(X, labels, groups, train, validation)
        self._fit_view(view, seed)
        self.encoder_ = view.encoder
        return self

    @abstractmethod
    def _fit_view(self, view: TaskView, seed: int) -> None:
        """Make the model of the training rows."""

    @abstractmethod
    def _margins(self, features: Tensor) -> Tensor:
        """[n] float64 logit margins of encoded rows [n, d] in double precision."""

    def decision_function(self, X: Any) -> Floats:
        """[n] logit margin of class 1."""
        check_is_fitted(self)
        # In double precision a row's margin does not depend on how many rows are asked for.
        logits: Floats = self._margins(self.encoder_.encode(self._frame(X)).double()).numpy()
        return logits

    def _frame(self, X: Any) -> pd.DataFrame:
        """Checked rows as the columns that the encoder was fitted on."""
        if not self.raw_columns_:
            return frame_of(validate_data(self, X, dtype=np.float64, reset=False))
        validate_data(self, X, skip_check_array=True, reset=False)
        names = [encoder.name for encoder in self.encoder_.encoders]
        if isinstance(X, pd.DataFrame):
            return X.set_axis(names, axis=1).reset_index(drop=True)
        return pd.DataFrame(check_array(X, dtype=None, ensure_all_finite=False), columns=names).infer_objects()

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
            _check_groups(values)
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

    def _lane(
        self, view: TaskView, role: Role, seed: int, utility_floor: float | None
    ) -> tuple[LaneConfig, LaneResult]:
        """A trained lane of a role; ``ValueError`` if it failed."""
        lambdas = {name: float(getattr(self, name)) for name in OBJECTIVES[role].lambdas}
        lane = LaneConfig(self.lr, self.weight_decay, lambdas, derive_seed(seed, "lane"))
        run = derive_seed(seed, "lanes")
        result = train_lanes(view, role, [lane], self._budget(), seed=run, utility_floor=utility_floor)
        if reason := result.failure(0):
            raise ValueError(
                f"Training the {role} expert failed: {reason} Use a smaller lr, or check X for extreme values."
            )
        return lane, result


def _labels_of(X: pd.DataFrame, y: Any) -> npt.NDArray[Any]:
    """[n] labels of the rows of a table."""
    if y is None:
        raise ValueError("This classifier requires y to be passed, but the target y is None.")
    if not len(X) or not X.shape[1]:
        raise ValueError(f"X has {len(X)} rows and {X.shape[1]} columns; a minimum of 1 is required.")
    labels: npt.NDArray[Any] = column_or_1d(y, warn=True)
    check_consistent_length(X, labels)
    if pd.isna(labels).any():
        raise ValueError(f"Input y contains NaN in {int(pd.isna(labels).sum())} rows; leave these rows out.")
    return labels


def _hashables(sensitive_features: Any) -> Sequence[Any]:
    """One hashable per row; the columns of a table make a tuple."""
    table = np.asarray(sensitive_features, dtype=object)
    return [tuple(row) for row in table] if table.ndim > 1 else table.tolist()


def _check_groups(values: Sequence[Any]) -> None:
    """Raise ``ValueError`` for missing groups, and for so many that they are no groups."""
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise ValueError(
            f"sensitive_features is missing (None or NaN) for {len(missing)} of {len(values)} rows, the first is row "
            f'{missing[0]}. Leave these rows out, or give them a group of their own, such as "unknown".'
        )
    count = len(set(values))
    if count > MOST_GROUPS:
        raise ValueError(
            f"sensitive_features has {count} different values in {len(values)} rows; at most {MOST_GROUPS} groups can "
            "be compared. Bin a continuous attribute first, for example with pandas.cut or pandas.qcut, or join rare "
            "values."
        )


def _is_missing(value: Any) -> bool:
    """Whether a group, or a part of an intersection, is None, NaN, NaT or NA."""
    return any(pd.api.types.is_scalar(part) and bool(pd.isna(part)) for part in _parts(value))


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


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
