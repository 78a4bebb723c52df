"""All fixed metrics of anyone's predictions as tables: fairlearn's ``MetricFrame``, with intervals and nulls."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from metrics.evidence import Evidence
from metrics.score import score

_NUMBERS = ("estimate", "low", "high", "null_p95")


class MetricFrame:
    """Scores of one prediction: overall, and by group.

    Parameters
    ----------
    y_true : [n] array-like of two classes
    y_pred : [n] array-like
        Probabilities of class 1, or decided classes of ``y_true``.
    sensitive_features : [n] or [n, a] array-like
        Group of each row; several columns make intersections.
    positive : optional
        Which class is class 1; default: the last in sorted order.
    seed : int
        Of the resamples; the same seed gives the same intervals.
    draws, permutations : int
        Bootstrap samples of rows, and shuffles of groups.

    Attributes
    ----------
    overall : DataFrame
        Indexed by metric id: ``estimate``, 95 % interval ``low`` to ``high``, ``null_p95`` (95th percentile if groups
        were shuffled), ``status`` and ``reason``. What the rows cannot give is nan with its reason, never 0.
    by_group : DataFrame
        Indexed by group and statistic: ``estimate``, ``low``, ``high``.
    degenerate : bool
        Whether the prediction is (nearly) constant.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing, or there are not two classes.

    Examples
    --------
    >>> frame = MetricFrame([0, 1, 1, 0] * 50, [0, 1, 0, 0] * 50, sensitive_features=["a", "a", "b", "b"] * 50)
    >>> round(float(frame.overall.loc["dp@1", "estimate"]), 2)
    0.5
    """

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        *,
        sensitive_features: Any,
        positive: Any = None,
        seed: int = 0,
        draws: int = 1000,
        permutations: int = 500,
    ) -> None:
        truth = _one_column("y_true", y_true)
        groups, names = _groups(sensitive_features)
        predicted = _one_column("y_pred", y_pred)
        if not len(truth) == len(predicted) == len(groups):
            raise ValueError(
                f"y_true, y_pred and sensitive_features have {len(truth)}, {len(predicted)} and {len(groups)} rows; "
                "pass one entry per row to all three."
            )
        one = _class_one(truth, positive)
        probability = torch.as_tensor(_probabilities(predicted, truth, one), dtype=torch.float64)
        scores = score(
            Evidence(probability),
            torch.as_tensor((truth == one).astype(np.int64)),
            torch.as_tensor(groups),
            names,
            seed=seed,
            draws=draws,
            permutations=permutations,
        )
        self.degenerate = scores.degenerate
        rows = {
            id: {**{k: getattr(value, k) for k in _NUMBERS}, "status": value.status, "reason": value.reason}
            for id, value in scores.values.items()
        }
        self.overall = pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")
        cells = [(row.group, row.statistic, row.estimate, row.low, row.high) for row in scores.groups]
        columns = ["group", "statistic", "estimate", "low", "high"]
        self.by_group = pd.DataFrame(cells, columns=columns).set_index(["group", "statistic"])


def _one_column(name: str, values: Any) -> npt.NDArray[Any]:
    column = np.asarray(values)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise ValueError(f"{name} has shape {column.shape}; pass one value per row (of predict_proba, column 1).")
    if pd.isna(column).any():
        raise ValueError(f"{name} is missing in {int(pd.isna(column).sum())} rows; leave these rows out.")
    return column


def _groups(values: Any) -> tuple[npt.NDArray[np.int64], list[str]]:
    table = pd.DataFrame(np.asarray(values, dtype=object))
    if table.isna().any(axis=None):
        raise ValueError(
            f"sensitive_features is missing in {int(table.isna().any(axis=1).sum())} rows; leave these rows out, or "
            'give them a group of their own, such as "unknown".'
        )
    joined = table.astype(str).agg(" & ".join, axis=1)
    codes, names = pd.factorize(joined, sort=True)
    return codes.astype(np.int64), [str(name) for name in names]


def _class_one(truth: npt.NDArray[Any], positive: Any) -> Any:
    classes = np.unique(truth)
    if len(classes) != 2:
        raise ValueError(f"y_true holds {len(classes)} classes ({', '.join(map(str, classes[:6]))}); metrics need two.")
    if positive is not None and positive not in classes:
        raise ValueError(
            f"positive = {positive!r} is no class of y_true, which holds {classes[0]!s} and {classes[1]!s}."
        )
    return classes[1] if positive is None else positive


def _probabilities(predicted: npt.NDArray[Any], truth: npt.NDArray[Any], one: Any) -> npt.NDArray[np.float64]:
    if set(np.unique(predicted).tolist()) <= set(np.unique(truth).tolist()):
        decided: npt.NDArray[np.float64] = (predicted == one).astype(np.float64)
        return decided
    try:
        return predicted.astype(np.float64)
    except ValueError as error:
        strange = sorted(set(map(str, predicted)) - set(map(str, truth)))
        raise ValueError(
            f"y_pred holds {strange[0]!r}, which is neither a class of y_true nor a probability."
        ) from error
