"""Estimators of users as files: skops' format, which holds data and names of types and runs no code of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.methods.user_code import EstimatorError
from foundation.files import atomic_path

FILE = "estimator.skops"
COMMON = frozenset({
    "collections.OrderedDict",
    "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree", "sklearn.tree._tree.Tree",
    "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier",
})  # fmt: skip
"""Types of libraries that only hold numbers, but read them without checks: for files that the user vouches for."""


def write_estimator(model: Any, folder: Path, name: str) -> None:
    """Write ``estimator.skops``.

    Raises
    ------
    EstimatorError
        If a part of the estimator has no safe format.
    """
    from skops.io import dump, get_untrusted_types, load

    try:
        with atomic_path(folder / FILE) as path:
            dump(model, path)
            load(path, trusted=get_untrusted_types(file=path))  # what was written here is known, and must be readable
    except Exception as error:  # whatever the estimator's own way of telling its state raises
        raise EstimatorError(
            f"{name} cannot be saved: skops has no safe format for a part of {type(model).__name__} "
            f"({type(error).__name__}: {error}). Keep only numbers, arrays and scikit-learn estimators in its "
            "attributes, or fit it again where it is needed: with the file of the method, fairmoe bench makes the same "
            "model."
        ) from error


def read_estimator(folder: Path, name: str, source: Mapping[str, Any], trust: Sequence[str], *, named: bool) -> Any:
    """What :func:`write_estimator` wrote; see :meth:`benchmarks.methods.estimator_expert.EstimatorExpert.read`.

    Raises
    ------
    EstimatorError
        If it is made of types that are not trusted.
    """
    from skops.io import get_untrusted_types, load

    asked = get_untrusted_types(file=folder / FILE)
    own = _module(source) if named else None
    allowed = {kind for kind in asked if kind in trust or (own and (kind in COMMON or _is_of(kind, own)))}
    refused = [kind for kind in asked if kind not in allowed]
    if refused:
        raise EstimatorError(_refusal(folder, name, source, refused, named=named))
    return load(folder / FILE, trusted=sorted(allowed))


def module_name(stem: str, digest: str) -> str:
    """Name under which the file of an own method is imported, by its own name and the sha256 of its bytes."""
    return f"fairmoe_own_{stem}_{digest[:12]}"


def _module(source: Mapping[str, Any]) -> str:
    return module_name(str(source["reads"]).partition(":")[0].removesuffix(".py"), source["sha256"])


def _is_of(kind: str, module: str) -> bool:
    return re.fullmatch(rf"{re.escape(module)}\.[A-Za-z_][A-Za-z0-9_.]*", kind) is not None


def _refusal(folder: Path, name: str, source: Mapping[str, Any], refused: Sequence[str], *, named: bool) -> str:
    listed = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if len(refused) > 8 else "")
    what = f"{folder / FILE} holds an estimator of {name} that is made of types which could run code: {listed}. "
    if named or not source:
        return what + "If you know where the file comes from, name them as trust=[...] (in a command: --trust TYPE)."
    return what + (
        f'If you have the file that it was made by, name it as own="path/to/{source["reads"]}"; if you know where '
        "the file comes from, name the types as trust=[...] (in a command: --own, --trust TYPE)."
    )
