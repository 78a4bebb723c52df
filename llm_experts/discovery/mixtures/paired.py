"""Two mixtures on the same scenarios: differences with their intervals, in all and domain by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from llm_experts.evaluation.compare import PairedShares
from llm_experts.search.books.strata import percentile_ends
from metrics.holm import holm
from metrics.proportions import quantile, wilson


@dataclass(frozen=True)
class Difference:
    """A share of right answers less that of another; ``p`` is McNemar's, ``p_holm`` adjusted for those made with it."""

    estimate: float
    low: float
    high: float
    p: float
    p_holm: float

    def as_dict(self) -> dict[str, float]:
        """JSON-able form."""
        return asdict(self)

    def words(self) -> str:
        """With its interval, for people."""
        return f"difference {self.estimate:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class Answers:
    """What P mixtures got right on n scenarios of D domains.

    Attributes
    ----------
    right : [P, n] bool
    of : [n] int64
        Domain of every scenario; all have equally many, so that the mean over domains is the mean over scenarios.
    drawn : [P, B] float64
        Accuracy on bootstrap samples within domains, the same samples for all mixtures.
    unchanged : [P, s] bool or None
        On the scenarios with group terms, whether the verdict stays when these are exchanged; None: there are none.
    """

    right: Tensor
    of: Tensor
    drawn: Tensor
    unchanged: Tensor | None = None

    def between(self, one: int, other: int, alpha: float = 0.05) -> Difference:
        """Accuracy of one mixture less that of another; ends of level 1 − ``alpha`` by paired stratified bootstrap."""
        mine, theirs = self.right[one], self.right[other]
        estimate = float((mine.double() - theirs.double()).mean())
        ends = percentile_ends(estimate, self.drawn[one] - self.drawn[other], len(self.of), -1.0, 1.0, alpha)
        p = PairedShares.of(mine, theirs).p
        return Difference(estimate, *ends, p, p)

    def in_domain(self, one: int, other: int, domain: int) -> Difference:
        """The same within one domain, with Newcombe's interval."""
        own = self.of == domain
        return _paired(self.right[one, own], self.right[other, own])

    def alignment(self, one: int, other: int, alpha: float = 0.05) -> Difference:
        """Share of unchanged verdicts of one mixture less that of another, with Newcombe's interval of 1 − ``alpha``.

        Raises
        ------
        ValueError
            If no scenario has group terms.
        """
        if self.unchanged is None:
            raise ValueError("alignment needs scenarios with group terms")
        return _paired(self.unchanged[one], self.unchanged[other], alpha)

    def share(self, one: int, domain: int) -> dict[str, float]:
        """A mixture's share of right answers in a domain, with Wilson's interval."""
        mine = self.right[one, self.of == domain]
        low, high = wilson(int(mine.sum()), len(mine))
        return {"estimate": float(mine.double().mean()), "low": low, "high": high}


def _paired(mine: Tensor, theirs: Tensor, alpha: float = 0.05) -> Difference:
    """Two shares [n] bool of the same scenarios."""
    pair = PairedShares.of(mine, theirs)
    return Difference(pair.difference, *pair.interval(quantile(alpha)), pair.p, pair.p)


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """The same with p-values adjusted by Holm for all of them."""
    found = holm([one.p for one in differences])
    return [replace(one, p_holm=p) for one, p in zip(differences, found, strict=True)]


def domain_table(
    answers: Answers, domains: Sequence[str], labels: Sequence[str], owners: Mapping[str, str], winner: str, base: str
) -> list[dict[str, Any]]:
    """By domain: base, the domain's own expert and the winner, and what the two gained."""
    at = {label: place for place, label in enumerate(labels)}
    gains = adjusted([answers.in_domain(at[owners[name]], at[base], d) for d, name in enumerate(domains)])
    winners = adjusted([answers.in_domain(at[winner], at[base], d) for d in range(len(domains))])
    return [
        {
            "domain": name,
            "expert": owners[name],
            "base": answers.share(at[base], d),
            "single": answers.share(at[owners[name]], d),
            "winner": answers.share(at[winner], d),
            "gain": gains[d].as_dict(),
            "winner_gain": winners[d].as_dict(),
        }
        for d, name in enumerate(domains)
    ]


def elsewhere(
    answers: Answers, domains: Sequence[str], labels: Sequence[str], owners: Mapping[str, str], base: str
) -> list[dict[str, Any]]:
    """What every expert costs, or gives, in the domains that are not its own; Holm's adjustment runs over all rows."""
    at = {label: place for place, label in enumerate(labels)}
    experts = dict.fromkeys(owners.values())
    pairs = [(expert, d) for expert in experts for d, name in enumerate(domains) if owners[name] != expert]
    found = adjusted([answers.in_domain(at[expert], at[base], d) for expert, d in pairs])
    return [
        {"expert": expert, "domain": domains[d], **one.as_dict()} for (expert, d), one in zip(pairs, found, strict=True)
    ]


def answers_of(right: Tensor, of: Tensor, drawn: Tensor, unchanged: Tensor | None = None) -> Answers:
    """Answers from verdicts [P, n], and whether they stay [P, s], that are 0 or 1.

    Raises
    ------
    ValueError
        If domains have different numbers of scenarios.
    """
    if len(set(torch.bincount(of).tolist())) != 1:
        raise ValueError("all domains of an examination need equally many scenarios")
    return Answers(right > 0.5, of, drawn, None if unchanged is None else unchanged > 0.5)
