"""Numbers under their names: known answers, and nothing for what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.discovering.names import METRICS
from benchmarks.discovering.numbers.all import points_of
from benchmarks.discovering.numbers.point import point
from reports.discovery.reading import Discovery
from tests.benchmarks.discovering.metric_names import metrics_of
from tests.reports.discovery.sample import FOLDERS, sample


@pytest.fixture
def results() -> dict[str, Any]:
    return sample()


def of(results: dict[str, Any]) -> Discovery:
    return Discovery(results["top"], {name: node for name, node in results.items() if name != "top"})


def test_values_are_those_of_the_files(results: dict[str, Any]) -> None:
    values = metrics_of(of(results))
    told = {
        "capability/domains": 10, "capability/items": 1000, "capability/share_highest": 0.66,
        "capability/share_lowest": 0.06,
        "capability/domain/sql/above_chance": 0.2, "plan/experts": 3, "plan/left_out": 1, "plan/stability": 0.94,
        "plan/number/n10/silhouette": 0.1, "data/in_zone": 2, "data/accepted": 1200, "data/drafts": 1743,
        "data/acceptance": 1200 / 1743, "data/expert_02/acceptance": 0.6656, "training/stopped": 1,
        "training/expert_03/stopped": 1, "training/expert_01/stopped": 0, "training/parameters": 73728,
        "search/generations": 100, "search/rounds": 2, "search/decisions/followed": 2, "search/advice/helped": 2,
        "examination/scenarios": 500, "examination/refused": 1, "examination/accepted": 1,
        "examination/experts_better": 7,
        "examination/winner_worse": 1, "examination/against/base/estimate": 0.209, "examination/weight/expert_01": 0.91,
        "examination/contender/best_single/accuracy/estimate": 0.49, "preserve/preserved": 2, "gates/failed": 1,
        "examination/elsewhere/expert_01/lowest": -0.05,
        "examination/elsewhere/expert_01/worse": 1, "training/given_up": 1,
        "data/filled": 30,
        "examination/contender/expert_03/accuracy/estimate": 0.49, "gates/gate/own_domain/passed": 0, "cost/dollars": 0,
    }  # fmt: skip
    assert {name: values[name] for name in told} == pytest.approx(told)
    assert sum(value for name, value in values.items() if name.startswith("cost/share/")) == pytest.approx(1)


def test_what_was_not_measured_is_not_logged(results: dict[str, Any]) -> None:
    values = metrics_of(of(results))
    assert "capability/domain/lookup/opinion" not in values and "gates/gate/vram/passed" not in values
    assert "gates/gate/vram/value" not in values and "search/guidance/volume_advice" not in values
    assert metrics_of(Discovery({}, {})) == {}


def test_optimism_is_what_the_search_flattered(results: dict[str, Any]) -> None:
    won = next(c for c in results["search"]["candidates"] if c["alphas"]["numbers"] == 0.91)
    expected = won["values"]["accuracy"] - 0.598
    assert metrics_of(of(results))["examination/optimism"] == pytest.approx(expected)


def test_curves_have_their_steps(results: dict[str, Any]) -> None:
    points = points_of(of(results))
    drift = [(one.step, one.value) for one in points if one.name == "training/expert_02/drift"]
    assert drift == [(25 * k, pytest.approx(0.03 * k)) for k in range(9)]
    volume = [one.step for one in points if one.id == "search/hypervolume"]
    assert volume == list(range(1, 101))  # rounds follow each other
    looks = [one.step for one in points if one.id == "search/guidance/volume_rule"]
    assert looks == [10, 20, 30, 40, 60, 70]
    assert [one.step for one in points if one.id == "training/{expert}/loss"][:2] == [25, 50]  # no loss before a step


def test_similarity_within_and_between_experts() -> None:
    plan = {
        "experts": [{"name": "x", "domains": ["a", "b"]}, {"name": "y", "domains": ["c"]}],
        "domains": ["a", "b", "c"], "similarity": [[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]],
    }  # fmt: skip
    values = metrics_of(Discovery({}, {"plan": plan}))
    assert values["plan/similarity_within"] == 0.8 and values["plan/similarity_between"] == pytest.approx(0.2)


@pytest.mark.parametrize("missing", list(FOLDERS))
def test_a_missing_step_takes_only_its_own_names(results: dict[str, Any], missing: str) -> None:
    whole = {one.id for one in points_of(of(results))}
    del results[missing]
    left = {one.id for one in points_of(of(results))}
    gone = {METRICS[id].stage for id in whole - left}
    allowed = {"examination": {"examination", "search"}, "search": {"search", "examination"}, "data": {"data", "cost"}}
    assert missing in gone and gone <= allowed.get(missing, {missing})


def test_an_unregistered_name_cannot_be_logged() -> None:
    with pytest.raises(KeyError):
        list(point("training/{expert}/padding", 1.0, expert="expert_01"))
    assert list(point("capability/domains", float("nan"))) == []
