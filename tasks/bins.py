"""Columns with hundreds of codes, read as a few named classes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.card import Bin, ColumnSpec
from tasks.values import word

OTHER = "other"
"""Class of the codes that are in no bin."""


def binned(series: pd.Series, column: ColumnSpec) -> pd.Series:
    """[n] text: each code as the name of its bin; a missing code and the name of a bin stay as they are.

    Bins differ from the groups of a sensitive attribute in one point: the codes may be part numbers, part text
    (ICD-9 has 428, 250.83 and V57), so bounds look only at codes that are numbers.

    Parameters
    ----------
    series : [n] Series
        Raw codes as the file holds them.
    column : ColumnSpec
        With ``bins``; codes in its ``missing`` become missing.
    """
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    absent = {word(code) for code in column.missing}
    names = [np.nan if word(value) in absent else _name(value, column.bins) for value in uniques]
    cells = np.array([*names, np.nan], dtype=object)
    return pd.Series(cells[codes], dtype="str", index=series.index, name=series.name)


def _name(value: object, bins: tuple[Bin, ...]) -> str:
    if any(value == each.name for each in bins):
        return str(value)
    return next((each.name for each in bins if _fits(value, each)), OTHER)


def _fits(value: object, rule: Bin) -> bool:
    if rule.equals:
        return word(value) in {word(wanted) for wanted in rule.equals}
    try:
        number = float(str(value))
    except ValueError:
        return False
    return not (
        (rule.at_least is not None and number < rule.at_least)
        or (rule.below is not None and number >= rule.below)
        or (rule.above is not None and number <= rule.above)
        or (rule.at_most is not None and number > rule.at_most)
    )
