"""Mixtures of a pool's experts as methods: frozen members under one gate, and the mixture after joint fine-tuning."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells.cell import Cell
from benchmarks.methods.method import FAMILIES, Method
from benchmarks.run.levels import Trained
from benchmarks.run.stages.curves import Curves, best_per_step, tuning_curves
from benchmarks.run.stages.origin import origin_of
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.tabular import TabularSystem, gate_entry
from benchmarks.saving import save_model
from experts.expert import Expert
from experts.tuning.trials import UnknownTrialError
from moe.library import EXACT
from moe.mixture import Mixture


class Gated(Recipe[TabularSystem]):
    """Frozen experts of a pool, weighed by one gate."""

    def make(self, system: TabularSystem, method: Method) -> Expert:
        """The members and the chosen gate."""
        experts, gate = system.pool(method.pool), system.gate(method.gate, method.pool).gate
        chained = method.pool == FAMILIES and all(expert.explainer in EXACT for expert in experts)
        return Mixture(experts, gate, chained=chained)

    def trained(self, system: TabularSystem, method: Method) -> Trained | None:
        """Every gate that was trained to the end; None for one that was fitted once."""
        gates = system.gate(method.gate, method.pool).finalists
        if not gates:
            return None
        view, split = system.view, system.view.split
        mixtures = [Mixture(system.pool(method.pool), gate) for gate in gates]
        validation, test = (
            torch.stack([torch.sigmoid(m.logits(view, rows)) for m in mixtures])
            for rows in (split.validation, split.test)
        )
        return Trained(validation, test)

    def trial(self, system: TabularSystem, method: Method, number: int) -> Expert:
        """The members under a gate that was trained to the end."""
        gates = system.gate(method.gate, method.pool).finalists
        if not 0 <= number < len(gates):
            raise UnknownTrialError(f"{method.id} has no trial {number}: it trained {len(gates)} gates to the end.")
        return Mixture(system.pool(method.pool), gates[number])

    def entries(self, system: TabularSystem, method: Method) -> tuple[str, ...]:
        """Members, their out-of-fold outputs, the gate."""
        return (*system.pool_entries(method.pool), gate_entry(method.pool, method.gate))

    def chosen(self, system: TabularSystem, method: Method) -> dict[str, Any]:
        """The gate's configuration."""
        config = system.gate(method.gate, method.pool).config
        return {} if config is None else {f"gate.{k}": v for k, v in asdict(config).items()}

    def curves(self, system: TabularSystem, method: Method) -> Curves:
        """Of the gate's training."""
        return best_per_step("gate", system.gate(method.gate, method.pool).history)


class FineTuned(Gated):
    """Experts and gate after joint fine-tuning, kept only if the validation rows say so."""

    def make(self, system: TabularSystem, method: Method) -> Expert:  # noqa: ARG002
        """The whole system."""
        return system.fine_tuning.mixture

    def entries(self, system: TabularSystem, method: Method) -> tuple[str, ...]:
        """Those of the gate that it starts from, and its own."""
        return (*super().entries(system, method), "fine-tune")

    def chosen(self, system: TabularSystem, method: Method) -> dict[str, Any]:  # noqa: ARG002
        """Whether fine-tuning was kept."""
        return {"fine_tuning_kept": system.fine_tuning.kept}

    def curves(self, system: TabularSystem, method: Method) -> Curves:
        """All stages: tuning, gate, fine-tuning."""
        curves: Curves = {}
        for network in () if system.repeat else system.pool_networks(method.pool):
            curves |= tuning_curves(system.tuned(*network))
        return curves | super().curves(system, method) | best_per_step("finetune", system.fine_tuning.history)

    def keep(self, system: TabularSystem, method: Method, expert: Expert, cell: Cell, folder: Path) -> None:
        """The fitted mixture with what it takes to serve it."""
        if system.repeat == 0:  # one model to serve, not one per seed
            save_model(expert, system.view, folder / "model", method=method.id, origin=origin_of(system.job, cell))


GATED, FINE_TUNED = Gated(), FineTuned()
