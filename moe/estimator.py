"""The whole system as a scikit-learn classifier: three experts, a gate, joint fine-tuning."""

# scikit-learn is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from experts.classifier import NOT_NEGATIVE, LaneClassifier
from experts.expert import ROLES, Role
from experts.networks.mlp import MLPExpert
from experts.tuning.out_of_fold import Recipe, out_of_fold_logits
from foundation.seeding import derive_seed
from gates.dense import DenseGate
from gates.fitting import fit_gate
from gates.gate import ComposingGate, GateState
from gates.mixing import gate_margin
from gates.shrunk_dense import ShrunkDenseGate
from gates.uniform import UniformGate
from moe.finetune import fine_tune
from moe.mixture import Mixture
from moe.projection import NetworkProjection
from tasks.task import TaskView


class FairMixtureClassifier(LaneClassifier):
    """A mixture of a utility, a result-fair and a procedurally fair network, weighted row by row by a gate.

    The experts are trained on the training rows, the gate on their out-of-fold outputs, and both are fine-tuned
    together if that helps on the validation rows. Fair choices give up at most ``epsilon`` of the utility expert's
    validation utility. Without groups the classifier is its utility expert, and says so.

    Parameters
    ----------
    gate : {"dense", "topk", "shrunk_dense", "adaptive", "greedy", "simplex", "static_simplex", "family_means", \
            "stacking", "best_single", "uniform"}
        See :mod:`gates`.
    fine_tune : bool
        Train experts and gate together in the end; not with stacking, which does not mix probabilities.
    folds : int
        Folds of the out-of-fold outputs.
    lambda_rep, lambda_fair : float
        Weights of the result-fair expert.
    lambda_attention, lambda_adv : float
        Weights of the procedurally fair expert.
    epsilon : float
        Validation utility that fairness may cost.
    lr, weight_decay, steps, patience, hidden, dropout, validation_fraction, random_state
        As for :class:`experts.estimator.UtilityClassifier`.

    Attributes
    ----------
    mixture_ : Mixture
    fine_tuned_ : bool
        Whether joint fine-tuning was kept.
    """

    _role: ClassVar[Role] = "combined"  # a fair classifier: it warns when it gets no groups
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LaneClassifier._parameter_constraints,
        **LaneClassifier._fair_constraints,
        "gate": [str],
        "fine_tune": ["boolean"],
        "folds": [Interval(Integral, 2, None, closed="left")],
        **{name: [NOT_NEGATIVE] for name in ("lambda_rep", "lambda_fair", "lambda_attention", "lambda_adv")},
    }

    def __init__(
        self,
        *,
        gate: str = "dense",
        fine_tune: bool = True,
        folds: int = 5,
        lambda_rep: float = 0.1,
        lambda_fair: float = 1.0,
        lambda_attention: float = 1.0,
        lambda_adv: float = 0.1,
        epsilon: float = 0.02,
        lr: float = 0.01,
        weight_decay: float = 1e-5,
        steps: int = 1000,
        patience: int = 5,
        hidden: int = 16,
        dropout: float = 0.3,
        validation_fraction: float = 0.25,
        random_state: Any = 0,
    ) -> None:
        self.gate = gate
        self.fine_tune = fine_tune
        self.folds = folds
        self.lambda_rep = lambda_rep
        self.lambda_fair = lambda_fair
        self.lambda_attention = lambda_attention
        self.lambda_adv = lambda_adv
        self.epsilon = epsilon
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.patience = patience
        self.hidden = hidden
        self.dropout = dropout
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _fit_view(self, view: TaskView, seed: int) -> None:
        self.mixture_, self.n_iter_, self.fine_tuned_ = self._system(view, seed)

    def _margins(self, features: Tensor) -> Tensor:
        """[n] logits of the mixed probability of class 1."""
        networks = [NetworkProjection(expert.parameters.double()) for expert in self._networks()]
        logits = torch.stack([network.margin_of(network.project(features)) for network in networks], -1)
        gate = self.mixture_.gate
        gate = gate.to(torch.float64) if isinstance(gate, DenseGate | ShrunkDenseGate) else gate
        return gate_margin(gate, gate.weights(GateState(features, logits)), logits)

    def _networks(self) -> list[MLPExpert]:
        return [expert for expert in self.mixture_.experts if isinstance(expert, MLPExpert)]

    def _system(self, view: TaskView, seed: int) -> tuple[Mixture, int, bool]:
        """The fitted mixture, the most optimiser steps of an expert, and whether fine-tuning was kept."""
        recipes, experts, floor = self._experts(view, seed)
        steps = max(recipe.steps for recipe in recipes)
        if not self.fairness_active_:
            return Mixture(tuple(experts), UniformGate(1)), steps, False
        train, validation = view.split.train, view.split.validation
        fit = fit_gate(
            view,
            out_of_fold_logits(
                view, recipes, budget=self._budget(), seed=derive_seed(seed, "folds"), folds=min(self.folds, len(train))
            ),
            self.gate,
            seed=derive_seed(seed, "gate"),
            utility_floor=floor,
            logits_validation=torch.stack([e.logits(view, validation) for e in experts], 1),
            attributions_train=torch.stack([e.attributions(view, train) for e in experts], 1),
            attributions_validation=torch.stack([e.attributions(view, validation) for e in experts], 1),
        )
        mixture = Mixture(tuple(experts), fit.gate)
        if not self.fine_tune or isinstance(fit.gate, ComposingGate):
            return mixture, steps, False
        tuned = fine_tune(view, mixture, seed=derive_seed(seed, "fine-tune"), utility_floor=floor)
        return tuned.mixture, steps, tuned.kept

    def _experts(self, view: TaskView, seed: int) -> tuple[list[Recipe], list[MLPExpert], float]:
        """Recipes and networks of the roles, and the utility floor; the utility role alone without groups."""
        recipes: list[Recipe] = []
        experts: list[MLPExpert] = []
        floor = -np.inf
        for role in ROLES if self.fairness_active_ else ROLES[:1]:
            lane, result = self._lane(view, role, seed, None if role == "utility" else floor)
            recipes.append(Recipe(role, lane, result.step[0]))
            experts.append(MLPExpert.of_lane(view, role, result.parameters))
            floor = result.metrics[0]["utility@1"] - self.epsilon if role == "utility" else floor
        return recipes, experts, floor
