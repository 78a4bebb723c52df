"""What checks say of a whole set: how many items each rejects, what is accepted, and whether it is hard enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llm_experts.data.example import Example
from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.examined import accepted, examine
from llm_experts.generation.spec import DataSpec, Topic
from llm_experts.generation.zone import Zone, zone_of
from metrics.proportions import wilson

BATCH = 64
"""Items that are checked before those accepted among them are told to the context."""
NO_FAMILY = "none"


@dataclass(frozen=True)
class CheckCount:
    """One check over a set.

    Attributes
    ----------
    name : str
    asked, failed : int
        Items that it was asked of, and that it rejects.
    low, high : float or None
        Wilson's 95 % interval of the share that it rejects; None where it was asked of none.
    """

    name: str
    asked: int
    failed: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SetFindings:
    """What checks say of a set.

    Attributes
    ----------
    ids : tuple of str
    findings : tuple of mapping
        By item, in order; a check is asked of what those before it left.
    counts : tuple of CheckCount
    accepted : int
        Items that no check rejects.
    low, high : float
        Wilson's 95 % interval of their share.
    zone : Zone
        Of the accepted items, where difficulty was measured.
    """

    ids: tuple[str, ...]
    findings: tuple[Mapping[str, Finding], ...]
    counts: tuple[CheckCount, ...]
    accepted: int
    low: float
    high: float
    zone: Zone

    @property
    def acceptance(self) -> float:
        """Share of the items that are accepted."""
        return self.accepted / len(self.ids)

    def rejected(self, check: str) -> list[tuple[str, str]]:
        """Id and reason of every item that a check rejects, in order."""
        pairs = zip(self.ids, self.findings, strict=True)
        return [(name, found[check].reason) for name, found in pairs if check in found and not found[check].ok]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form of the numbers."""
        told = {"accepted": self.accepted, "items": len(self.ids), "low": self.low, "high": self.high}
        return {**told, "checks": [asdict(count) for count in self.counts], "zone": self.zone.as_dict()}


def spec_of(examples: Sequence[Example]) -> DataSpec:
    """A spec with a topic for each family that items name, as a spec of theirs would have."""
    names = dict.fromkeys(map(_family, examples))
    return DataSpec(expert="file", topics=tuple(Topic(name=name, family=name) for name in names), count=len(examples))


def examine_set(
    examples: Sequence[Example],
    context: Context,
    checks: Sequence[Check],
    *,
    spec: DataSpec | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SetFindings:
    """Check a set as if its items were made one after the other; accepted ones are told to the context.

    Parameters
    ----------
    examples : sequence of Example
        At least one.
    context : Context
    checks : sequence of Check
    spec : DataSpec, optional
        With the ranges that are wanted; by default :func:`spec_of`.
    progress : callable, optional
        ``progress(done, total)``.

    Raises
    ------
    DataError
        If a check needs a model and the context has none.
    """
    wanted, found = spec or spec_of(examples), list[dict[str, Finding]]()
    for start in range(0, len(examples), BATCH):
        drafts = [Draft(example, _family(example)) for example in examples[start : start + BATCH]]
        findings = examine(drafts, wanted, context, checks)
        for draft, one in zip(drafts, findings, strict=True):
            if accepted(one):
                context.accept(draft.example)
        found += findings
        if progress is not None:
            progress(len(found), len(examples))
    left = [one for one in found if accepted(one)]
    zone = zone_of([one["difficulty"].value if "difficulty" in one else math.nan for one in left], wanted.zone)
    counts = tuple(_count(check.name, found) for check in checks)
    ids = tuple(example.id for example in examples)
    return SetFindings(ids, tuple(found), counts, len(left), *wilson(len(left), len(ids)), zone)


def _family(example: Example) -> str:
    return str(example.facts.get("family", NO_FAMILY))


def _count(name: str, found: Sequence[Mapping[str, Finding]]) -> CheckCount:
    own = [one[name] for one in found if name in one]
    failed = sum(not finding.ok for finding in own)
    low, high = wilson(failed, len(own)) if own else (None, None)
    return CheckCount(name, len(own), failed, low, high)
