"""Baselines and own methods as methods of a job."""

from __future__ import annotations

from typing import Any

from benchmarks.methods.method import Method
from benchmarks.run.levels import OutOfFold, Trained
from benchmarks.run.stages.curves import Searched
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.tabular import TabularSystem
from experts.expert import Expert


class BaselineRecipe(Recipe[TabularSystem]):
    """A baseline or own method: the chosen trial itself, or its parameters with another seed."""

    def make(self, system: TabularSystem, method: Method) -> Expert:
        """The model of this repetition."""
        return system.baselines.of(method.id, system.repeat).expert

    def trained(self, system: TabularSystem, method: Method) -> Trained | None:
        """Every trial; None for a method that was fitted once."""
        return system.baselines.trained(method.id)

    def trial(self, system: TabularSystem, method: Method, number: int) -> Expert:
        """A trial of the first repetition."""
        return system.baselines.trial(method.id, number)

    def out_of_fold(self, system: TabularSystem, method: Method, expert: Expert) -> OutOfFold | None:  # noqa: ARG002
        """The chosen parameters, refitted.

        None for models of graphs, whose fits are too dear to make again, and for methods whose scores only encode
        decisions: there is nothing between two of their values that a threshold could use.
        """
        if method.edges or method.scores_decisions:
            return None
        fold = system.bag_folds
        return OutOfFold.of(system.view, system.baselines.bag(method.id, fold), fold)

    def chosen(self, system: TabularSystem, method: Method) -> dict[str, Any]:
        """Parameters of the chosen trial."""
        found = system.baselines.of(method.id, system.repeat)
        return {**found.params, "best_trial": found.best_trial, "feasible": found.feasible}

    def trials(self, system: TabularSystem, method: Method) -> Searched | None:
        """Its own, where it was tuned."""
        found = system.baselines.of(method.id, 0)
        return found if found.trials else None


BASELINE = BaselineRecipe()
