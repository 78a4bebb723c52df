"""What holds of every baseline: facts, seeds, hidden labels, masking, attributions, saving."""

from __future__ import annotations

import dataclasses
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.methods.baselines import (
    adversarial_mitigation,
    baseline_names,
    fairret_mlp,
    load_baseline,
    needs_edges,
)
from experts.evidence import collect_evidence
from experts.expert import Expert
from metrics.points import point_values
from tasks.load import load_task
from tasks.task import TaskView

BASELINES = baseline_names()
TABULAR = tuple(name for name in BASELINES if not load_baseline(name).graph)
BAGS = {"lightgbm_bag", "reweighed_bag"}
LIBRARIES = {"exponentiated_gradient", "exponentiated_gradient_trees", "grid_search", "threshold_optimizer"}
SCM = load_task("scm", rows=600)
VIEW = SCM.view()


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adversarial_mitigation, "STEPS", 60)
    monkeypatch.setattr(fairret_mlp, "STEPS", 60)


def params_of(name: str, seed: int = 0) -> dict[str, Any]:
    """One point of a method's space, drawn."""
    import optuna

    sampler = optuna.samplers.RandomSampler(seed=seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return dict(optuna.create_study(sampler=sampler).ask(dict(load_baseline(name).space())).params)


def fitted(name: str, view: TaskView = VIEW, seed: int = 3) -> Expert:
    return load_baseline(name).fit(view, params_of(name), seed)


@cache
def once(name: str) -> Expert:
    return fitted(name)


def test_that_a_method_needs_edges_is_read_from_its_source() -> None:
    assert {name for name in BASELINES if needs_edges(name)} == {n for n in BASELINES if load_baseline(n).graph}


def test_found_by_their_file_names() -> None:
    assert {
        "adversarial_mitigation", "constant", "correlation_remover", "gradient_boosting", "lightgbm",
        "logistic_regression", "reweighing", "catboost", "error_parity", "fairret_mlp", "oxonfair", "lightgbm_bag",
        "reweighed_bag", *LIBRARIES,
    } <= set(TABULAR)  # fmt: skip
    assert not [name for name in BASELINES if name.startswith("_")]


@pytest.mark.parametrize("name", BASELINES)
def test_says_what_it_is(name: str) -> None:
    method = load_baseline(name)
    assert all((method.label, method.about, method.family, method.reference))
    assert not method.about.endswith(".")
    assert [load_baseline(other).label for other in BASELINES].count(method.label) == 1


@pytest.mark.parametrize("name", TABULAR)
def test_space_is_small_and_made_of_distributions(name: str) -> None:
    from optuna.distributions import BaseDistribution

    space = load_baseline(name).space()
    assert len(space) <= 6
    assert all(isinstance(distribution, BaseDistribution) for distribution in space.values())
    assert bool(space) == (name not in {"constant", *BAGS})
    assert load_baseline(name).once == (name in BAGS)


@pytest.mark.parametrize("name", TABULAR)
def test_fairness_methods_are_tuned_as_such(name: str) -> None:
    plain = {"catboost", "constant", "gradient_boosting", "lightgbm", "lightgbm_bag", "logistic_regression"}
    told = {"threshold_optimizer", "correlation_remover", "error_parity", "oxonfair"}
    votes = {"exponentiated_gradient", "exponentiated_gradient_trees", "threshold_optimizer", "error_parity"}
    assert load_baseline(name).fair == (name not in plain)
    assert load_baseline(name).sensitive_at_prediction == (name in told)
    assert load_baseline(name).scores_decisions == (name in votes)


@pytest.mark.parametrize("name", TABULAR)
def test_what_only_encodes_decisions_has_few_scores(name: str) -> None:
    """A method whose scores are marked as votes has few distinct ones; the others tell most rows apart."""
    rows = torch.cat((VIEW.split.train, VIEW.split.test))
    share = len(once(name).logits(VIEW, rows).unique()) / len(rows)
    assert name == "constant" or (share < 0.1) == load_baseline(name).scores_decisions


@pytest.mark.parametrize("name", TABULAR)
def test_is_an_expert(name: str) -> None:
    expert = once(name)
    assert isinstance(expert, Expert)
    assert expert.role == "baseline"
    assert expert.family == load_baseline(name).family
    assert expert.explainer in load_baseline(name).explainer.split(" or ")
    assert expert.parameter_count >= 1
    logits = expert.logits(VIEW, VIEW.split.test)
    assert logits.dtype == torch.float32
    assert logits.shape == VIEW.split.test.shape
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", [n for n in TABULAR if n != "constant"])
def test_learns(name: str) -> None:
    rows = SCM.split.test
    values = point_values(torch.sigmoid(once(name).logits(VIEW, rows))[None], SCM.labels[rows], SCM.groups[rows], 2)
    assert float(values["auc@1"][0]) > 0.6


@pytest.mark.parametrize("name", TABULAR)
def test_the_seed_determines_it(name: str) -> None:
    rows = VIEW.split.validation
    assert torch.equal(fitted(name).logits(VIEW, rows), once(name).logits(VIEW, rows))


@pytest.mark.parametrize("name", ["adversarial_mitigation", "catboost", "fairret_mlp"])
def test_another_seed_changes_what_draws(name: str) -> None:
    rows = VIEW.split.validation
    other = fitted(name, seed=4).logits(VIEW, rows)
    assert not torch.allclose(other, once(name).logits(VIEW, rows))


@pytest.mark.parametrize("name", TABULAR)
def test_leaves_generators_logging_and_the_working_folder_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    state, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - of libraries
    handlers = list(logging.root.handlers)
    fitted(name)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (np.random.get_state()[1] == numbers).all()  # noqa: NPY002
    assert logging.root.handlers == handlers and logging.root.manager.disable == 0
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", TABULAR)
def test_labels_of_test_rows_are_never_read(name: str) -> None:
    labels = VIEW.labels.clone()
    labels[VIEW.split.test] = 1 - SCM.labels[VIEW.split.test]
    scrambled = fitted(name, dataclasses.replace(VIEW, labels=labels))
    assert torch.equal(scrambled.logits(VIEW, VIEW.split.test), once(name).logits(VIEW, VIEW.split.test))


@pytest.mark.parametrize("name", TABULAR)
def test_masking_a_column_sets_its_features_to_unknown(name: str) -> None:
    rows = VIEW.split.test
    keep = torch.ones(len(rows), len(VIEW.columns), dtype=torch.bool)
    assert torch.equal(once(name).logits(VIEW, rows, keep), once(name).logits(VIEW, rows))
    keep[:, 1] = False
    features = VIEW.features.clone()
    features[:, list(VIEW.columns[1].features)] = 0
    masked = once(name).logits(VIEW, rows, keep)
    assert torch.equal(masked, once(name).logits(VIEW.with_features(features), rows))


@pytest.mark.parametrize("name", TABULAR)
def test_attributions_sum_to_what_knowing_the_columns_changes(name: str) -> None:
    expert, rows = once(name), VIEW.split.test[:20]
    attributions = expert.attributions(VIEW, rows)
    assert attributions.shape == (20, len(VIEW.columns))
    nothing = torch.zeros(attributions.shape, dtype=torch.bool)
    change = expert.logits(VIEW, rows) - expert.logits(VIEW, rows, nothing)
    if expert.explainer == "tree_shap":  # from the expected margin, which rows share that one rule answers
        rests = expert.logits(VIEW, rows) - attributions.sum(1).float()
        assert all(float(rests[VIEW.groups[rows] == group].std()) < 1e-4 for group in (0, 1))
        assert load_baseline(name).sensitive_at_prediction or float(rests.std()) < 1e-4
        return
    torch.testing.assert_close(attributions.sum(1).float(), change, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", TABULAR)
def test_saves_without_pickles(name: str, tmp_path: Path) -> None:
    once(name).save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text(encoding="utf-8"))
    assert facts["family"] == once(name).family
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".safetensors", ".txt"}
    assert name == "constant" or facts["seed"] == 3


@pytest.mark.parametrize("name", TABULAR)
def test_hands_over_evidence(name: str) -> None:
    evidence = collect_evidence(once(name), VIEW, VIEW.split.test)
    assert evidence.counterfactual is not None
    assert evidence.probability.isfinite().all()
    assert evidence.explainer in ("integrated_gradients", "shapley_sampling", "tree_shap")
    # A row moved to its own group: only features that differ from those typical of the group move its prediction.
    assert evidence.counterfactual.shape == (len(VIEW.split.test), len(VIEW.group_names))


@pytest.mark.data
@pytest.mark.parametrize("name", TABULAR)
def test_fits_german(name: str) -> None:
    view = load_task("german", split=0).view()
    expert = fitted(name, view)
    probability = torch.sigmoid(expert.logits(view, view.split.validation))
    assert probability.isfinite().all()


@pytest.mark.data
@pytest.mark.parametrize("name", TABULAR)
def test_fits_three_groups(name: str) -> None:
    view = load_task("compas:race", split=0).view()
    expert = fitted(name, view)
    rows = view.split.validation
    values = point_values(torch.sigmoid(expert.logits(view, rows))[None], view.labels[rows], view.groups[rows], 3)
    assert np.isfinite(float(values["utility@1"][0]))
