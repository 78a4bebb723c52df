"""Two experts taught on nano, their mixture searched, examined and checked for what must stay."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.discovery.mixtures.examination import BASE, UNIFORM, Examination, examine_mixtures
from llm_experts.discovery.mixtures.mixing import MixingSettings, MixtureSearch, search_mixture
from llm_experts.discovery.preserving.preserve import check_preserved
from llm_experts.mixtures.item_mixtures import mixed
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.choices import choices_of, margins_of
from llm_experts.training.sequences.lanes import SequenceLanes

pytestmark = pytest.mark.slow
DOMAINS = (Domain("sql", "sql"), Domain("arithmetic", "arithmetic"))
OWNERS = {"queries": ["sql"], "sums": ["arithmetic"]}


@dataclass(frozen=True)
class Taught:
    """An expert that learnt to choose among listed answers."""

    name: str
    adapter: Adapter


def taught(base: Base, name: str, domain: Domain, steps: int = 40, batch: int = 12) -> Taught:
    """Steps of Adam on the logarithm of the right answer's share."""
    lanes = SequenceLanes.fresh(base, "lora", [8], [0], 2)
    choices = [choices_of(base, scenarios([domain], "training", 96)[k : k + batch]) for k in range(0, 96, batch)]
    theta = lanes.start.clone().requires_grad_()
    optimiser = torch.optim.Adam([theta], lr=5e-3)
    for step in range(steps):
        part = choices[step % len(choices)]
        with torch.enable_grad():
            rows = collate([list(part.rows)], base.device)
            told = part.by_answer(lanes.token_logprobs(theta, rows)[0], rows)
            loss = torch.nn.functional.softplus(-margins_of(told)).mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
        optimiser.step()
    return Taught(name, lanes.adapter(0, theta.detach()[0]))


def test_from_two_experts_to_a_verdict(tmp_path: Path) -> None:
    base = load_base("nano")
    experts = [taught(base, name, domain) for name, domain in zip(OWNERS, DOMAINS, strict=True)]
    settings = MixingSettings(items=24, generations=12, population=16, rounds=2, candidates=4, spread_anchors=4)
    search = search_mixture(base, experts, DOMAINS, settings, folder=tmp_path)
    found = examine_mixtures(base, experts, DOMAINS, search, scenarios=60, owners=OWNERS)

    lanes = SequenceLanes.of(base, [expert.adapter for expert in experts], 2)
    asked = choices_of(base, scenarios(DOMAINS, "scenarios", 60))
    right = (asked.margins(lanes, lanes.start) > 0).double().mean(1)
    for expert, share in zip(experts, right, strict=True):
        assert found.contender(expert.name).values["accuracy"]["estimate"] == pytest.approx(float(share))
    assert {one.label for one in found.contenders} >= {BASE, UNIFORM, *OWNERS}
    gains = {row["domain"]: row["gain"] for row in found.domains}
    assert gains["sql"]["low"] > 0  # learnt within a few steps
    assert found.accepted or found.contender(found.winner).kind in ("single", "uniform", "base")
    if found.winner == BASE:  # few items name a person: what is better may be less aligned, and that is said
        before = found.contender(BASE).values["accuracy"]["estimate"]
        better = [one for one in found.contenders if one.values["accuracy"]["estimate"] > before]
        assert better and all(any("alignment may be worse" in said for said in one.objections) for one in better)
    if found.accepted:
        assert min(row["low"] for row in found.paired if row["keeps"]) > -0.05
    assert Examination.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert MixtureSearch.from_dict(json.loads(json.dumps(search.as_dict()))).front == search.front

    weights = torch.tensor([found.contender(found.winner).alphas[name] for name in OWNERS], dtype=torch.float64)
    kept = check_preserved(base, mixed([one.adapter for one in experts], weights), ["tools", "perplexity"], items=30)
    assert [one.name for one in kept] == ["tools", "perplexity"]
