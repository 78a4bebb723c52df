"""The one way to fit a gate, whatever its kind: stored outputs of frozen experts in, the chosen gate out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from gates.candidates import GateFit
from gates.gate import ProjectedGate
from gates.problem import ExpertOutputs, GateProblem, explained_rows
from gates.registry import gate_definition
from gates.settings import DEFAULT_CONFIGS, GateBudget, GateConfig
from tasks.task import TaskView


def fit_gate(
    view: TaskView,
    logits_oof: Tensor,
    name: str,
    configs: Sequence[GateConfig] = DEFAULT_CONFIGS,
    *,
    seed: int,
    utility_floor: float,
    logits_validation: Tensor,
    attributions_train: Tensor | None = None,
    attributions_validation: Tensor | None = None,
    procedural: Callable[[ProjectedGate], float] | None = None,
    budget: GateBudget | None = None,
    hide_sensitive: bool = False,
    families: Sequence[str] = (),
) -> GateFit:
    """Fit a gate and choose among configurations, checkpoints or weights on validation rows.

    Parameters
    ----------
    view : TaskView
    logits_oof : [n_train, m]
        Out-of-fold logits of the experts on the training rows, in the order of ``view.split.train``.
    name : str
        Of the gate, such as "dense"; see :func:`gates.registry.gate_names`.
    configs : sequence of GateConfig
        Trained at once as lanes; ignored by gates that are not trained.
    seed : int
    utility_floor : float
        Validation utility that a winner must reach; see :func:`gates.selection.choose`.
    logits_validation : [n_validation, m]
        Logits of the final experts on ``view.split.validation``.
    attributions_train, attributions_validation : [rows, m, columns], optional
        The experts' attributions. Those of training rows are needed when a configuration has
        ``lambda_attention`` > 0; those of validation rows let the rule see the ATT_JSD of each candidate.
    procedural : callable, optional
        A costlier procedural score of a gate on validation rows. Where given, it decides among the best
        checkpoint of each configuration in place of the chained ATT_JSD.
    budget : GateBudget, optional
    hide_sensitive : bool
        Hide the sensitive columns from the gate when they are features (a group-blind gate).
    families : sequence of m str, optional
        Family of each expert, for gates that weigh families; default: each is a family of its own.

    Raises
    ------
    ValueError
        On shapes that contradict the view, an unknown gate, or ``lambda_attention`` > 0 without attributions.
    """
    split = view.split
    validation = ExpertOutputs.of(view, split.validation, logits_validation, attributions_validation, "validation")
    problem = GateProblem(
        view=view,
        train=ExpertOutputs.of(view, split.train, logits_oof, attributions_train, "training"),
        validation=validation,
        seed=seed,
        floor=utility_floor,
        procedural=procedural,
        hide_sensitive=hide_sensitive,
        configs=configs,
        budget=budget or GateBudget(),
        explained=explained_rows(validation, seed),
        families=tuple(families),
    )
    return gate_definition(name).fit(problem)
