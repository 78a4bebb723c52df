"""A mixture from a library: bags of all families, weighed and, where it helps, tuned jointly on out-of-fold rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from experts.bagging import Bag, HonestBag, bag_rows
from gates.fitting import fit_gate
from gates.gate import ComposingGate, ProjectedGate
from gates.settings import DEFAULT_CONFIGS
from gates.shrunk_dense import ShrunkDenseGate
from gates.static import StaticWeights, as_point
from gates.static_simplex import StaticSimplexGate
from moe.joint import JointConfig, JointTuning, tune_jointly
from moe.mixture import Mixture
from tasks.task import TaskView

LEAST = 0.01
"""Members of less weight leave a static mixture: each costs a model per fold for every row that is asked."""

CONFIGS = tuple(config for config in DEFAULT_CONFIGS if config.lambda_attention == 0)
"""Of trained gates: reasons of all members on training rows would cost more than all else."""

EXACT = ("integrated_gradients", "tree_shap")
"""Explainers whose attributions are exact, so that a mixture may chain them."""


@dataclass(frozen=True, eq=False)
class Library:
    """Members, each with margins of all training and validation rows by models that have not seen them.

    Attributes
    ----------
    view : TaskView
    members : tuple of m HonestBag
    fold : [n] int64
        Of :func:`experts.bagging.bag_rows`.
    """

    view: TaskView
    members: tuple[HonestBag, ...]
    fold: Tensor

    @classmethod
    def of(cls, view: TaskView, bags: Sequence[Bag], fold: Tensor) -> Library:
        """From bags that were made with the same folds."""
        return cls(view, tuple(HonestBag.of(view, bag, fold) for bag in bags), fold)

    @property
    def margins(self) -> Tensor:
        """[n, m] out-of-fold margins."""
        return torch.stack([member.bag.oof for member in self.members], 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(member.bag.name for member in self.members)

    @property
    def families(self) -> tuple[str, ...]:
        """Families of the members."""
        return tuple(member.family for member in self.members)


@dataclass(frozen=True, eq=False)
class Weighed:
    """A library with weights.

    Attributes
    ----------
    mixture : Mixture
        Of members with a weight; it answers rows of the library by the models that have not seen them.
    weights : dict
        Name of a member of the mixture → weight; for gates that look at rows, the mean over out-of-fold rows.
    rows : [n] int64
        Training rows, then validation rows.
    margins : [n] float32
        Of the mixture on these rows.
    joint : JointTuning or None
        What joint fine-tuning gave; None where it was not tried.
    """

    mixture: Mixture
    weights: dict[str, float]
    rows: Tensor
    margins: Tensor = field(repr=False)
    joint: JointTuning | None = None


def library_mixture(
    library: Library,
    gate: str = "adaptive",
    *,
    seed: int,
    floor: float = -math.inf,
    row_wise: bool = False,
    joint: JointConfig | None = None,
) -> Weighed:
    """Weigh a library on its out-of-fold rows; probabilities are mixed, not margins, unless the gate says otherwise.

    Parameters
    ----------
    library : Library
    gate : str
        Name of a gate; see :func:`gates.registry.gate_names`.
    seed : int
    floor : float
        Validation utility that choices must reach, for gates that look at it.
    row_wise : bool
        Let a row-wise gate (:mod:`gates.shrunk_dense`) take the place of static weights, if out-of-fold rows that it
        has not seen lose less under it, beyond noise.
    joint : JointConfig, optional
        Of joint fine-tuning, for static weights; None: it is left out.
    """
    view = library.view
    fitted = fitted_gate(library, gate, seed, floor)
    members, tuning = library.members, None
    if isinstance(fitted, StaticWeights) and not isinstance(fitted, ComposingGate):
        used, point = heavy(fitted.point)
        members = tuple(members[k] for k in used)
        few = Library(view, members, library.fold)
        varying = fitted_gate(few, "shrunk_dense", seed, floor) if row_wise and len(set(few.families)) > 1 else None
        if isinstance(varying, ShrunkDenseGate) and not varying.static:
            return _weighed(library, members, varying, None)
        if joint is not None:
            tuning = tune_jointly(view, members, point, library.fold, seed=seed, config=joint)
            members, point = tuning.members, tuning.point
        fitted = StaticSimplexGate(as_point(point))
    return _weighed(library, members, fitted, tuning)


def fitted_gate(library: Library, name: str, seed: int, floor: float) -> ProjectedGate:
    """A gate that has learnt from the out-of-fold rows of a library."""
    margins, train = library.margins, len(library.view.split.train)
    return fit_gate(
        library.view, margins[:train], name, CONFIGS, seed=seed, utility_floor=floor, logits_validation=margins[train:],
        families=library.families,
    ).gate  # fmt: skip


def heavy(point: Tensor) -> tuple[list[int], Tensor]:
    """Places of the experts whose weight [m] is at least :data:`LEAST` (the heaviest in any case), and their shares."""
    used = [place for place, weight in enumerate(point.tolist()) if weight >= LEAST] or [int(point.argmax())]
    return used, as_point(point[used]).double()


def _weighed(
    library: Library, members: tuple[HonestBag, ...], gate: ProjectedGate, tuning: JointTuning | None
) -> Weighed:
    rows = bag_rows(library.view)
    mixture = Mixture(members, gate, chained=all(member.explainer in EXACT for member in members))
    mean = mixture.weights(library.view, rows).double().mean(0).tolist()
    weights = {member.bag.name: weight for member, weight in zip(members, mean, strict=True)}
    return Weighed(mixture, weights, rows, mixture.logits(library.view, rows), tuning)
