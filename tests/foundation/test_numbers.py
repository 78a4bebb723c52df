"""What JSON cannot hold becomes null, at any depth."""

from __future__ import annotations

import json
import math

import numpy as np

from foundation.numbers import finite


def test_missing_numbers_become_null_at_any_depth() -> None:
    data = {"a": math.nan, "b": [1.5, math.inf, {"c": (-math.inf, 2, "nan", None, True)}], "d": np.float64("nan")}
    found = finite(data)
    assert found == {"a": None, "b": [1.5, None, {"c": [None, 2, "nan", None, True]}], "d": None}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert math.isnan(data["a"])  # the data given stay as they are
