"""Set-up of the published procedural numbers: features scaled as by CFA, a plain logistic regression, NIFTY's split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from tasks.load import load_task
from tasks.task import Task


def scaled_features(task: Task) -> Tensor:
    """[n, columns] float64: every column, the sensitive one as 0/1 too, min-maxed to [-1, 1] over all rows."""
    columns = [
        task.groups.numpy().astype(float) if column.sensitive else task.frame[column.name].to_numpy(dtype=float)
        for column in task.columns
    ]
    x = np.stack(columns, 1)
    low, high = x.min(0), x.max(0)
    return torch.from_numpy(2 * (x - low) / np.where(high > low, high - low, 1.0) - 1)


@dataclass(frozen=True)
class Explained:
    """Test rows of a logistic regression whose most important column w_j x_j was set to 0."""

    probability: Tensor
    masked: Tensor
    attributions: Tensor
    labels: Tensor
    groups: Tensor


def explained(name: str, *, all_training_rows: bool) -> Explained:
    task = load_task(name, protocol="nifty")
    x, labels = scaled_features(task), task.labels
    train = task.split.train
    if all_training_rows:
        outside = torch.ones(len(x), dtype=torch.bool)
        outside[torch.cat((task.split.validation, task.split.test))] = False
        train = torch.nonzero(outside)[:, 0]
    model = LogisticRegression(max_iter=3000).fit(x[train].numpy(), labels[train].numpy())
    rows = task.split.test
    attributions = x[rows] * torch.from_numpy(model.coef_[0])  # integrated gradients of a linear margin from 0
    margin = attributions.sum(1) + float(model.intercept_[0])
    top = attributions.gather(1, attributions.abs().argmax(1, keepdim=True))[:, 0]
    probability, masked = torch.sigmoid(margin), torch.sigmoid(margin - top)
    return Explained(probability, masked, attributions, labels[rows], task.groups[rows])
