"""Promises: what they hold of the test rows, and that what is read is what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.models.promise import Promise, PromiseError, keeps, promise_of
from metrics.evidence import Evidence
from tasks.task import Task


def probability(task: Task, seed: int = 0) -> torch.Tensor:
    """Probabilities of the test rows that follow their labels, with noise."""
    labels = task.labels[task.split.test]
    noise = torch.randn(len(labels), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.sigmoid(2.0 * labels - 1 + noise)


def test_counts_sizes_and_metrics_are_those_of_the_test_rows(toy: tuple[Task, pd.DataFrame]) -> None:
    task, _ = toy
    rows = task.split.test
    perfect = task.labels[rows].double()
    promise = promise_of(task, perfect, demand={"metric": "dp@1", "max_gap": 1.0}, probability_kept=0.9, note="why")
    assert promise.rows == len(rows) and tuple(promise.groups) == task.group_names
    for group, name in enumerate(task.group_names):
        of_group = task.labels[rows][task.groups[rows] == group]
        assert promise.groups[name] == {"negatives": int((of_group == 0).sum()), "positives": int(of_group.sum())}
        (_, wrong), (missed, _) = promise.table[name]
        assert wrong == missed == 0
    assert promise.counts().sum() == len(rows)
    assert promise.metrics["acc@1"].estimate == 1.0 and promise.metrics["eopp@1"].status == "not_estimable"
    assert promise.metrics["ref@1"].status == "not_estimable"
    assert promise.kept is True and promise.limit == ("dp@1", 1.0)


def test_what_is_read_is_what_was_written(toy: tuple[Task, pd.DataFrame], tmp_path: Path) -> None:
    task, _ = toy
    promise = promise_of(task, probability(task), demand={"metric": "worst_acc@1", "max_gap": 0.99, "why": "asked"})
    promise.write(tmp_path)
    again = Promise.read(tmp_path)
    again.write(tmp_path / "again")
    assert (tmp_path / "promise.json").read_bytes() == (tmp_path / "again" / "promise.json").read_bytes()
    assert tuple(again.groups) == tuple(promise.groups) and tuple(again.metrics) == tuple(promise.metrics)
    assert again.table == promise.table and again.scores == promise.scores and again.cells == promise.cells
    assert again.kept is False and again.demand == promise.demand  # higher is better: at least
    assert repr(again.metrics) == repr(promise.metrics)


def test_reasons_must_be_of_the_promised_decisions(toy: tuple[Task, pd.DataFrame]) -> None:
    task, _ = toy
    given = probability(task)
    with pytest.raises(ValueError, match="other probabilities"):
        promise_of(task, given, evidence=Evidence(given.flip(0)))
    masked = promise_of(task, given, evidence=Evidence(given, masked=given, attributions=torch.ones(len(given), 2)))
    assert masked.metrics["ref@1"].status != "not_estimable"
    with pytest.raises(KeyError, match="dp@1"):
        promise_of(task, given, demand={"metric": "dpp@1", "max_gap": 0.1})


def test_cells_tell_empty_ones_and_unknown_categories(toy: tuple[Task, pd.DataFrame]) -> None:
    task, raw = toy
    promise = promise_of(task, probability(task))
    held = raw.iloc[task.split.test.numpy()]
    assert promise.cells["job"] == (int(held["job"].isna().sum()), 0)
    assert promise.cells["age"] == (int((held["age"] == -9).sum()), 0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda held: {**held, "format": "fairmoe-promise/9"}, "'fairmoe-promise/9', this version reads"),
        (lambda held: {key: value for key, value in held.items() if key != "table"}, "it lacks table"),
        (lambda held: {**held, "metrics": {"acc@1": 3}}, "no promise that this version can read"),
        (lambda held: [held], "no promise that this version can read"),
    ],
)
def test_broken_promises_are_named(toy: tuple[Task, pd.DataFrame], tmp_path: Path, spoil: object, message: str) -> None:
    task, _ = toy
    promise_of(task, probability(task)).write(tmp_path)
    held = json.loads((tmp_path / "promise.json").read_text())
    (tmp_path / "promise.json").write_text(json.dumps(spoil(held)))  # type: ignore[operator]
    with pytest.raises(PromiseError, match=message):
        Promise.read(tmp_path)


def test_a_model_without_a_promise_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PromiseError, match=r"has no promise\.json.*fairmoe choose.*promise_of"):
        Promise.read(tmp_path)


def test_limits_are_kept_from_the_side_of_the_metric() -> None:
    assert keeps("dp@1", 0.05, 0.05) and not keeps("dp@1", 0.051, 0.05)
    assert keeps("worst_acc@1", 0.8, 0.8) and not keeps("worst_acc@1", 0.79, 0.8)
    assert keeps("dp@1", float("nan"), 0.05) is None
