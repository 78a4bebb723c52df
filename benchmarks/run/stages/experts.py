"""Tuned networks as methods, and their λ = 0 twins."""

from __future__ import annotations

from typing import Any

from benchmarks.methods.method import Method
from benchmarks.run.levels import OutOfFold, Trained
from benchmarks.run.stages.curves import Curves, Searched, tuning_curves
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.tabular import TabularSystem
from experts.expert import Expert
from experts.tuning.tuned import Tuned


class TunedNetwork(Recipe[TabularSystem]):
    """The chosen trial of a study, with the weights that it had."""

    def make(self, system: TabularSystem, method: Method) -> Expert:
        """The expert of this repetition."""
        return self._tuned(system, method).expert

    def trained(self, system: TabularSystem, method: Method) -> Trained | None:
        """Every trial of the study, at the place of its number; also those that halving stopped."""
        split, network = system.view.split, method.networks[0]
        validation, test = (system.trial_probabilities(network, rows) for rows in (split.validation, split.test))
        rows = self._tuned(system, method).trials
        stopped = [row["state"] == "PRUNED" for row in rows]
        return Trained(validation, test, stopped, [row["params"] for row in rows])

    def trial(self, system: TabularSystem, method: Method, number: int) -> Expert:
        """A trial of the study."""
        return system.trial_expert(method.networks[0], number)

    def out_of_fold(self, system: TabularSystem, method: Method, expert: Expert) -> OutOfFold | None:  # noqa: ARG002
        """The chosen trial, refitted."""
        return OutOfFold.of(system.view, system.bags(method.networks[0])[0], system.bag_folds)

    def entries(self, system: TabularSystem, method: Method) -> tuple[str, ...]:
        """The network's own."""
        return (system.network_entry(method.networks[0]),)

    def chosen(self, system: TabularSystem, method: Method) -> dict[str, Any]:
        """Parameters of the chosen trial."""
        tuned = self._tuned(system, method)
        return {**tuned.best_params, "best_trial": tuned.best_trial, "feasible": tuned.feasible}

    def curves(self, system: TabularSystem, method: Method) -> Curves:
        """Of the study."""
        return {} if system.repeat else tuning_curves(self._tuned(system, method))

    def trials(self, system: TabularSystem, method: Method) -> Searched | None:
        """Those of the study."""
        return self._tuned(system, method)

    @staticmethod
    def _tuned(system: TabularSystem, method: Method) -> Tuned:
        return system.tuned(*method.networks[0])


class Twin(TunedNetwork):
    """The chosen configuration trained again without its fairness terms."""

    def make(self, system: TabularSystem, method: Method) -> Expert:
        """λ = 0."""
        return system.twin(method.networks[0])

    def trained(self, system: TabularSystem, method: Method) -> Trained | None:  # noqa: ARG002
        """None: one training."""
        return None

    def trial(self, system: TabularSystem, method: Method, number: int) -> Expert:  # noqa: ARG002
        """None: one training."""
        raise self.without_trials(method, number)

    def out_of_fold(self, system: TabularSystem, method: Method, expert: Expert) -> OutOfFold | None:  # noqa: ARG002
        """None: a twin is there to be compared with its expert as it is."""
        return None

    def entries(self, system: TabularSystem, method: Method) -> tuple[str, ...]:
        """The study that chose the configuration, and the training without the terms."""
        return (*super().entries(system, method), f"method {method.id}")

    def chosen(self, system: TabularSystem, method: Method) -> dict[str, Any]:
        """The same without the weights of the fairness terms."""
        found = super().chosen(system, method)
        return {key: 0.0 if key.startswith("lambda_") else value for key, value in found.items()}

    def curves(self, system: TabularSystem, method: Method) -> Curves:  # noqa: ARG002
        """None: nothing was searched for."""
        return {}

    def trials(self, system: TabularSystem, method: Method) -> Searched | None:  # noqa: ARG002
        """None: nothing was searched for."""
        return None

    def role(self, method: Method, expert: Expert) -> str:
        """That of the expert it belongs to."""
        return method.role or expert.role


NETWORK, TWIN = TunedNetwork(), Twin()
