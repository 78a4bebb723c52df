"""Where a prompt goes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Route:
    """Where a prompt goes.

    Attributes
    ----------
    experts : tuple of (str, float)
        Names and weights, in the order in which they stand in the answer; empty: the base answers. The weights of those
        that were chosen sum to 1. An expert that is there because another requires it has that one's weight, and
        virtual tokens have weight 1 beside the others.
    abstained : bool
        The base answers though it is not more likely than all experts together: no single expert is likely enough.
    why : str
        One sentence.
    features : mapping of str to mapping
        What each policy saw, by its name; ``refused`` and ``ruled_out``: experts that may not answer, and why.
    posterior : mapping of str to float
        Probabilities of ``base`` and of the experts that were proposed.
    counterfactual : str
        The smallest change that would change the choice; empty if it was not asked for.
    policy : str
        The policy that weighed most; ``none`` where nothing speaks for an expert.
    """

    experts: tuple[tuple[str, float], ...]
    abstained: bool
    why: str
    features: Mapping[str, Any] = field(default_factory=dict)
    posterior: Mapping[str, float] = field(default_factory=dict)
    counterfactual: str = ""
    policy: str = "none"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the experts."""
        return tuple(name for name, _ in self.experts)
