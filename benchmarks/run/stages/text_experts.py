"""Tuned adapters as methods, their λ = 0 twins, and the base alone."""

from __future__ import annotations

from typing import Any

from benchmarks.methods.method import Method
from benchmarks.run.stages.curves import Curves, Searched, tuning_curves
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.text import TextSystem
from experts.expert import Expert, Role
from llm_experts.training.tuning import TunedAdapter
from llm_experts.training.twin import twin


class Adapter(Recipe[TextSystem]):
    """The chosen adapter of a role."""

    def make(self, system: TextSystem, method: Method) -> Expert:
        """The expert with the weights that it had when it was chosen."""
        return self._tuned(system, method).expert

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:
        """The study's."""
        return (f"tune text {self._role(method)} {method.adapter or system.settings.kind}",)

    def chosen(self, system: TextSystem, method: Method) -> dict[str, Any]:
        """Parameters of the chosen trial, and the kind of adapter."""
        tuned = self._tuned(system, method)
        return {
            **tuned.best_params, "kind": tuned.kind, "best_trial": tuned.best_trial, "feasible": tuned.feasible,
        }  # fmt: skip

    def curves(self, system: TextSystem, method: Method) -> Curves:
        """Of the study."""
        return tuning_curves(self._tuned(system, method))

    def trials(self, system: TextSystem, method: Method) -> Searched | None:
        """Those of the study."""
        return self._tuned(system, method)

    @staticmethod
    def _role(method: Method) -> Role:
        return method.role or "utility"

    def _tuned(self, system: TextSystem, method: Method) -> TunedAdapter:
        return system.tuned(self._role(method), method.adapter or None)


class Twin(Adapter):
    """The chosen configuration trained again without its fairness terms."""

    def make(self, system: TextSystem, method: Method) -> Expert:
        """λ = 0."""
        return twin(system.texts(system.settings.kind), self._tuned(system, method))

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:
        """The study that chose the configuration, and the training without the terms."""
        return (*super().entries(system, method), f"method {method.id}")

    def chosen(self, system: TextSystem, method: Method) -> dict[str, Any]:
        """The same without the weights of the fairness terms."""
        found = super().chosen(system, method)
        return {key: 0.0 if key.startswith("lambda_") else value for key, value in found.items()}

    def curves(self, system: TextSystem, method: Method) -> Curves:  # noqa: ARG002
        """None: nothing was searched for."""
        return {}

    def trials(self, system: TextSystem, method: Method) -> Searched | None:  # noqa: ARG002
        """None: nothing was searched for."""
        return None

    def role(self, method: Method, expert: Expert) -> str:
        """That of the expert it belongs to."""
        return method.role or expert.role


class OtherKind(Adapter):
    """A utility adapter of another kind than the three roles: it stands beside them, as a baseline."""

    def role(self, method: Method, expert: Expert) -> str:  # noqa: ARG002
        """A baseline."""
        return "baseline"


class BaseAlone(Recipe[TextSystem]):
    """The base without an adapter, calibrated."""

    def make(self, system: TextSystem, method: Method) -> Expert:  # noqa: ARG002
        """The base as an expert."""
        return system.asked_base

    def role(self, method: Method, expert: Expert) -> str:  # noqa: ARG002
        """A baseline."""
        return "baseline"


ADAPTER, TWIN, KIND, BASE = Adapter(), Twin(), OtherKind(), BaseAlone()
