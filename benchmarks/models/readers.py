"""Experts of every kind from their folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.models.error import ModelError
from benchmarks.models.registry import MODELS, named
from experts.expert import Expert
from experts.saved import DESCRIPTION

Facts = Mapping[str, Any]
Inner = Callable[[Path], Expert]
"""Reads the folder of an expert within another."""


def family(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """An expert of a family, tabular or graph."""
    from experts.loading import load_expert

    return load_expert(folder)


def bag(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """Models of one configuration, each fitted without one fold."""
    from experts.bagging.bag import load_bagged

    return load_bagged(folder, inner)


def mixture(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """Experts and a gate."""
    from moe.mixture import load_mixture

    return load_mixture(folder, inner)


def decided(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """An expert with its decision layer."""
    from moe.decision.decided import load_decided

    return load_decided(folder, inner)


def baseline(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """A baseline that is not told the group of a row."""
    from benchmarks.methods.baselines._model import ModelExpert

    return ModelExpert.read(folder, facts, _model(folder, facts))


def group_baseline(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """A baseline that is told the group of a row."""
    from benchmarks.methods.baselines._model import GroupModelExpert

    return GroupModelExpert.read(folder, facts, _model(folder, facts))


def constant(folder: Path, facts: Facts, inner: Inner) -> Expert:  # noqa: ARG001
    """The constant predictor."""
    from benchmarks.methods.baselines.constant import Constant

    return Constant.read(facts)


def _model(folder: Path, facts: Facts) -> Any:
    found = named(MODELS, facts.get("model"))
    if found is None:
        raise ModelError(
            f"{folder / DESCRIPTION} is of a model of the kind {facts.get('model')!r}, which this fairmoe does not "
            f"know; it knows {', '.join(MODELS)}. Read it with the fairmoe that wrote it, or a newer one."
        )
    return found
