"""Who won the final examination, and with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Results = Mapping[str, Mapping[str, Any]]


def winner_of(results: Results) -> Mapping[str, Any]:
    """The contender that the examination names as winner; where it accepts none, what it says is left."""
    examined = results["6_examination"]
    found: Mapping[str, Any] = next(one for one in examined["contenders"] if one["label"] == examined["winner"])
    return found


def weights_of(results: Results) -> list[float]:
    """Weights of the winner, in the order of the trained experts; zeros where it is the base."""
    alphas = winner_of(results).get("alphas") or {}
    return [float(alphas.get(expert["name"], 0.0)) for expert in results["4_training"]["experts"]]
