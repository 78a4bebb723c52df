"""Experts of every kind from their folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.models.error import ModelError
from benchmarks.saving.kinds import MODELS, NETWORKS, PROPAGATIONS, named
from experts.expert import Expert
from experts.saved import DESCRIPTION

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What only the user can say of a folder that may come from a stranger.

    Attributes
    ----------
    own : str or None
        ``path/to/file.py:function`` of an own method: the file is run, if it is the one that the model was made by.
    trust : tuple of str
        Types that an estimator may be made of beside those that are known to be safe.
    base : str or None
        The language model that text experts stand on: a folder or a name; default: the one that the model names.
    """

    own: str | None = None
    trust: tuple[str, ...] = ()
    base: str | None = None


@dataclass(frozen=True)
class Reading:
    """How the rest of a model is read: the reader of inner experts, and what the user said."""

    inner: Callable[[Path], Expert]
    given: Given
    shared: list[Expert] = field(default_factory=list)  # experts that were read and share what they stand on


def family(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """An expert of a family, tabular or graph."""
    from experts.loading import load_expert

    return load_expert(folder)


def bag(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """Models of one configuration, each fitted without one fold."""
    from experts.bagging.bag import load_bagged

    return load_bagged(folder, reading.inner)


def mixture(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """Experts and a gate."""
    from moe.mixture import load_mixture

    return load_mixture(folder, reading.inner)


def decided(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """An expert with its decision layer."""
    from moe.decision.decided import load_decided

    return load_decided(folder, reading.inner)


def baseline(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """A baseline that is not told the group of a row."""
    from benchmarks.methods.baselines._model import ModelExpert

    return ModelExpert.read(folder, facts, _known(folder, facts, "model", MODELS))


def group_baseline(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """A baseline that is told the group of a row."""
    from benchmarks.methods.baselines._model import GroupModelExpert

    return GroupModelExpert.read(folder, facts, _known(folder, facts, "model", MODELS))


def constant(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """The constant predictor."""
    from benchmarks.methods.baselines.constant import Constant

    return Constant.read(facts)


def graph_baseline(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """A graph network among the baselines."""
    from benchmarks.methods.baselines._graph_training import seeded
    from benchmarks.methods.graph_model import GraphModel

    build, propagation = _known(folder, facts, "network", NETWORKS), _known(folder, facts, "propagation", PROPAGATIONS)
    with seeded(0, "read"):  # a network is built with drawn weights, which nothing else may notice
        return GraphModel.read(folder, facts, build, propagation)


def estimator(folder: Path, facts: Facts, reading: Reading) -> Expert:
    """An estimator of an own method."""
    from benchmarks.methods.estimator_expert import EstimatorExpert
    from benchmarks.methods.own_method import own_state

    own = reading.given.own
    state = {} if own is None else own_state(own, facts["source"])
    return EstimatorExpert.read(folder, facts, state, reading.given.trust, named=own is not None)


def _known(folder: Path, facts: Facts, what: str, table: dict[str, str]) -> Any:
    """The code for the kind of a part that a description names."""
    found = named(table, facts.get(what))
    if found is None:
        raise ModelError(
            f"{folder / DESCRIPTION} is of a {what} of the kind {facts.get(what)!r}, which this fairmoe does not know; "
            f"it knows {', '.join(table)}. Read it with the fairmoe that wrote it, or a newer one."
        )
    return found
