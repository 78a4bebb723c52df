"""``fair_res@1`` of one prediction is one number, whoever asks: tuning, selection, thresholds, levels, scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from benchmarks.methods.baseline import Baseline
from benchmarks.methods.baseline_tuning import tune_baseline
from benchmarks.run.levels import Trained, trial_rows
from experts.networks.trainer import Budget
from experts.tuning.models import ModelTuner
from gates.selection import validation_scores
from metrics.evidence import Evidence
from metrics.score import score
from metrics.thresholds import fit_thresholds
from tasks.task import Task, TaskView
from tests.asked import Asked
from tests.views import view_of

EXPECTED = 0.25
"""Two groups of 80 rows, selected to 1/2 and 1/4, and of their 40 positives to 3/4 and 1/2: both gaps are 1/4.

A third group has four rows, all positive and none selected: with it the gaps would be 1/2 and 3/4.
"""


def made() -> TaskView:
    """The rows four times: twice for training, once for validation, once for the test."""
    labels = torch.tensor([1] * 40 + [0] * 40 + [1] * 40 + [0] * 40 + [1] * 4)
    chosen = torch.tensor([1] * 30 + [0] * 10 + [1] * 10 + [0] * 30 + [1] * 20 + [0] * 60 + [0] * 4)
    groups = torch.tensor([0] * 80 + [1] * 80 + [2] * 4)
    return view_of((2.0 * chosen - 1)[:, None].repeat(4, 1), labels.repeat(4), groups.repeat(4))


def tuned(view: TaskView, folder: Path) -> float:
    tuner = ModelTuner("linear", lambda *_: Asked("result"), lambda _: {"x": FloatDistribution(0.0, 1.0)})
    settings: dict[str, Any] = {"trials": 1, "batch": 1, "space": "wide", "epsilon": None, "layers": 1}
    record = tuner.tune(view, "result", seeds=[0], folder=folder, budget=Budget(), utility_floor=0.0, **settings)[0]
    return record.best_score


def tuned_baseline(view: TaskView) -> float:
    method = Baseline(
        label="x", about="x", family="x", reference="x", fair=True, fit=lambda *_: Asked("result"),
        space=lambda: {"x": FloatDistribution(0.0, 1.0)},
    )  # fmt: skip
    record = tune_baseline(method, view, seed=0, trials=1, floor=0.0)
    return float(record.trials[0]["objective"])


def known(view: TaskView, rows: Tensor) -> tuple[Tensor, Tensor]:
    return view.labels[rows], view.groups[rows]


def test_every_stage_gives_the_same_value(tmp_path: Path) -> None:
    view = made()
    validation, test = view.split.validation, view.split.test
    margins = [view.features[rows, 0][None] for rows in (validation, test)]
    probability = [torch.sigmoid(part) for part in margins]
    (row,) = trial_rows(Trained(*probability), cast(Task, view))
    (fitted,) = fit_thresholds(probability[0][0], *known(view, validation), 3, [EXPECTED])
    assert fitted is not None
    names = ("a", "b", "c")
    found = {
        "tuning": tuned(view, tmp_path),
        "tuning of baselines": tuned_baseline(view),
        "gates": float(validation_scores(margins[0], *known(view, validation), 3).fair_res[0]),
        "levels, validation": row["fair_res_validation"],
        "levels, test": row["fair_res_test"],
        "thresholds": fitted.disparity,
        "scores": score(Evidence(probability[1][0]), *known(view, test), names, seed=0, draws=20, permutations=20)
        .values["fair_res@1"].estimate,
    }  # fmt: skip
    assert found == {who: pytest.approx(EXPECTED, abs=1e-9) for who in found}
