"""A search of mixtures on items of a tiny base whose experts were bent towards, or away from, those very items."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.data.error import DataError
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.discovery.mixtures.examination import BASE, examine_mixtures
from llm_experts.discovery.mixtures.limits import Limits
from llm_experts.discovery.mixtures.material import mixtures_on
from llm_experts.discovery.mixtures.mixing import MixingSettings, MixtureSearch, search_mixture
from llm_experts.mixtures.item_mixtures import ItemMixtures
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.choices import choices_of, margins_of
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base

TINY = make_tiny_base(layers=2, hidden=32)
DOMAINS = (Domain("words", "strings"), Domain("numbers", "arithmetic"))
SETTINGS = MixingSettings(
    items=5, generations=6, population=8, rounds=2, candidates=3, spread_anchors=2, style="plain",
    limits=Limits(latency_ratio=3.0),
)  # fmt: skip


@dataclass(frozen=True)
class Bent:
    """An expert made by hand."""

    name: str
    adapter: Adapter


def bent(name: str, domain: Domain, steps: int = 6, sign: float = 1.0) -> Bent:
    """An expert that follows the gradient of the search items' margins, or flees from it."""
    lanes = SequenceLanes.fresh(TINY, "lora", [2], [0], 1)
    choices = choices_of(TINY, scenarios([domain], "search", SETTINGS.items), "plain")
    batch, theta = collate([list(choices.rows)], TINY.device), lanes.start.clone()
    for _ in range(steps):
        theta = theta.detach().requires_grad_()
        with torch.enable_grad():
            told = choices.by_answer(lanes.token_logprobs(theta, batch)[0], batch)
            (slope,) = torch.autograd.grad(-torch.nn.functional.softplus(-margins_of(told)).mean(), theta)
        theta = theta + sign * 0.5 * slope / slope.norm()
    return Bent(name, lanes.adapter(0, theta.detach()[0]))


@pytest.fixture(scope="module")
def experts() -> list[Bent]:
    return [bent("words", DOMAINS[0]), bent("numbers", DOMAINS[1]), bent("away", DOMAINS[0], sign=-1.0)]


@pytest.fixture(scope="module")
def found(experts: list[Bent], tmp_path_factory: pytest.TempPathFactory) -> MixtureSearch:
    return search_mixture(TINY, experts, DOMAINS, SETTINGS, folder=tmp_path_factory.mktemp("search"))


def told(search: MixtureSearch) -> dict[str, Any]:
    return {**search.as_dict(), "seconds": 0}


def test_finds_the_experts_that_were_bent_towards_the_items(found: MixtureSearch) -> None:
    best = found.front[0]
    value = {tuple(one["alphas"].values()): one["values"] for one in found.candidates}
    singles = [value[tuple(float(k == own) for k in range(3))]["accuracy"] for own in range(3)]
    assert value[tuple(best.values())]["accuracy"] >= max(singles) > value[0.0, 0.0, 0.0]["accuracy"]
    assert max(best, key=lambda name: best[name]) != "away"
    assert [row["domain"] for row in found.domains] == ["words", "numbers"]
    assert found.owner("numbers") == "numbers"


def test_limits_are_those_of_the_base(found: MixtureSearch) -> None:
    base = next(one["values"] for one in found.candidates if one["kind"] == "base")
    latency = float(found.constraints[-1].split()[-1])
    assert latency == pytest.approx(3 * base["latency_ms"], rel=1e-5)
    assert all(one["values"]["latency_ms"] <= latency for one in found.candidates if one["feasible"])
    assert all(0 == low < high <= 3 for low, high in found.bounds.values())


def test_keys_of_the_step(found: MixtureSearch) -> None:
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert {"experts", "objectives", "constraints", "candidates", "curve", "guidance", "advice", "passes",
            "surrogate_evaluations", "seconds"} <= data.keys()  # fmt: skip
    assert {"alphas", "kind", "origin", "feasible", "on_front", "values"} <= data["candidates"][0].keys()
    assert {"round", "generation", "hypervolume", "evaluations"} <= data["curve"][0].keys()
    assert {"asked", "malformed", "followed", "helped", "gain", "tau_rule", "tau_advice"} <= data["advice"].keys()
    assert {"accuracy", "lowest", "latency_ms"} <= data["rounds"][0]["cross_validation"].keys()
    assert told(MixtureSearch.from_dict(data)) == told(found)


def test_a_killed_search_goes_on_with_the_same_result(
    experts: list[Bent], found: MixtureSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, passes = ItemMixtures.margins, []

    def counted(self: ItemMixtures, alphas: torch.Tensor) -> torch.Tensor:
        passes.append(len(alphas))
        if len(passes) == 3:
            raise KeyboardInterrupt
        return read(self, alphas)

    monkeypatch.setattr(ItemMixtures, "margins", counted)
    with pytest.raises(KeyboardInterrupt):
        search_mixture(TINY, experts, DOMAINS, SETTINGS, folder=tmp_path)
    kept = len(list((tmp_path / "evaluations").glob("*.safetensors")))
    passes[:] = [0, 0, 0]
    again = search_mixture(TINY, experts, DOMAINS, SETTINGS, folder=tmp_path)
    assert told(again) == told(found)
    assert sum(passes) == found.passes - kept


def test_what_was_overfitted_to_the_search_items_does_not_pass(experts: list[Bent], found: MixtureSearch) -> None:
    examined = examine_mixtures(TINY, experts, DOMAINS, found, scenarios=50, style="plain")
    best = examined.contender("mixture 1") if found.front[0] else examined.contender(BASE)
    assert not examined.accepted and best.tried and best.objections
    assert [row["domain"] for row in examined.domains] == ["words", "numbers"]
    assert examined.scenarios == 100 and len(examined.elsewhere) == 2


def test_few_scenarios_are_no_examination(experts: list[Bent], found: MixtureSearch) -> None:
    with pytest.raises(DataError, match="98 in all"):
        examine_mixtures(TINY, experts, DOMAINS, found, scenarios=49)


def test_bounds_that_are_asked_for_are_cut(experts: list[Bent], tmp_path: Path) -> None:
    given = replace(SETTINGS, bounds={"words": (-1.0, 9.0), "numbers": (0.5, 1.0), "away": (0.0, 1.0)})
    small = replace(given, generations=2, rounds=1, candidates=1, guidance=False)
    search = search_mixture(TINY, experts, DOMAINS, small, folder=tmp_path)
    assert search.bounds == {"words": [0.0, 3.0], "numbers": [0.5, 1.0], "away": [0.0, 1.0]}
    assert search.guidance == []


def test_alignment_is_asked_for_where_items_speak_of_people() -> None:
    people = [Domain("lookup", "lookup")]
    asked = scenarios(people, "search", 12)
    model, book = mixtures_on(TINY, [bent("words", DOMAINS[0], 1)], asked, style="plain")
    assert 0 < int(book.swappable.sum()) == len(model.swapped_of)
    moved = model.moved(torch.zeros(1, 1, dtype=torch.float64))[0, :, 0]
    assert bool((moved[book.swappable] != 0).all()) and not moved[~book.swappable].any()
