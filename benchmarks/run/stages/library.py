"""The mixture of a library: bagged configurations of all families, adaptive weights, a decision layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.methods.method import Method, Network
from benchmarks.run.levels import Allowed, Explained, OutOfFold, Variant, bounded_gaps
from benchmarks.run.levels.choice import Choice
from benchmarks.run.levels.part import Part
from benchmarks.run.stages.bounded_decisions import bounded_variant, reasons_at_own_cut
from benchmarks.run.stages.curves import Curves, tuning_curves
from benchmarks.run.stages.library_stage import WEIGHED, LibraryStage
from benchmarks.run.stages.origin import origin_of
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.tabular import TabularSystem
from benchmarks.saving import save_model
from experts.bagging import HonestBag
from experts.expert import Expert
from foundation.seeding import derive_seed
from metrics.thresholds import Thresholds
from moe.decision import Decision, DecisionProblem, Demand, fit_decisions
from moe.routing import Routed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from benchmarks.cells.cell import Cell


KAPPA = 1.0
"""Margin of the decision layer in the table of levels: that of the variant "oof", so that the layer is what differs."""


TREES: Network = ("utility", "gbdt")
"""Whose reasons bounds are shares of."""


class LibraryMixture(Recipe[TabularSystem]):
    """Members, weights and decisions; all are chosen on out-of-fold rows."""

    def make(self, system: TabularSystem, method: Method) -> Expert:
        """The members that have a weight, and the weights."""
        return system.library(method.gate).mixture

    def out_of_fold(self, system: TabularSystem, method: Method, expert: Expert) -> OutOfFold | None:  # noqa: ARG002
        """Nothing is refitted: every member has been fitted on folds."""
        return system.library(method.gate).out_of_fold

    def decided(self, system: TabularSystem, method: Method) -> DecisionProblem:
        """Of all members, without a bound on reasons."""
        return system.library(method.gate).problem(derive_seed(system.seed, "decision"))

    def members(self, system: TabularSystem, method: Method) -> list[Expert]:
        """Those of the decision problem, then those that only decisions with a bound on reasons look at."""
        stage, networks = system.library(method.gate), system.pool_networks(method.pool)
        others = self._others(system, stage, networks) if TREES in networks else []
        return [stage.mixture, *stage.fair, *others]

    @staticmethod
    def _others(system: TabularSystem, stage: LibraryStage, networks: Sequence[Network]) -> list[HonestBag]:
        """Members that may have simpler reasons than the mixture, though they are not fair ones."""
        return [
            HonestBag.of(system.view, system.bags(network)[0], stage.fold)
            for network in networks
            if network[0] == WEIGHED and network != TREES
        ]

    def ways(
        self, system: TabularSystem, method: Method, allowed: Sequence[Allowed], explained: Explained | None
    ) -> list[Variant]:
        """The decision layer, for every allowed gap at once; then with reasons bounded."""
        stage, view = system.library(method.gate), system.view
        problem = self.decided(system, method)
        seen, test = view.groups[stage.weighed.rows], view.groups[view.split.test]
        with system.ledger.clock("decision"):
            members = stage.member_margins(view.split.test)
            found = fit_decisions(problem, [Demand(a.gap, a.limit, KAPPA) for a in allowed])
            decided = [None if one is None else _choice(one, (problem.members, seen), (members, test)) for one in found]
        part = Part(problem.labels, problem.groups, problem.n_groups)
        ways = [Variant("decision", part, dict(zip(allowed, decided, strict=True)))]
        return ways if explained is None else ways + self._bounded(system, method, explained)

    def _bounded(self, system: TabularSystem, method: Method, explained: Explained) -> list[Variant]:
        """Decisions under shares of the tuned boosted trees' own values; none where a job has no such trees."""
        networks = system.pool_networks(method.pool)
        if TREES not in networks:
            return []
        stage, view = system.library(method.gate), system.view
        with system.ledger.clock("decision under bounds"):
            trees = reasons_at_own_cut(system.tuned(*TREES).expert, view, explained.validation.explained)
            others = self._others(system, stage, networks)
            seed = derive_seed(system.seed, "decision")
            return [bounded_variant(stage, others, explained, bounded_gaps(trees), seed)]

    def routed(self, system: TabularSystem, method: Method, expert: Expert) -> Routed | None:  # noqa: ARG002
        """Its families, each with the weights of all its members."""
        return system.library(method.gate).by_family

    def entries(self, system: TabularSystem, method: Method) -> tuple[str, ...]:
        """Studies, bags, weights."""
        networks = system.pool_networks(method.pool)
        bags = (system.bag_entry(network) for network in networks)
        return (*map(system.network_entry, networks), *bags, f"gate library {method.gate}")

    def chosen(self, system: TabularSystem, method: Method) -> dict[str, Any]:
        """Weights of the members."""
        weighed = system.library(method.gate).weighed
        tuned = {} if weighed.joint is None else {"joint_tuning_kept": weighed.joint.kept}
        gate = {"library_gate": weighed.mixture.gate.name}
        return {**{f"weight.{name}": weight for name, weight in weighed.weights.items()}, **gate, **tuned}

    def curves(self, system: TabularSystem, method: Method) -> Curves:
        """Of the studies."""
        curves: Curves = {}
        for network in () if system.repeat else system.pool_networks(method.pool):
            if network[0] == WEIGHED:  # fair roles may be missing on a task
                curves |= tuning_curves(system.tuned(*network))
        return curves

    def keep(self, system: TabularSystem, method: Method, expert: Expert, cell: Cell, folder: Path) -> None:
        """The fitted mixture with what it takes to serve it: of the first split, since a bag has many models."""
        if system.repeat == 0 and system.job.split == 0:
            save_model(expert, system.view, folder / "model", method=method.id, origin=origin_of(system.job, cell))


def _choice(one: Decision, seen: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Choice:
    """A decision on the margins and groups of the rows that chose, and of test rows."""
    assert isinstance(one.rule, Thresholds)  # the mode is "aware"
    return Choice(one.apply(*seen), one.apply(*test), one.rule, shares=one.shares)


LIBRARY_MIXTURE = LibraryMixture()
