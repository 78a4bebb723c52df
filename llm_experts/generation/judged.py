"""A draft with what the checks found of it."""

from __future__ import annotations

import math
from typing import NamedTuple

from llm_experts.generation.checks.check import Findings
from llm_experts.generation.draft import Draft

DIFFICULTY = "difficulty"
"""Name of the check whose value is the probability of a right answer."""


class Judged(NamedTuple):
    """A draft and its findings.

    Attributes
    ----------
    draft : Draft
    findings : mapping of check -> Finding
    """

    draft: Draft
    findings: Findings

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(finding.ok for finding in self.findings.values())

    @property
    def reasons(self) -> dict[str, str]:
        """Why not, by check."""
        return {name: finding.reason for name, finding in self.findings.items() if not finding.ok}

    @property
    def chance(self) -> float:
        """Probability of a right answer; nan where it was not measured."""
        found = self.findings.get(DIFFICULTY)
        return math.nan if found is None else found.value

    def distance(self, success: tuple[float, float]) -> float:
        """How far its probability of a right answer lies outside ``success``; infinite where it was not measured."""
        if math.isnan(self.chance):
            return math.inf
        return max(success[0] - self.chance, self.chance - success[1], 0.0)
