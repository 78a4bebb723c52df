"""Methods of users: estimators are kept in skops' format, and files from strangers run nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods.own_method import OwnMethodError, load_own
from benchmarks.methods.user_code import EstimatorError
from benchmarks.models import ModelError, load_model, save_model
from tasks.task import Task
from tests.benchmarks.models.conftest import assert_same

Toy = tuple[Task, pd.DataFrame]

LOGISTIC = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
def make():
    return make_pipeline(StandardScaler(), LogisticRegression())
"""
FOREST = """
from sklearn.ensemble import RandomForestClassifier
def make():
    return RandomForestClassifier(5)
"""
OWN_CLASS = """
import numpy as np
class Means:
    def fit(self, X, y, sensitive_features):
        self.classes_ = np.array([0, 1])
        self.weight = X[y == 1].mean(0) - X[y == 0].mean(0)
        self.shift = {name: float(y[sensitive_features == name].mean()) for name in sorted(set(sensitive_features))}
        return self
    def predict_proba(self, X, sensitive_features):
        shift = np.array([self.shift[name] for name in sensitive_features])
        chance = 1 / (1 + np.exp(-(X @ self.weight - shift)))
        return np.column_stack((1 - chance, chance))
def make():
    return Means()
"""
LOCKED = """
import threading
from sklearn.linear_model import LogisticRegression
class Locked(LogisticRegression):
    def fit(self, X, y):
        self.lock_ = threading.Lock()
        return super().fit(X, y)
def make():
    return Locked()
"""


def saved(text: str, toy: Toy, folder: Path) -> tuple[str, torch.Tensor]:
    """The method's name, and what its model in memory says of test rows; the model is saved into ``model``."""
    task, _ = toy
    (folder / "mine.py").write_text(text)
    name = f"{folder / 'mine.py'}:make"
    expert = load_own(name).fit(task.view(), {}, 3)
    save_model(expert, task.view(), folder / "model", method="mine.make", origin={})
    return name, torch.sigmoid(expert.logits(task.view(), task.split.test).double())


def said(toy: Toy, folder: Path, **options: object) -> np.ndarray:
    task, raw = toy
    model = load_model(folder / "model", **options)  # type: ignore[arg-type]
    return model.predict_proba(raw.iloc[task.split.test.numpy()], unknown="missing")[:, 1]


def test_a_plain_estimator_needs_nothing_more(toy: Toy, tmp_path: Path) -> None:
    _, wanted = saved(LOGISTIC, toy, tmp_path)
    (tmp_path / "mine.py").unlink()
    assert_same(said(toy, tmp_path), wanted.numpy())


def test_trees_of_a_library_are_read_for_those_who_have_the_file_or_trust_them(toy: Toy, tmp_path: Path) -> None:
    name, wanted = saved(FOREST, toy, tmp_path)
    with pytest.raises(ModelError, match=r"could run code: sklearn\.tree\._tree\.Tree\. .*own=\"path/to/mine\.py:make"):
        said(toy, tmp_path)
    assert_same(said(toy, tmp_path, own=name), wanted.numpy())
    assert_same(said(toy, tmp_path, trust=["sklearn.tree._tree.Tree"]), wanted.numpy())


def test_a_class_of_the_file_needs_the_file_as_it_was(toy: Toy, tmp_path: Path) -> None:
    name, wanted = saved(OWN_CLASS, toy, tmp_path)
    assert_same(said(toy, tmp_path, own=name), wanted.numpy())
    assert load_model(tmp_path / "model", own=name).needs_group
    with pytest.raises(ModelError, match="Means"):
        said(toy, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.copy(tmp_path / "mine.py", tmp_path / "elsewhere" / "mine.py")
    assert_same(said(toy, tmp_path, own=f"{moved}:make"), wanted.numpy())
    marker = tmp_path / "was_run"
    Path(moved).write_text(OWN_CLASS + f"\nopen({str(marker)!r}, 'w')\n")
    with pytest.raises(OwnMethodError, match="another file or was changed since"):
        said(toy, tmp_path, own=f"{moved}:make")
    assert not marker.exists()


def test_what_has_no_safe_format_is_refused_and_nothing_is_left(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(EstimatorError, match=r"mine\.make cannot be saved: skops has no safe format"):
        saved(LOCKED, toy, tmp_path)
    assert not (tmp_path / "model").exists() and not list(tmp_path.glob(".model*"))


def test_a_function_that_a_stranger_put_in_is_not_called(toy: Toy, tmp_path: Path) -> None:
    import os

    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    name, _ = saved(LOGISTIC, toy, tmp_path)
    dump(make_pipeline(FunctionTransformer(os.system)), tmp_path / "model" / "expert" / "estimator.skops")
    for options in ({}, {"own": name}):
        with pytest.raises(ModelError, match=r"could run code: .*system"):
            said(toy, tmp_path, **options)
