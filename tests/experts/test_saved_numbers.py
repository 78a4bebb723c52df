"""Numbers that are not finite stand in words beside the tensors, and come back."""

from __future__ import annotations

import torch

from experts.saved import finite_parts, with_others


def test_numbers_that_are_not_finite_are_told_in_words_and_come_back() -> None:
    inf, nan = float("inf"), float("nan")
    parts = {
        "cuts": torch.tensor([[inf, 0.1], [-inf, nan]], dtype=torch.float64),
        "shares": torch.tensor([0.25, 0.75], dtype=torch.float32),
    }
    finite, told = finite_parts(parts)
    assert told == {"cuts": {"0": "inf", "2": "-inf", "3": "nan"}}
    assert torch.equal(finite["cuts"], torch.tensor([[0, 0.1], [0, 0]], dtype=torch.float64))
    again = with_others(finite, told)
    for name, part in parts.items():
        assert again[name].dtype == part.dtype
        assert torch.equal(again[name].nan_to_num(nan=7.0), part.nan_to_num(nan=7.0))
    assert with_others(finite, {}) == finite
