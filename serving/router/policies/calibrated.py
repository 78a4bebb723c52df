"""A calibrated policy: logistic regression on words (and hidden states) of labelled prompts.

Features of a prompt are whether it has each known word or pair of neighbouring words, how many keywords of each expert
it has (as :func:`serving.router.policies.keywords.worth`), and, if the policy was fitted with them, its hidden state on
the principal components of the training prompts. A multinomial logistic regression gives the logits of base and
experts; their calibration is learnt from logits that cross-fitting gives for prompts that the fold did not see:

- ``platt``: softmax(slope * logits + offset_k) (Platt 1999, for many classes: Guo et al. 2017, vector scaling with one
  slope);
- ``isotonic``: one monotone curve per class (Zadrozny & Elkan 2002), normalised.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from foundation.files import atomic_path, write_json
from serving.router.error import RouterError
from serving.router.outcomes import BASE
from serving.router.policies.keywords import KeywordPolicy
from serving.router.policy import SILENT, Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query

if TYPE_CHECKING:
    from torch import Tensor

Calibration = Literal["platt", "isotonic"]
Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_PROMPTS = 2
"""A word that fewer training prompts have is not a feature."""
COMPONENTS = 32
FOLDS = 5
LEAST = 1e-3
"""Probabilities are kept above this, so that one policy alone is never certain."""
_SETTINGS, _TENSORS = "calibrated.json", "calibrated.safetensors"


class CalibratedPolicy:
    """Logistic regression with calibrated probabilities; :meth:`fit` makes one.

    Parameters
    ----------
    facts : mapping
        ``classes``, ``vocabulary``, ``calibration`` and the experts' ``keywords``.
    arrays : mapping of str to array
        ``weights`` [f, c], ``bias`` [c], ``slope`` and ``offset`` or the curves' points, ``centre`` and ``projection``.
    """

    name = "calibrated"

    def __init__(self, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.calibration: Calibration = facts["calibration"]
        self._words = {word: place for place, word in enumerate(facts["vocabulary"])}
        self._keywords = {str(name): tuple(words) for name, words in facts["keywords"].items()}
        self._policy = KeywordPolicy([ExpertProfile(name, keywords=words) for name, words in self._keywords.items()])
        self._experts = {name: len(self._words) + place for place, name in enumerate(self._keywords)}
        self._arrays = dict(arrays)

    @property
    def reads_states(self) -> bool:
        """Whether it was fitted with hidden states."""
        return "projection" in self._arrays

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        experts: Sequence[str],
        profiles: Sequence[ExpertProfile],
        states: Tensor | None = None,
        *,
        calibration: Calibration = "platt",
        strength: float = 1.0,
        seed: int = 0,
    ) -> CalibratedPolicy:
        """Fit on labelled prompts.

        Parameters
        ----------
        texts : n prompts
        experts : n names
            Whose each prompt is; ``base`` for those that no expert should answer.
        profiles : sequence of ExpertProfile
            Whose keywords are features.
        states : [n, d] Tensor, optional
            Pooled hidden states; the policy then needs one for every prompt.
        calibration : {"platt", "isotonic"}
        strength : float
            Inverse of the ridge penalty (scikit-learn's C).
        seed : int
            Of the folds.

        Raises
        ------
        RouterError
            If there are not two prompts of each of two experts (base counts as one).
        """
        counts = Counter(experts)
        if len(texts) != len(experts) or len(counts) < 2 or min(counts.values()) < 2 or BASE not in counts:
            raise RouterError(
                "a calibrated policy is fitted on at least two prompts of every expert and of the base, one name per "
                f"prompt; given are {len(texts)} prompts, {len(experts)} names: {dict(counts)}"
            )
        classes = (BASE, *sorted(set(experts) - {BASE}))
        queries = [Query(text) for text in texts]
        rows = [_pieces(query.tokens) for query in queries]
        found = Counter(word for row in rows for word in row)
        facts = {
            "classes": list(classes),
            "vocabulary": sorted(word for word, number in found.items() if MIN_PROMPTS <= number < len(texts)),
            "calibration": calibration,
            "keywords": {one.name: list(one.keywords) for one in profiles},
        }
        made = cls(facts, {})
        if states is not None:
            made._arrays |= _components(states)
        features = np.stack([
            made._features(query, None if states is None else _array(states[i])) for i, query in enumerate(queries)
        ])  # fmt: skip
        labels = np.array([classes.index(name) for name in experts])
        logits = _out_of_fold(features, labels, len(classes), strength, seed, min(FOLDS, min(counts.values())))
        made._arrays |= _calibrated(logits, labels, calibration)
        made._arrays["weights"], made._arrays["bias"] = _regression(features, labels, len(classes), strength)
        return made

    def probabilities(self, query: Query) -> dict[str, float]:
        """Calibrated probabilities of base and experts.

        Raises
        ------
        RouterError
            If the policy was fitted with hidden states and the prompt has none.
        """
        found = self._probabilities(query)
        if found is None:
            raise RouterError("the calibrated policy was fitted with hidden states: give the prompt's state")
        return dict(zip(self.classes, found.tolist(), strict=True))

    def scores(self, query: Query) -> Verdict:
        """Log-odds of experts against the base; silent if it needs a hidden state and there is none."""
        found = self._probabilities(query)
        if found is None:
            return SILENT
        odds = np.log(found[1:] / found[0]).tolist()
        scores = dict(zip(self.classes[1:], odds, strict=True))
        return Verdict(scores, features={"probabilities": dict(zip(self.classes, found.tolist(), strict=True))})

    def save(self, folder: Path) -> None:
        """Write ``calibrated.safetensors`` and ``calibrated.json``."""
        from safetensors.numpy import save_file

        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            save_file({name: np.ascontiguousarray(one) for name, one in self._arrays.items()}, temporary / _TENSORS)
            facts = {
                "classes": list(self.classes),
                "vocabulary": list(self._words),
                "calibration": self.calibration,
                "keywords": [[name, list(words)] for name, words in self._keywords.items()],
            }
            write_json(temporary / _SETTINGS, facts)

    @classmethod
    def load(cls, folder: Path) -> CalibratedPolicy:
        """Read what :meth:`save` wrote.

        Raises
        ------
        RouterError
            If the folder holds no calibrated policy.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            facts = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            made = cls(facts | {"keywords": dict(facts["keywords"])}, load_file(folder / _TENSORS))
            shape = (len(made._words) + len(made._keywords) + made._n_components, len(made.classes))
            if made._arrays["weights"].shape != shape:
                raise RouterError(f"{folder}: the weights are {made._arrays['weights'].shape}, not {shape}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise RouterError(f"{folder} holds no calibrated policy ({error}): save the router again") from error
        return made

    @property
    def _n_components(self) -> int:
        return self._arrays["projection"].shape[1] if self.reads_states else 0

    def _places(self, query: Query) -> dict[int, float]:
        """Places of the words' and keywords' features, and their values."""
        known = self._words
        found = {known[piece]: 1.0 for piece in _pieces(query.tokens) if piece in known}
        return found | {self._experts[name]: value for name, value in self._policy.scores(query).scores.items()}

    def _features(self, query: Query, state: Array | None) -> Array:
        row = np.zeros(len(self._words) + len(self._keywords))
        for place, value in self._places(query).items():
            row[place] = value
        return row if state is None else np.concatenate([row, self._projected(state)])

    def _projected(self, state: Array) -> Array:
        if state.shape != self._arrays["centre"].shape:
            raise RouterError(
                f"the hidden state has {state.size} numbers, and the calibrated policy was fitted on "
                f"{self._arrays['centre'].size}: give the base that it was fitted with, or fit it again with this one"
            )
        found: Array = (state - self._arrays["centre"]) @ self._arrays["projection"]
        return found

    def _probabilities(self, query: Query) -> Array | None:
        weights, logits = self._arrays["weights"], self._arrays["bias"].copy()
        for place, value in self._places(query).items():
            logits += value * weights[place]
        if self.reads_states:
            if (state := query.state) is None:
                return None
            logits += self._projected(_array(state)) @ weights[-self._n_components :]
        if self.calibration == "platt":
            return _bounded(_softmax(self._arrays["slope"] * logits + self._arrays["offset"]))
        raw = _softmax(logits)
        curves = [
            np.interp(raw[k], self._arrays[f"curve{k}_x"], self._arrays[f"curve{k}_y"]) for k in range(len(raw))
        ]  # fmt: skip
        return _bounded(np.array(curves))


def _pieces(words: tuple[str, ...]) -> set[str]:
    """Words and pairs of neighbours."""
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))}


def _array(state: Tensor) -> Array:
    found: Array = state.detach().cpu().double().numpy()
    return found


def _components(states: Tensor) -> dict[str, Array]:
    """Centre, and whitening projection on the leading components."""
    values = _array(states)
    if not np.isfinite(values).all():
        raise RouterError("a hidden state is not finite: compute the hidden states in float32")
    centre = values.mean(axis=0)
    _, singular, directions = np.linalg.svd(values - centre, full_matrices=False)
    kept = min(COMPONENTS, int((singular > 1e-6 * singular[0]).sum()))
    return {"centre": centre, "projection": directions[:kept].T * (math.sqrt(len(values)) / singular[:kept])}


def _regression(features: Array, labels: Any, classes: int, strength: float) -> tuple[Array, Array]:
    """Weights [f, c] and bias [c]; a class that is not among the labels has the lowest bias."""
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression
    fitted = model(C=strength, max_iter=2000).fit(features, labels)
    weights, bias = np.zeros((features.shape[1], classes)), np.full(classes, -10.0)
    if len(fitted.classes_) == 2:  # one row of coefficients, for the second class
        weights[:, fitted.classes_[1]], bias[fitted.classes_] = fitted.coef_[0], [0.0, fitted.intercept_[0]]
    else:
        weights[:, fitted.classes_], bias[fitted.classes_] = fitted.coef_.T, fitted.intercept_
    return weights, bias


def _out_of_fold(features: Array, labels: Any, classes: int, strength: float, seed: int, folds: int) -> Array:
    from sklearn.model_selection import StratifiedKFold

    splitter: Any = StratifiedKFold
    logits = np.zeros((len(labels), classes))
    for inside, outside in splitter(folds, shuffle=True, random_state=seed).split(features, labels):
        weights, bias = _regression(features[inside], labels[inside], classes, strength)
        logits[outside] = features[outside] @ weights + bias
    return logits


def _calibrated(logits: Array, labels: Any, kind: Calibration) -> dict[str, Array]:
    if kind == "platt":
        return _platt(logits, labels)
    if kind != "isotonic":
        raise RouterError(f"no calibration {kind!r}: known are platt and isotonic")
    from sklearn.isotonic import IsotonicRegression

    model: Any = IsotonicRegression
    raw, found = _softmax(logits), {}
    for k in range(logits.shape[1]):
        curve = model(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(raw[:, k], labels == k)
        found[f"curve{k}_x"], found[f"curve{k}_y"] = curve.X_thresholds_, curve.y_thresholds_
    return found


def _platt(logits: Array, labels: Any) -> dict[str, Array]:
    """Slope and offsets of the least negative log-likelihood, with a weak ridge on the offsets."""
    from scipy.optimize import minimize

    rows, classes = logits.shape
    target = np.eye(classes)[labels]

    def loss(point: Array) -> tuple[float, Array]:
        scaled = point[0] * logits + point[1:]
        shifted = scaled - scaled.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        error = (np.exp(logs) - target) / rows
        ridge = 0.5 / rows
        value = -(target * logs).sum() / rows + ridge * float(point[1:] @ point[1:])
        return value, np.concatenate([[float((error * logits).sum())], error.sum(axis=0) + 2 * ridge * point[1:]])

    minimise: Any = minimize
    best = minimise(
        loss, np.concatenate([[1.0], np.zeros(classes)]), jac=True, method="L-BFGS-B",
        bounds=[(1e-2, 1e2), *[(-10.0, 10.0)] * classes],
    )  # fmt: skip
    return {"slope": best.x[:1], "offset": best.x[1:]}


def _softmax(logits: Array) -> Array:
    parts = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Array = parts / parts.sum(axis=-1, keepdims=True)
    return found


def _bounded(probabilities: Array) -> Array:
    kept = np.maximum(probabilities, LEAST)
    found: Array = kept / kept.sum()
    return found
