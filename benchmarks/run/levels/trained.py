"""Predictions of all that a method trained: candidates at every level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Trained:
    """Predictions of every trained configuration of a method.

    Attributes
    ----------
    validation : [K, n_validation] float32
        Probabilities of class 1 on the validation rows, in the order of the split; a failed one is a row of nan.
    test : [K, n_test] float32
        The same on test rows.
    stopped : sequence of bool
        Which were stopped before their end and answer with the best checkpoint that they had; () none.
    params : sequence of mapping
        Hyperparameters of each; () where they are not known.
    """

    validation: Tensor
    test: Tensor
    stopped: Sequence[bool] = ()
    params: Sequence[Mapping[str, Any]] = ()
