"""What a policy is: something that looks at a prompt and says what speaks for each expert, in log-odds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving.router.query import Query


@dataclass(frozen=True)
class Verdict:
    """What one policy says of one prompt.

    Attributes
    ----------
    scores : mapping of str to float
        Log-odds against the base of experts that the policy proposes; who is not named is not proposed by it.
    shifts : mapping of str to float
        Log-odds that count only for experts that some policy proposes: priorities, outcomes.
    base : float
        What speaks for the base, in log-odds against every expert.
    vetoed : mapping of str to str
        Experts that may not answer, and why: no other policy can overrule it.
    decided : str
        Why the base answers, whatever later policies would say; empty if it is open.
    features : mapping
        What was seen, for :meth:`serving.router.router.Router.route` to hand on.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)
    base: float = 0.0
    vetoed: Mapping[str, str] = field(default_factory=dict)
    decided: str = ""
    features: Mapping[str, Any] = field(default_factory=dict)


SILENT = Verdict()
"""A policy that has nothing to say of a prompt."""


class Policy(Protocol):
    """Scores prompts."""

    @property
    def name(self) -> str:
        """What configs and explanations call it."""
        ...

    def scores(self, query: Query) -> Verdict:
        """What speaks for each expert."""
        ...
