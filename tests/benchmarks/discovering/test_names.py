"""The registry of metric names: fixed, each with one meaning, enough of them, documented."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.discovering.documented import PAGE, page
from benchmarks.discovering.names import METRICS, NUMBERS, SLOTS, slug
from benchmarks.discovering.numbers.all import points_of
from benchmarks.discovering.numbers.point import Parts
from reports.discovery.reading import STEPS, Discovery, read_discovery
from tests.benchmarks.discovering.metric_names import full_names, ids_of, metrics_of
from tests.reports.discovery.sample import CHECKS, DOMAINS, sample, write


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Discovery:
    return read_discovery(write(tmp_path_factory.mktemp("discovery"), sample()))


def test_every_name_that_a_run_logs_is_registered_and_every_registered_name_can_occur(found: Discovery) -> None:
    points = points_of(found)
    assert {one.id for one in points} == set(METRICS)
    assert all(ids_of(one.name) == [one.id] for one in points)


def test_a_run_has_at_least_350_names_beside_its_curves(found: Discovery) -> None:
    values = metrics_of(found)
    assert len(values) >= 350 and len(set(values)) == len(values)
    stages = Counter(name.partition("/")[0] for name in values)
    assert stages["capability"] + stages["plan"] + stages["data"] >= 50  # spec 004: stage 1
    assert stages["search"] + stages["examination"] >= 100  # spec 004: stage 3


def test_the_default_domains_and_three_experts_have_200_names_of_data_and_training() -> None:
    parts = {"domain": list(DOMAINS), "expert": SLOTS[:3], "check": CHECKS, "number": NUMBERS, "measure": ["accuracy"]}
    names = full_names({**parts, "contender": ["winner"], "task": ["t"], "gate": ["g"], "step": list(STEPS.values())})
    assert len(names) == len(set(names))
    assert sum(name.startswith(("data/", "training/")) for name in names) >= 190
    assert all(len(ids_of(name)) == 1 for name in names)


def test_every_metric_says_what_it_is() -> None:
    for metric in METRICS.values():
        assert re.fullmatch(r"[a-z_]+(/([a-z_]+|\{[a-z]+\}))+", metric.id), metric.id
        assert metric.about and metric.unit and metric.stage in {*STEPS.values(), "cost"}
        assert set(metric.parts) <= {
            "domain", "expert", "number", "check", "measure", "contender", "task", "gate", "step",
        }  # fmt: skip
    assert ids_of("training/expert_01/padding") == []


def test_names_in_the_run_of_one_expert_have_no_slot() -> None:
    children = [metric.child() for metric in METRICS.values() if "expert" in metric.parts]
    assert (
        len(children) == len(set(children)) and "training/loss" in children and "data/check/{check}/failed" in children
    )
    assert METRICS["capability/domains"].child() == "" and not any("expert" in name.split("/")[1] for name in children)


def test_names_of_users_become_parts_that_mlflow_takes() -> None:
    assert (
        slug("rows:adult:sex@1500") == "rows-adult-sex-1500"
        and slug("ä/../b") == "-----b"
        and len(slug("x" * 99)) == 60
    )


def test_names_that_a_slug_makes_alike_stay_apart() -> None:
    report = {"domains": [{"name": name, "share": 0.5} for name in ("a:b", "a@b", "a-b", "a:b")]}
    found = Discovery({}, {"capability": report})
    assert Parts(found).domains == {"a:b": "a-b", "a@b": "a-b-2", "a-b": "a-b-3"}
    assert sum(name.endswith("/share") for name in metrics_of(found)) == 3


def test_the_page_is_what_the_registry_says() -> None:
    told = Path(PAGE).read_text(encoding="utf-8")
    assert told == page(), "run: python -m benchmarks.discovering.documented"
    assert all(f"| `{id}` |" in told for id in METRICS)
