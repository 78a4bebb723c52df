"""The tabular half of a job in one repetition: tuned networks, gates on them, gate and experts fine-tuned together."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.cells.cell import Cell
from benchmarks.methods.baseline_methods import unread
from benchmarks.methods.method import FAMILIES, LIBRARY, TABULAR, Method, Network, network_name
from benchmarks.methods.registry import all_methods, pool_networks, recipe_of, tabular_methods
from benchmarks.plan.job import FLOOR, Job
from benchmarks.run.levels import Allowed, Explained, OutOfFold, Trained, Variant
from benchmarks.run.stages.baselines import Baselines
from benchmarks.run.stages.curves import Curves, trial_columns
from benchmarks.run.stages.library_stage import WEIGHED, LibraryStage, weighed_library
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.tuned_experts import TunedExperts
from benchmarks.run.telling.ledger import Ledger
from experts.bagging import Bag, HonestBag, bag_rows
from experts.evidence import collect_evidence
from experts.expert import Expert, Role
from experts.families.registry import PLAIN
from experts.tuning.tuned import Tuned, unordered
from foundation.files import write_json
from foundation.seeding import derive_seed
from gates.candidates import GateFit
from gates.fitting import fit_gate
from gates.gate import ProjectedGate
from metrics.procedural import procedural_points
from moe.finetune import FineTuning, fine_tune
from moe.mixture import Mixture
from moe.routing import Routed
from tasks.task import TaskView
from tasks.thinning import thinned_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from experts.tuning.shared import StudyServer
    from moe.decision import DecisionProblem

EXPLAINED_ROWS = 1500
"""Validation rows on which the end-to-end procedural score of a candidate gate is measured."""


class TabularSystem:
    """The experts of one seed and everything that is built on them, each part made once, when it is asked for."""

    def __init__(
        self, job: Job, view: TaskView, tuned: TunedExperts, baselines: Baselines, repeat: int, ledger: Ledger
    ) -> None:
        self.job, self.view, self.repeat, self.ledger = job, view, repeat, ledger.of_seed(repeat)
        self.seed, self.baselines = job.seed_of(repeat), baselines
        self._tuned = tuned
        self._gates: dict[tuple[str, str], GateFit] = {}
        self._outputs: dict[str, tuple[Tensor, Tensor | None, Tensor | None]] = {}
        self._libraries: dict[str, LibraryStage] = {}

    # -- what methods share -------------------------------------------------------------------------------------------

    def tuned(self, role: Role, family: str = PLAIN) -> Tuned:
        """A tuned expert of this seed."""
        return self._tuned.of(role, self.repeat, family)

    def twin(self, network: Network) -> Expert:
        """The same expert without its fairness terms."""
        role, family = network
        return self._tuned.twin(role, self.repeat, family)

    @property
    def server(self) -> StudyServer | None:
        """Where studies lie that several drivers work on; None: in the folder."""
        return self._tuned.server

    @property
    def bag_folds(self) -> Tensor:
        """[n] fold of each training and validation row, the same for all that is refitted in this repetition."""
        return self._tuned.bag_folds(self.repeat)

    def bags(self, network: Network) -> list[Bag]:
        """Configurations of a study on folds of training and validation rows, the chosen one first."""
        role, family = network
        return self._tuned.bags(role, self.repeat, family)

    def trial_probabilities(self, network: Network, rows: Tensor) -> Tensor:
        """[trials, r] probabilities by all trials of a study, nan by one that failed."""
        role, family = network
        return self._tuned.trial_probabilities(role, rows, family)

    def trial_expert(self, network: Network, number: int) -> Expert:
        """The model of a trial of a study."""
        role, family = network
        return self._tuned.trial_expert(role, number, family)

    @property
    def floor(self) -> float:
        """Validation utility that every fair choice must reach."""
        return self._tuned.floor()

    @property
    def unmitigated(self) -> float | None:
        """Validation gap fair_res@1 of the tuned utility expert, the same for every seed; None if not estimable.

        Nor is it where there is no utility expert, which methods that do not stand on it survive.
        """
        return self._tuned.of("utility", 0).best_metrics["fair_res@1"] if self._tuned.has(FLOOR) else None

    def pool_networks(self, pool: str) -> tuple[Network, ...]:
        """The tuned networks among the members of a pool."""
        return pool_networks(pool, self.job.graph_kinds, self.job.families)

    def pool(self, name: str) -> tuple[Expert, ...]:
        """The experts that a pool's gates mix, with the weights they had when they were chosen."""
        return tuple(self.tuned(role, family).expert for role, family in self.pool_networks(name))

    def logits_oof(self, pool: str = TABULAR) -> Tensor:
        """[n_train, m] what experts say about training rows that they have not seen: what gates learn from.

        Of the pool of families, it is what the bags of the same configurations say.
        """
        if pool == FAMILIES:
            oof = torch.stack([self.bags(network)[0].oof for network in self.pool_networks(pool)], 1)
            return oof[: len(self.view.split.train)]
        return torch.cat([self._tuned.logits_oof(family) for family in self._families(pool)], dim=1)

    def _families(self, pool: str) -> tuple[str, ...]:
        """Families among the members of a pool, in their order."""
        return tuple(dict.fromkeys(family for _, family in self.pool_networks(pool)))

    def library(self, gate: str) -> LibraryStage:
        """The bags of all families and roles, weighed by a gate on out-of-fold rows.

        A fair role that cannot be tuned on the task is no member: only decisions would have looked at it.
        """
        if gate not in self._libraries:
            networks = (n for n in self.pool_networks(LIBRARY) if n[0] == WEIGHED or self._tuned.has(n))
            bags = [bag for network in networks for bag in self.bags(network)]
            with self.ledger.clock(gate_entry(LIBRARY, gate)):
                self._libraries[gate] = weighed_library(
                    self.view,
                    bags,
                    self.bag_folds,
                    gate,
                    seed=derive_seed(self.seed, "gate", LIBRARY),
                    floor=self.floor,
                )
        return self._libraries[gate]

    def _expert_outputs(self, pool: str) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Logits of validation rows [n, m]; attributions of training and of validation rows [n, m, columns].

        The pool of families is weighed by how likely it makes labels: its reasons are not asked for.
        """
        if pool not in self._outputs:
            train, validation = self.view.split.train, self.view.split.validation
            experts = self.pool(pool)
            logits = torch.stack([e.logits(self.view, validation).detach() for e in experts], 1)
            if pool == FAMILIES:
                self._outputs[pool] = logits, None, None
                return self._outputs[pool]
            reasons = [torch.stack([e.attributions(self.view, r) for e in experts], 1) for r in (train, validation)]
            self._outputs[pool] = logits, reasons[0], reasons[1]
        return self._outputs[pool]

    def gate(self, kind: str, pool: str = TABULAR) -> GateFit:
        """Stage 2: a gate on the frozen experts of a pool, chosen on validation rows."""
        if (pool, kind) not in self._gates:
            logits_oof = self.logits_oof(pool)
            logits_validation, *reasons = self._expert_outputs(pool)
            with self.ledger.clock(gate_entry(pool, kind)):
                self._gates[pool, kind] = fit_gate(
                    self.view,
                    logits_oof,
                    kind,
                    seed=derive_seed(self.seed, "gate"),
                    utility_floor=self.floor,
                    logits_validation=logits_validation,
                    attributions_train=reasons[0],
                    attributions_validation=reasons[1],
                    families=[family for _, family in self.pool_networks(pool)] if pool == FAMILIES else (),
                    # mixtures with graph experts are explained by asking, too slow to do at every checkpoint
                    procedural=self._procedural if pool == TABULAR else None,
                )
        return self._gates[pool, kind]

    @cached_property
    def fine_tuning(self) -> FineTuning:
        """Stage 3: experts and gate together, kept only if the validation rows say so."""
        gate = self.gate("dense")
        with self.ledger.clock("fine-tune"):
            return fine_tune(
                self.view, Mixture(self.pool(TABULAR), gate.gate), seed=derive_seed(self.seed, "fine-tune"),
                utility_floor=self.floor, procedural=self.end_to_end,
            )  # fmt: skip

    def _procedural(self, gate: ProjectedGate) -> float:
        return self.end_to_end(Mixture(self.pool(TABULAR), gate))

    def end_to_end(self, expert: Expert) -> float:
        """fair_proc@1 of a whole model on validation rows."""
        rows = thinned_rows(self.view, self.view.split.validation, EXPLAINED_ROWS, self.seed, "end to end")
        evidence = collect_evidence(expert, self.view, rows)
        assert evidence.masked is not None and evidence.attributions is not None
        points = procedural_points(
            evidence.probability[None], evidence.masked[None], evidence.attributions[None], self.view.groups[rows],
            len(self.view.group_names), self.view.labels[rows],
        )  # fmt: skip
        return float(points["fair_proc@1"][0])

    def bag_entry(self, network: Network) -> str:
        """Ledger entry of a study's bags."""
        return f"bag {network_name(*network)}"

    def network_entry(self, network: Network) -> str:
        """Ledger entry of a tuned network in this repetition."""
        return f"{'repeat' if self.repeat else 'tune'} {network_name(*network)}"

    def pool_entries(self, pool: str) -> tuple[str, ...]:
        """Ledger entries of a pool's members and their out-of-fold outputs."""
        networks = self.pool_networks(pool)
        folds = (f"out of fold {family}" for family in self._families(pool))
        return (*map(self.network_entry, networks), *(map(self.bag_entry, networks) if pool == FAMILIES else folds))

    # -- methods: what scoring asks -----------------------------------------------------------------------------------

    def method(self, name: str) -> Expert:
        """The fitted model of a method."""
        with self.ledger.clock(f"method {name}"):
            method, recipe = self._known(name)
            return recipe.make(self, method)

    def _known(self, name: str) -> tuple[Method, Recipe[TabularSystem]]:
        """A method of this job with its recipe."""
        baseline = name in self.baselines.names
        if not baseline and (name not in all_methods() or all_methods()[name].text):
            raise ValueError(
                f"There is no method {name!r}; known are {', '.join((*tabular_methods(), *self.baselines.names))}."
            )
        method = all_methods().get(name) or unread(name)
        return method, recipe_of(method)

    def trained(self, method: str) -> Trained | None:
        """Probabilities of every trained configuration of a tuned method; None where there is only the chosen one."""
        if self.repeat:
            return None
        known, recipe = self._known(method)
        return recipe.trained(self, known)

    def trial(self, method: str, number: int) -> Expert:
        """The model of a trained configuration of a method, by its number."""
        known, recipe = self._known(method)
        return recipe.trial(self, known, number)

    def decided(self, method: str) -> DecisionProblem | None:
        """What a method's decision layer is fitted on; None for a method without one."""
        known, recipe = self._known(method)
        return recipe.decided(self, known)

    def members(self, method: str) -> list[Expert]:
        """The models that a method's decisions share out among, in the order of their shares."""
        known, recipe = self._known(method)
        return recipe.members(self, known)

    def out_of_fold(self, method: str, expert: Expert) -> OutOfFold | None:
        """A method's chosen configuration on folds of training and validation rows; None if it cannot be refitted.

        A model that is bagged itself has its own folds.
        """
        if isinstance(expert, HonestBag):
            return OutOfFold.of(self.view, expert.bag, expert.fold[bag_rows(self.view)], own=True)
        known, recipe = self._known(method)
        with self.ledger.clock(f"refit {method}"):
            return recipe.out_of_fold(self, known, expert)

    def ways(self, method: str, allowed: Sequence[Allowed], explained: Explained | None) -> list[Variant]:
        """A method's own ways to keep allowed gaps."""
        known, recipe = self._known(method)
        return recipe.ways(self, known, allowed, explained)

    def routed(self, method: str, expert: Expert) -> Routed | None:
        """What is told of how a method routes rows to experts."""
        known, recipe = self._known(method)
        return recipe.routed(self, known, expert)

    def parts_of(self, method: str) -> tuple[str, ...]:
        """Ledger entries that a method's model is made of."""
        known, recipe = self._known(method)
        return recipe.entries(self, known)

    def params(self, method: str) -> dict[str, Any]:
        """What was chosen, for the tracker's parameter table."""
        job = self.job
        known, recipe = self._known(method)
        shared = {
            "trials": job.trials, "batch": job.batch, "space": job.space, "epsilon": job.epsilon, "folds": job.folds,
            "suite_seed": job.suite_seed, **{f"budget.{k}": v for k, v in job.budget},
        }  # fmt: skip
        return shared | recipe.chosen(self, known)

    def curves(self, method: str) -> Curves:
        """Curves by stage: metric name → (step, value); trials are steps of the tuning stage."""
        known, recipe = self._known(method)
        return recipe.curves(self, known)

    def role(self, method: str, expert: Expert) -> str:
        """The role under which a method is listed: a twin's is that of the expert it belongs to."""
        known, recipe = self._known(method)
        return recipe.role(known, expert)

    def prepare(self, experts: dict[str, Expert], rows: Tensor) -> None:
        """Nothing: tabular models answer at once."""

    def cost(self, method: str, expert: Expert) -> dict[str, Any]:  # noqa: ARG002
        """Nothing that only text experts cost; whether its studies had one driver."""
        return {"adapter_kib": math.nan, "tokens_per_s": math.nan, "order": unordered(self.drivers(method))}

    def drivers(self, method: str) -> int:
        """The most drivers that asked for the trials of a study that a method stands on."""
        return self._tuned.drivers(self.job.studies_of([method]))

    def extras(self, cell: Cell, folder: Path, method: str, expert: Expert) -> None:
        """The trials of a tuned method as a table, in the repetition that was tuned; what its recipe keeps."""
        known, recipe = self._known(method)
        with cell.extra("trials", folder / "trials.json"):
            trials = None if self.repeat else recipe.trials(self, known)
            if trials is not None:
                write_json(folder / "trials.json", trial_columns(trials))
        with cell.extra("model", folder / "model"):
            recipe.keep(self, known, expert, cell, folder)


def gate_entry(pool: str, kind: str) -> str:
    """Ledger entry of a gate."""
    return f"gate {kind}" if pool == TABULAR else f"gate {pool} {kind}"
