"""Logistic regression: reweighed by group and class for the result role, without sensitive columns for procedural."""

import json
from dataclasses import dataclass

import torch
from optuna.distributions import FloatDistribution
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression

from experts.families.family import Family
from experts.tuning.models import ModelTuner


@dataclass(frozen=True)
class LogisticExpert:
    role: str
    weights: torch.Tensor
    offset: float
    family: str = "logistic"
    explainer: str = "linear"

    def logits(self, task, rows, keep=None):
        features = task.features[rows]
        if keep is not None:
            features = features * keep[:, task.column_of_feature]
        return features @ self.weights + self.offset

    def attributions(self, task, rows):
        parts = task.features[rows] * self.weights
        return torch.zeros(len(rows), len(task.columns)).index_add_(1, task.column_of_feature, parts)

    def save(self, folder):
        save_file({"weights": self.weights}, folder / "weights.safetensors")
        facts = {"family": self.family, "role": self.role, "offset": self.offset}
        (folder / "expert.json").write_text(json.dumps(facts))


def space(role):
    shared = {"C": FloatDistribution(1e-3, 10.0, log=True)}
    return {**shared, "lambda_weight": FloatDistribution(0.1, 1.0)} if role == "result" else shared


def fit(view, role, params, seed):
    train = view.split.train
    used = torch.ones(view.features.shape[1], dtype=torch.bool)
    if role == "procedural":
        used &= ~view.flip.mask
    labels, groups = view.labels[train], view.groups[train]
    cell = labels * len(view.group_names) + groups
    sizes = torch.bincount(cell, minlength=2 * len(view.group_names)).double()
    even = torch.bincount(labels)[labels] * torch.bincount(groups)[groups] / len(train) / sizes[cell]
    weight = even ** params.get("lambda_weight", 0.0)
    model = LogisticRegression(C=params["C"], random_state=seed % 2**31)
    model.fit((view.features[train] * used).double().numpy(), labels.numpy(), sample_weight=weight.numpy())
    return LogisticExpert(role, torch.from_numpy(model.coef_[0]).float(), float(model.intercept_[0]))


def load(folder):
    facts = json.loads((folder / "expert.json").read_text())
    return LogisticExpert(facts["role"], load_file(folder / "weights.safetensors")["weights"], facts["offset"])


def tuner():
    return ModelTuner("logistic", fit, space)


FAMILY = Family(label="Logistic", code="r", needs_edges=False, explainer="linear", tuner=tuner, load=load)
