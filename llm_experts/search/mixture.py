"""What a search needs from a family of mixtures: margins of rows for given weights, and nothing about how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from llm_experts.search.settings import SearchError


class Outputs(NamedTuple):
    """What P mixtures do on the rows: ``margins`` [P, n], ``moved`` [P, n, g] or None, ``latency`` [P] or None."""

    margins: Tensor
    moved: Tensor | None = None
    latency: Tensor | None = None


class MixtureModel(Protocol):
    """Mixtures of K experts on fixed rows: adapters, SVF vectors or stored predictions."""

    @property
    def names(self) -> tuple[str, ...]:
        """The K experts."""
        ...

    @property
    def hash(self) -> str:
        """Identity of base, experts and rows: what stored evaluations are bound to."""
        ...

    def margins(self, alphas: Tensor) -> Tensor:
        """[P, n] margins of class 1 of P mixtures [P, K] (float64) on the n rows; α = 0 is the base."""
        ...


@runtime_checkable
class MovableMixture(Protocol):
    """A mixture model that also knows its rows moved to other groups (counterfactual gaps)."""

    def moved(self, alphas: Tensor) -> Tensor:
        """[P, n, g] margins with every row moved to each of g groups."""
        ...


@runtime_checkable
class TimedMixture(Protocol):
    """A mixture model with a cost model: deterministic in α, calibrated by measurement before the search."""

    def latency_ms(self, alphas: Tensor) -> Tensor:
        """[P] milliseconds."""
        ...


@dataclass(frozen=True)
class SearchRows:
    """Labels and groups of the rows that a mixture model speaks of.

    Attributes
    ----------
    labels, groups : [n] int64
    group_names : tuple of str
    """

    labels: Tensor
    groups: Tensor
    group_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.labels.shape != self.groups.shape or self.labels.ndim != 1 or not len(self.labels):
            raise SearchError(
                f"Labels and groups of the search rows have shapes {tuple(self.labels.shape)} and "
                f"{tuple(self.groups.shape)}; pass one entry per row to both, and at least one row."
            )

    def __len__(self) -> int:
        return len(self.labels)
