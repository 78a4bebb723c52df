"""What a step is given: settings, the base, results of earlier steps, its folder, and how to say how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.discovering.deadline import Deadline
from benchmarks.discovering.settings import DiscoverySettings

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.discovery.measuring.domain import Domain

LAST = 2
"""Layers that are adapted where none are named: what is below them is read once, and not again every step."""
Progress = Callable[[int, int], None]
"""``progress(done, total)`` of the step that runs."""


class BaseOnDemand:
    """The base of a discovery, loaded when the first step needs it: a run that is done already needs none."""

    def __init__(self, load: Callable[[], Base], matrices: bool = False) -> None:
        self._load, self._matrices = load, matrices

    @cached_property
    def loaded(self) -> Base:
        """The base as it was loaded, with codes where it has them."""
        return self._load()

    @cached_property
    def base(self) -> Base:
        """The base; where matrices are needed, codes are the float32 matrices that they stand for.

        Hash and quantisation stay those of the codes: an adapter acts on both alike, as step 1 measures, and is put on
        the codes by who uses it.
        """
        from llm_experts.bases.dequantised import dequantised
        from llm_experts.bases.quantised import holds_codes

        found = self.loaded
        if not self._matrices or not holds_codes(found.model):
            return found
        return replace(dequantised(found), hash=found.hash, quantisation=found.quantisation)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step may look at.

    Attributes
    ----------
    root, folder : Path
        Of the discovery, and of the step.
    settings : DiscoverySettings
        With the sizes that a budget of time has left.
    on_demand : BaseOnDemand
    results : mapping of step name to result
        Of all earlier steps.
    deadline : Deadline
    progress : callable
    notes : list of str
        What people are told when the step is done.
    """

    root: Path
    folder: Path
    settings: DiscoverySettings
    on_demand: BaseOnDemand
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deadline: Deadline = field(default_factory=Deadline)
    progress: Progress = lambda *_: None
    notes: list[str] = field(default_factory=list)

    @property
    def base(self) -> Base:
        """The base, loaded now if it was not."""
        return self.on_demand.base

    @property
    def start(self) -> int:
        """First layer that adapters change: as was asked, else the last two of a base that has four or more."""
        if self.settings.start is not None:
            return self.settings.start
        layers = int(self.base.n_layers)
        return layers - LAST if layers >= 2 * LAST else 0

    @cached_property
    def domains(self) -> Sequence[Domain]:
        """The domains of this discovery, in order."""
        return domains_of(self.settings)

    def told(self, done: int, total: int, *_: object) -> None:
        """So much of the step is done; a place between units of work, where a budget may end it.

        Raises
        ------
        BudgetEndedError
            If the time is over.
        """
        self.progress(done, total)
        self.deadline.check()

    def domain(self, name: str) -> Domain:
        """The domain of a name."""
        return next(domain for domain in self.domains if domain.name == name)


def domains_of(settings: DiscoverySettings) -> Sequence[Domain]:
    """The domains that settings name, or the default ones."""
    from llm_experts.discovery.measuring.domains import DEFAULT_DOMAINS, domains_named

    return domains_named(*settings.domains) if settings.domains else DEFAULT_DOMAINS
