"""Known numbers on real data: logistic regression on the NIFTY splits of german and credit, read and split here."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from metrics.evidence import Evidence
from metrics.points import point_values
from metrics.score import score

GOLDEN = {  # data, labels: ACC, F1, AUC, gap of selection rates, gap of true positive rates
    ("german", 100): (0.6120, 0.6840, 0.6917, 0.5393, 0.4884),
    ("german", 10**9): (0.7360, 0.8333, 0.7384, 0.0357, 0.0210),
    ("credit", 6000): (0.7340, 0.8165, 0.7444, 0.1187, 0.0963),
}
IDS = ("acc@1", "f1@1", "auc@1", "dp@1", "eopp@1")


def _table(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features min-maxed to [-1, 1] over all rows, labels, groups."""
    folder = Path(os.environ["FAIRMOE_DATA_MIRROR"]) / name
    if name == "german":
        frame = pd.read_csv(folder / "german.csv")
        labels = (frame.pop("GoodCustomer") == 1).to_numpy().astype(int)
        frame["Gender"] = (frame["Gender"] == "Female").astype(int)
        groups = frame["Gender"].to_numpy()
        frame = frame.drop(columns=["OtherLoansAtStore", "PurposeOfLoan"])
    else:
        frame = pd.read_csv(folder / "credit.csv.gz")
        labels = frame.pop("NoDefaultNextMonth").to_numpy()
        groups = frame["Age"].to_numpy()
        frame = frame.drop(columns=["Single"])
    values = frame.to_numpy(dtype=float)
    low, high = values.min(0), values.max(0)
    return 2 * (values - low) / (high - low) - 1, labels, groups


def _split(labels: np.ndarray, label_number: int) -> tuple[list[int], list[int]]:
    """Train and test ids of the NIFTY protocol: shuffled per class by one seeded generator."""
    shuffler = random.Random(20)
    train: list[int] = []
    test: list[int] = []
    for label in (0, 1):
        ids = np.flatnonzero(labels == label).tolist()
        shuffler.shuffle(ids)
        train += ids[: min(len(ids) // 2, label_number // 2)]
        test += ids[int(0.75 * len(ids)) :]
    return train, test


@pytest.mark.data
@pytest.mark.parametrize(("name", "label_number"), GOLDEN)
def test_golden_values(name: str, label_number: int) -> None:
    features, labels, groups = _table(name)
    train, test = _split(labels, label_number)
    model = LogisticRegression(max_iter=3000).fit(features[train], labels[train])
    probability = torch.from_numpy(model.predict_proba(features[test])[:, 1])
    y, s = torch.from_numpy(labels[test]), torch.from_numpy(groups[test])
    points = point_values(probability[None], y, s, 2)
    scores = score(Evidence(probability), y, s, ("group 0", "group 1"), seed=0, draws=50, permutations=50)
    for id, expected in zip(IDS, GOLDEN[name, label_number], strict=True):
        assert float(points[id][0]) == pytest.approx(expected, abs=1e-4), id
        assert scores.values[id].estimate == pytest.approx(expected, abs=1e-4), id


@pytest.mark.data
def test_german_gaps_are_within_shuffled_groups() -> None:
    """With half of the rows as training labels, both gaps lie below the 95th percentile of the permutation null."""
    features, labels, groups = _table("german")
    train, test = _split(labels, 10**9)
    model = LogisticRegression(max_iter=3000).fit(features[train], labels[train])
    probability = torch.from_numpy(model.predict_proba(features[test])[:, 1])
    y, s = torch.from_numpy(labels[test]), torch.from_numpy(groups[test])
    values = score(Evidence(probability), y, s, ("men", "women"), seed=0, draws=50).values
    assert values["dp@1"].estimate < values["dp@1"].null_p95 < 0.2
    assert values["eopp@1"].estimate < values["eopp@1"].null_p95 < 0.2
