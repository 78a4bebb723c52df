"""Any fitted scikit-learn-like estimator as an expert: margins, masking, attributions.

An estimator has ``fit(X, y)`` and one of ``predict_proba``, ``decision_function`` and ``predict``. Methods that have a
parameter ``sensitive_features`` get the name of each row's group. What estimators run is code of users: see
:mod:`benchmarks.methods.user_code`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import logit
from torch import Tensor

from benchmarks.methods.process_state import NOTHING, Changes
from benchmarks.methods.saved_estimator import read_estimator, write_estimator
from benchmarks.methods.user_code import EstimatorError, user_code
from experts.saved import DESCRIPTION
from foundation.files import write_json
from metrics.explainers.shapley import shapley_columns
from tasks.task import TaskView

Floats = npt.NDArray[np.float64]
Answer = Literal["_pmf_predict", "decision_function", "predict_proba", "predict"]

CLIP = 30.0
"""Largest margin of a probability: of 1 - 1e-13, and of a hard decision for class 1."""
ROUNDING = 1e-6
"""How far outside [0, 1] a probability may lie by rounding, such as 1.0000001 in single precision: it is clipped."""
AGREEMENT = 0.999
"""Share of training rows on which the sign of a score must be the estimator's own decision."""


def margin_of(probability: Any) -> Tensor:
    """[r] float32 logit of probabilities [r] of class 1, clipped to ±30; nan stays nan."""
    with np.errstate(divide="ignore"):
        return torch.from_numpy(np.clip(logit(np.asarray(probability, dtype=np.float64)), -CLIP, CLIP)).float()


def encoded(task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
    """[r, d] float32 features of rows; those of columns that ``keep`` [r, columns] does not keep are 0 (unknown)."""
    features = task.features[rows]
    return features if keep is None else features * keep[:, task.column_of_feature]


def sampled_shapley(
    logits: Callable[[TaskView, Tensor, Tensor | None], Tensor], task: TaskView, rows: Tensor, seed: int
) -> Tensor:
    """[r, columns] float64 sampled Shapley values of source columns, from the baseline where all are unknown.

    What a model knows of a row beside its features (its group) stays as it is and gets no share.
    """
    return shapley_columns(
        lambda picked, keep: logits(task, rows[picked], keep), len(rows), len(task.columns), seed=seed
    )


def takes_groups(method: Callable[..., Any]) -> bool:
    """Whether a method of an estimator asks for ``sensitive_features``.

    It does if it has a parameter of that name. fairlearn's reductions hand all keywords on, and need it.
    """
    parameters = inspect.signature(method).parameters
    if "sensitive_features" in parameters:
        return True
    owner = type(getattr(method, "__self__", None))
    passes_on = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return passes_on and any(base.__module__.startswith("fairlearn.reductions") for base in owner.__mro__)


def group_names_of(task: TaskView, rows: Tensor) -> npt.NDArray[np.str_]:
    """[r] name of each row's group."""
    names: npt.NDArray[np.str_] = np.array(task.group_names)[task.groups[rows].numpy()]
    return names


@dataclass(frozen=True)
class EstimatorExpert:
    """A fitted estimator as an expert.

    Attributes
    ----------
    model : object
    answer : str
        The method that is asked. ``_pmf_predict`` (fairlearn's randomised predictors: the probability of deciding for
        class 1) and ``predict_proba`` give logits, clipped to ±30; ``decision_function`` is taken as it is; hard
        labels of ``predict`` become ±30.
    name : str
        Of the method, for what is saved and what errors say.
    state : mapping
        What its code left of the process (:mod:`benchmarks.methods.process_state`): it finds that again when asked.
    source : mapping
        File that defines it and its sha256, for what is saved; empty where it comes from no such file.
    """

    model: Any
    answer: Answer
    name: str
    seed: int
    family: str = "own"
    settings: Mapping[str, Any] = field(default_factory=dict)
    role: str = "baseline"
    explainer: str = "shapley_sampling"
    parameter_count: int = 0  # not known of estimators in general
    state: Changes = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "estimator"

    @property
    def knows_group(self) -> bool:
        """Whether it is told the group of a row when it decides."""
        return takes_groups(getattr(self.model, self.answer))

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; what the estimator says is not repaired, so nan stays nan."""
        asked = _Asked(self.model, self.name, self.seed, self.state)
        return asked.margins(self.answer, encoded(task, rows, keep), group_names_of(task, rows))

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] sampled Shapley values."""
        return sampled_shapley(self.logits, task, rows, self.seed)

    def save(self, folder: Path) -> None:
        """Write the estimator in skops' format, and what, with task and code, determines it (no pickle).

        Raises
        ------
        EstimatorError
            If skops has no format for a part of it.
        """
        write_estimator(self.model, folder, self.name)
        facts = {"kind": self.kind, "family": self.family, "role": self.role, "name": self.name, "seed": self.seed}
        told = {"asked": self.answer, "settings": dict(self.settings), "source": dict(self.source)}
        write_json(folder / DESCRIPTION, {**facts, **told})

    @classmethod
    def read(cls, folder: Path, facts: Mapping[str, Any], state: Changes, trust: Sequence[str], *, named: bool) -> Self:
        """What :meth:`save` wrote.

        Parameters
        ----------
        folder : Path
        facts : mapping
            Its ``expert.json``.
        state : mapping
            What the file of the method left of the process.
        trust : sequence of str
            Types that it may be made of beside those that skops knows to be safe.
        named : bool
            Whether the user named the file that it was made by: types of that file are trusted, and the trees and
            tables of common libraries.

        Raises
        ------
        EstimatorError
            If it is made of other types; the text lists them.
        """
        model = read_estimator(folder, facts["name"], facts["source"], trust, named=named)
        told = facts["asked"], facts["name"], facts["seed"], facts["family"], facts["settings"], facts["role"]
        return cls(model, *told, state=state, source=facts["source"])


def fit_estimator(
    factory: Callable[[], Any],
    view: TaskView,
    seed: int,
    *,
    name: str,
    family: str = "own",
    state: Changes = NOTHING,
    source: Mapping[str, str] = NOTHING,
) -> EstimatorExpert:
    """Fit a scikit-learn-like estimator on the training rows.

    Parameters
    ----------
    factory : callable
        () → unfitted estimator. Its ``random_state`` and those of its parts are set from the seed.
    view : TaskView
    seed : int
    name : str
        Of the method, for errors.
    family : str
        What the model is.
    state : mapping
        What its code left of the process before.
    source : mapping
        File that defines it and its sha256, for what is saved.

    Returns
    -------
    EstimatorExpert
        Asked by the first of ``_pmf_predict``, ``predict_proba``, ``decision_function`` and ``predict`` that it has
        and that decides as ``predict`` does (on 99.9 % of the training rows), so that a decision threshold other than
        ½, or a decision function that does not change sign at the decision, is not lost. Two are not compared:
        ``_pmf_predict``, whose decisions are random, and a ``predict_proba`` of a class that inherits its ``predict``,
        which knows nothing of it.

    Raises
    ------
    EstimatorError
        If the factory returns no estimator, or one that cannot be asked.
    """
    with user_code(name, "fit", state, seed) as left:
        model = _fitted(factory(), view, seed, name)
        settings = _settings(model)
    answer = _answer(_Asked(model, name, seed, left), view)
    return EstimatorExpert(model, answer, name, seed, family, settings, state=left, source=source)


def _fitted(model: Any, view: TaskView, seed: int, name: str) -> Any:
    if not callable(getattr(model, "fit", None)):
        raise EstimatorError(
            f"{name} returned {type(model).__name__}, which has no fit(X, y). Return an unfitted estimator like those "
            "of scikit-learn."
        )
    _seed(model, seed)
    train = view.split.train
    groups = group_names_of(view, train)
    further = {"sensitive_features": groups} if takes_groups(model.fit) else {}
    fitted = model.fit(_numbers(encoded(view, train)), view.labels[train].numpy(), **further)
    return model if fitted is None else fitted


def _seed(model: Any, seed: int) -> None:
    if not hasattr(model, "get_params"):
        return
    names = [key for key in model.get_params() if key == "random_state" or key.endswith("__random_state")]
    if names:
        model.set_params(**dict.fromkeys(names, seed % 2**31))


def _settings(model: Any) -> dict[str, str]:
    return {key: repr(value) for key, value in model.get_params().items()} if hasattr(model, "get_params") else {}


@dataclass(frozen=True)
class _Asked:
    """A fitted model that is asked: its methods run in the state that its code left."""

    model: Any
    name: str
    seed: int
    state: Changes

    def margins(self, answer: Answer, features: Tensor, groups: npt.NDArray[np.str_]) -> Tensor:
        """[r] float32 margins, by one of its methods."""
        method = getattr(self.model, answer)
        further = {"sensitive_features": groups} if takes_groups(method) else {}
        with user_code(self.name, answer, self.state, self.seed):
            said = _plain(method(_numbers(features), **further))
        if answer == "predict":
            return _hard(said, len(features), self.name)
        column = _positive(said, len(features), self.model, answer, self.name)
        if answer == "decision_function":
            return torch.from_numpy(column).float()
        return margin_of(_probabilities(column, answer, self.name))


def _answer(asked: _Asked, view: TaskView) -> Answer:
    """The method to ask."""
    model, name = asked.model, asked.name
    if hasattr(model, "_pmf_predict"):
        return "_pmf_predict"
    soft: list[Answer] = ["predict_proba", "decision_function"]
    known = [method for method in soft if callable(getattr(model, method, None))]
    if not callable(getattr(model, "predict", None)):
        if known:
            return known[0]
        raise EstimatorError(
            f"{name} made a {type(model).__name__} with neither predict_proba, decision_function nor predict; give it "
            "one of them."
        )
    if known and _inherits_predict(model, known[0]):
        return known[0]
    train = view.split.train
    features, groups = encoded(view, train), group_names_of(view, train)
    decided = asked.margins("predict", features, groups) > 0
    for method in known:
        scores = asked.margins(method, features, groups)
        agree = (scores > 0) == decided
        if bool(scores.isnan().any()) or float(agree.double().mean()) >= AGREEMENT:
            return method  # nan is for scoring to report, not a reason to look away
    return "predict"


def _inherits_predict(model: Any, method: Answer) -> bool:
    """Whether a class defines the method and a base of it ``predict``, which then decides by something else."""
    owners = [next((i for i, c in enumerate(type(model).__mro__) if m in vars(c)), None) for m in (method, "predict")]
    return method == "predict_proba" and None not in owners and owners[0] < owners[1]  # type: ignore[operator]


def _plain(said: Any) -> npt.NDArray[Any]:
    """What was said as an array; a tensor may have a gradient."""
    return said.detach().cpu().numpy() if isinstance(said, Tensor) else np.asarray(said)


def _probabilities(column: Floats, answer: str, name: str) -> Floats:
    """[r] within [0, 1]; what lies outside by more than rounding is told, and nan stays nan."""
    outside = (column < -ROUNDING) | (column > 1 + ROUNDING)
    if outside.any():
        raise EstimatorError(
            f"{name}: {answer} gave {int(outside.sum())} of {len(column)} rows numbers outside [0, 1], such as "
            f"{float(column[outside][0]):.9g}: they are no probabilities. Return those of class 1, or name the method "
            "decision_function."
        )
    return np.clip(column, 0, 1)


def _hard(said: npt.NDArray[Any], rows: int, name: str) -> Tensor:
    values = _as_numbers(said.reshape(-1), "predict", name)
    if len(values) != rows or not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise EstimatorError(
            f"{name}: predict returned shape {said.shape} with values such as {said.reshape(-1)[:3].tolist()} for "
            f"{rows} rows; it must return one label, 0 or 1, per row."
        )
    return torch.from_numpy((2 * values - 1) * CLIP).float()


def _positive(said: npt.NDArray[Any], rows: int, model: Any, answer: str, name: str) -> Floats:
    """[r] the numbers of class 1 among what was said: [r], [r, 1], or a column per class."""
    classes = _classes(model, name)
    if said.shape == (rows, 2) and len(classes) == 2:
        said = said[:, classes.index(1)]
    elif answer == "predict_proba" and said.shape == (rows, 1) and len(classes) == 1:
        said = said[:, 0] if classes[0] == 1 else 1 - said[:, 0]
    if said.shape not in ((rows,), (rows, 1)):
        raise EstimatorError(
            f"{name}: {answer} returned shape {said.shape} for {rows} rows; it must return one number per row, or one "
            "per row and class."
        )
    return _as_numbers(said.reshape(-1), answer, name)


def _as_numbers(values: npt.NDArray[Any], answer: str, name: str) -> Floats:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise EstimatorError(
            f"{name}: {answer} returned values such as {values[:3].tolist()}, which are no numbers. The labels that "
            "fit gets are 0 and 1: return these, or their probabilities."
        ) from None


def _classes(model: Any, name: str) -> list[int]:
    """The labels of a model's columns."""
    classes = list(getattr(model, "classes_", (0, 1)))
    if not all(c in (0, 1) for c in classes):
        raise EstimatorError(
            f"{name}: its classes_ are {[str(c) for c in classes]}, but the labels that fit gets are 0 and 1. Give the "
            "model these labels as they are, so that it is known which column is that of class 1."
        )
    return [int(c) for c in classes]


def _numbers(features: Tensor) -> Floats:
    """In double precision, as scikit-learn's own solvers like it."""
    return features.double().numpy()
