"""What one discovery came to, item by item, on scenarios that neither its search nor its own examination asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.studies.parts.statistics import Values

if TYPE_CHECKING:
    from benchmarks.discovering.run import Discovered

SEED = 104_729
"""Of the scenarios; no discovery should have it as its own seed."""
BASE, WINNER, UNIFORM, SINGLE = CONTENDERS = ("base", "winner", "uniform", "single")
"""The base, what the discovery's examination leaves, all experts alike, and the expert that was best alone on the
search items."""


@dataclass(frozen=True)
class ExaminedRun:
    """One discovery on D domains of s scenarios each.

    Attributes
    ----------
    key : str
        Hash of what it was made of.
    domains : tuple of str
    experts : expert -> names of its domains
    winner, single : str
        Label of what the examination left, and name of the best expert.
    accepted : bool
        Whether the winner is a member of the front that passed.
    right : contender -> str
        A digit for each of the n = D s scenarios, domain after domain: 1 is right.
    lowest : contender -> float
        Smallest gain of a domain over the base.
    alignment : contender -> float or None
        Share of verdicts that stay when group terms are exchanged; None where nothing can be exchanged.
    drafts, items : int
        Made, and learnt.
    seconds : step -> float
    """

    key: str
    domains: tuple[str, ...]
    experts: Mapping[str, Sequence[str]]
    winner: str
    single: str
    accepted: bool
    right: Mapping[str, str]
    lowest: Mapping[str, float]
    alignment: Mapping[str, float | None]
    drafts: int
    items: int
    seconds: Mapping[str, float]

    def values(self, contender: str) -> Values:
        """[n] 0 or 1 by scenario."""
        return np.array([float(digit) for digit in self.right[contender]])

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> ExaminedRun:
        """The inverse of :meth:`as_dict`."""
        known = {part.name: given[part.name] for part in fields(cls)}
        return cls(**{**known, "domains": tuple(known["domains"])})


def examined_run(found: Discovered, scenarios: int, key: str) -> ExaminedRun:
    """Ask the contenders of a discovery ``scenarios`` scenarios of each of its domains."""
    import torch

    from benchmarks.discovering.context import Context
    from benchmarks.discovering.steps.training import trained_experts
    from benchmarks.discovering.winner import weights_of, winner_of
    from llm_experts.discovery.measuring.domain import scenarios as scenarios_of
    from llm_experts.discovery.mixtures.material import mixtures_on
    from llm_experts.search.books.item_book import ALIGNMENT, verdicts
    from llm_experts.search.mixture import Outputs

    context = Context(
        root=found.folder, folder=found.folder, settings=found.settings, on_demand=found.on_demand,
        results=found.results,
    )  # fmt: skip
    domains, experts = context.domains, trained_experts(context)
    names = [one.name for one in experts]
    single = best_alone(names, found.results["5_search"]["domains"])
    weights = [
        [0.0] * len(names), weights_of(found.results), [1 / len(names)] * len(names),
        [float(name == single) for name in names],
    ]  # fmt: skip
    alphas = torch.tensor(weights, dtype=torch.float64)
    model, book = mixtures_on(context.base, experts, scenarios_of(domains, "scenarios", scenarios, SEED))
    outputs = Outputs(model.margins(alphas), model.moved(alphas), model.latency_ms(alphas))
    swappable = bool(book.swappable.any())
    values = book.values(outputs, ("lowest", ALIGNMENT) if swappable else ("lowest",))
    right = verdicts(outputs.margins).int().tolist()
    data = found.results["3_data"]["experts"]
    return ExaminedRun(
        key=key,
        domains=tuple(domain.name for domain in domains),
        experts={one["name"]: one["domains"] for one in found.results["2_plan"]["experts"]},
        winner=winner_of(found.results)["label"],
        single=single,
        accepted=bool(found.results["6_examination"]["accepted"]),
        right={name: "".join(map(str, row)) for name, row in zip(CONTENDERS, right, strict=True)},
        lowest=dict(zip(CONTENDERS, values["lowest"].tolist(), strict=True)),
        alignment=dict(
            zip(CONTENDERS, values[ALIGNMENT].tolist() if swappable else [None] * len(CONTENDERS), strict=True)
        ),
        drafts=sum(row["drafts"] for row in data),
        items=sum(row["accepted"] + row["filled"] for row in data),
        seconds=found.seconds,
    )


def best_alone(names: Sequence[str], shares: Sequence[Mapping[str, Any]]) -> str:
    """The expert with the highest mean share of right answers over domains; of equal ones the first."""
    return max(names, key=lambda name: sum(float(row["experts"][name]) for row in shares))
