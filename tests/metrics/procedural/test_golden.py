"""Values that an independent implementation gave for three logistic regressions on NIFTY's split."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from metrics.counts.rates import gap
from metrics.evidence import Evidence
from metrics.points import point_values
from metrics.procedural import procedural_draws, procedural_points
from metrics.procedural.fidelity import accuracy_drop, fidelity, fidelity_cfa, vef_means
from tests.metrics.cfa import Explained, explained

pytestmark = pytest.mark.data


@dataclass(frozen=True)
class Golden:
    name: str
    all_training_rows: bool
    outcome: tuple[float, ...]  # ACC, F1, AUC, DP, EO
    ref: float
    vef_acc: float
    vef_buggy: float
    original_class: tuple[float, float]  # REF, VEF by accuracy with floor(rho n_s) rows
    att_jsd: float


CASES = (
    Golden("german", False, (0.612, 0.684, 0.6917, 0.5393, 0.4884), 0.1159, 0.1434, 0.0789, (0.0136, 0.1290), 0.00021),
    Golden("german", True, (0.7360, 0.8333, 0.7384, 0.0357, 0.0210), 0.0136, 0.0556, 0.1810, (0.0205, 0.7437), 0.00030),
    Golden("credit", False, (0.734, 0.8165, 0.7444, 0.1187, 0.0963), 0.0876, 0.3076, 0.7177, (0.1995, 0.0310), 0.00055),
)  # fmt: skip
SHARED: dict[tuple[str, bool], Explained] = {}


@pytest.fixture(params=CASES, ids=["german-100", "german-half", "credit-6000"])
def golden(request: pytest.FixtureRequest) -> Golden:
    case: Golden = request.param
    return case


@pytest.fixture
def model(golden: Golden) -> Explained:
    key = (golden.name, golden.all_training_rows)
    if key not in SHARED:
        SHARED[key] = explained(golden.name, all_training_rows=golden.all_training_rows)
    return SHARED[key]


def buggy_vef(scores: Tensor, drop: Tensor, groups: Tensor, *, later_first: bool) -> float:
    """VEF of the published code: positions within a group are used as positions in the whole set."""
    means = []
    for group in (0, 1):
        local = scores[groups == group]
        order = torch.argsort(local.flip(0), descending=True, stable=True)
        order = len(local) - 1 - order if later_first else torch.argsort(local, descending=True, stable=True)
        means.append(float(drop[order[: len(local) // 5]].mean()))
    return abs(means[0] - means[1])


def test_outcome_metrics(golden: Golden, model: Explained) -> None:
    ids = ("acc@1", "f1@1", "auc@1", "dp@1", "eopp@1")
    values = point_values(model.probability[None], model.labels, model.groups, 2, metrics=ids)
    assert [float(values[id]) for id in ids] == pytest.approx(golden.outcome, abs=1e-4)


def test_cfa_forms(golden: Golden, model: Explained) -> None:
    empty = torch.zeros(0, len(model.groups), dtype=torch.int64)
    evidence = Evidence(model.probability, model.attributions, model.masked)
    values = procedural_draws(evidence, model.labels, model.groups, 2, empty, empty, cfa=True)
    assert values["ref_cfa@1"].estimate == pytest.approx(golden.ref, abs=1e-4)
    assert values["vef_cfa@1"].estimate == pytest.approx(golden.vef_acc, abs=1e-4)


def test_index_bug_is_what_published_numbers_have(golden: Golden, model: Explained) -> None:
    """Credit has rows that are equal in all features, so its value depends on the order of tied rows: up to 1e-3."""
    scores = fidelity_cfa(model.probability, model.masked)
    drop = accuracy_drop(model.probability, model.masked, model.labels)
    values = [buggy_vef(scores, drop, model.groups, later_first=flag) for flag in (False, True)]
    tolerance = 1e-3 if golden.name == "credit" else 1e-4
    assert min(abs(value - golden.vef_buggy) for value in values) < tolerance


def test_original_class(golden: Golden, model: Explained) -> None:
    points = procedural_points(model.probability[None], model.masked[None], model.attributions[None], model.groups, 2)
    assert float(points["ref@1"]) == pytest.approx(golden.original_class[0], abs=1e-4)
    scores = fidelity(model.probability, model.masked)[None]
    drop = accuracy_drop(model.probability, model.masked, model.labels)[None]
    value = float(gap(vef_means(scores, drop, model.groups, 2, round_up=False)))
    assert value == pytest.approx(golden.original_class[1], abs=1e-4)


def test_att_jsd(golden: Golden, model: Explained) -> None:
    points = procedural_points(model.probability[None], model.masked[None], model.attributions[None], model.groups, 2)
    assert float(points["att_jsd@1"]) == pytest.approx(golden.att_jsd, abs=1e-5)
