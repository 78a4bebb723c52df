"""Columns that alone tell the label: mostly written down after it, or another name of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from tasks.values import is_numeric

TELLING = 0.99
"""AUC of one column from which on a card asks whether it gives the label away."""
_MOST_VALUES = 20
"""Most values of a text column that is looked at: of more, each has so few rows that chance tells them apart."""


def telling_columns(table: pd.DataFrame, labels: np.ndarray) -> dict[str, float]:
    """Columns whose values alone order the rows by label, with the AUC of doing so.

    Parameters
    ----------
    table : [n] DataFrame
        Candidate features.
    labels : [n] float
        0, 1, or NaN for rows without a label.
    """
    known = ~np.isnan(labels)
    found = {str(name): _auc(table[name][known], labels[known]) for name in table.columns}
    return {name: auc for name, auc in found.items() if auc >= TELLING}


def _auc(column: pd.Series, labels: np.ndarray) -> float:
    if is_numeric(column):
        scores = column.to_numpy(dtype=np.float64, na_value=np.nan)
    elif 2 <= column.nunique() <= _MOST_VALUES:
        codes, values = pd.factorize(column, use_na_sentinel=True)
        shares = [labels[codes == code].mean() for code in range(len(values))]
        scores = np.array([*shares, np.nan])[codes]
    else:
        return 0.5
    held = ~np.isnan(scores)
    positive, negative = int(labels[held].sum()), int((1 - labels[held]).sum())
    if min(positive, negative) < 5 or held.mean() < 0.5:
        return 0.5
    above = rankdata(scores[held])[labels[held] == 1].sum() - positive * (positive + 1) / 2
    auc = float(above / (positive * negative))
    return max(auc, 1 - auc)
