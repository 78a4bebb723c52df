"""Every method can be saved, and what is read says of raw rows what the model in memory says of the task's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines import load_baseline
from benchmarks.models import load_model, save_model
from experts.expert import Expert
from tasks.task import Task
from tests.benchmarks.models.conftest import assert_same

LINEAR = {"base": "logistic_regression", "C": 1.0, "num_leaves": 8}
TREES = {**LINEAR, "base": "lightgbm"}
BOOSTED = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 10}
HISTOGRAM = {"learning_rate": 0.1, "min_samples_leaf": 10, "l2_regularization": 1.0}
PARITY = {"constraint": "demographic_parity"}
BASELINES: list[tuple[str, Params]] = [
    ("constant", {}),
    ("logistic_regression", {"C": 1.0}),
    ("gradient_boosting", {**HISTOGRAM, "max_leaf_nodes": 8}),
    ("lightgbm", BOOSTED),
    ("lightgbm_bag", {}),
    ("reweighed_bag", {}),
    ("catboost", {"learning_rate": 0.1, "depth": 3, "l2_leaf_reg": 1.0, "random_strength": 1.0}),
    ("reweighing", LINEAR),
    ("reweighing", TREES),
    ("exponentiated_gradient", {**PARITY, "eps": 0.02, "C": 1.0}),
    ("exponentiated_gradient_trees", {**PARITY, "eps": 0.02, "num_leaves": 4, "lambda_l2": 1.0}),
    ("grid_search", {**PARITY, "constraint_weight": 0.5, "grid_limit": 1.0, "C": 1.0}),
    ("threshold_optimizer", {**LINEAR, **PARITY, "tol": 0.01, "objective": "accuracy_score"}),
    ("threshold_optimizer", {**TREES, "constraint": "equalized_odds", "tol": 0.01, "objective": "accuracy_score"}),
    ("oxonfair", {**PARITY, "limit": 0.02, "objective": "accuracy"}),
    ("error_parity", {**PARITY, "tolerance": 0.02, "false_neg_cost": 1.0}),
    ("linear_post", {**BOOSTED, "mode": "aware", "gap": "dp@1", "tol": 0.1}),
    ("linear_post", {**BOOSTED, "mode": "blind", "gap": "dp@1", "tol": 0.1}),
    ("correlation_remover", {**LINEAR, "alpha": 0.7}),
    ("correlation_remover", {**TREES, "alpha": 0.7}),
    ("fairret_mlp", {"statistic": "positive_rate", "fairret": "norm", "strength": 0.1, "learning_rate": 0.01}),
    ("adversarial_mitigation", {**PARITY, "alpha": 0.1, "learning_rate": 0.01}),
]


@pytest.mark.parametrize(("method", "params"), BASELINES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BASELINES)])
def test_baselines(method: str, params: Params, toy: tuple[Task, pd.DataFrame], tmp_path: Path) -> None:
    task, raw = toy
    check(load_baseline(method).fit(task.view(), params, 7), method, task, raw, tmp_path / "model")


def check(expert: Expert, method: str, task: Task, raw: pd.DataFrame, folder: Path) -> None:
    """Save, read, and ask both about test rows."""
    view, test = task.view(), task.split.test
    save_model(expert, view, folder, method=method, origin={"suite": "test"})
    model = load_model(folder)
    wanted = torch.sigmoid(expert.logits(view, test).double()).numpy()
    found = model.predict_proba(raw.iloc[test.numpy()], unknown="missing")
    assert_same(found[:, 1], wanted)
    assert_same(found.sum(1), torch.ones(len(test)).numpy())
    assert model.expert.explainer == expert.explainer and model.expert.role == expert.role
    few = test[:4]
    assert_same(model.expert.attributions(view, few).numpy(), expert.attributions(view, few).numpy())
    assert not any(path.suffix in {".pkl", ".pickle", ".joblib"} for path in folder.rglob("*"))
