"""What makes a baseline a method: its model, its search space, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from experts.expert import Expert
    from tasks.task import TaskView

Params = Mapping[str, Any]
"""Values of the search space's parameters."""


def no_space() -> Mapping[str, BaseDistribution]:
    """The search space of a method without hyperparameters: it is fitted once."""
    return {}


@dataclass(frozen=True)
class Baseline:
    """One method that people would pick instead; each file of ``benchmarks/methods/baselines/`` defines one as
    ``METHOD``.

    Attributes
    ----------
    label : str
        Name on the pages, such as "LightGBM".
    about : str
        One line of plain words for the legend, without a full stop.
    family : str
        What the model is: "linear", "gbdt", "reduction", "postprocessing", "adversarial", "gcn", …
    reference : str
        Where the method comes from: authors, title, venue, year.
    fit : callable
        (view, params, seed) → fitted expert. Fitted on training rows; may look at validation rows for stopping and
        the choice of a checkpoint; never sees a label of a test row (they are hidden in the view).
    space : callable
        () → Optuna distributions by parameter name; called when the method is tuned, so that optuna is not imported
        before. The same number of trials as a role of the experts is drawn from it and validation rows choose.
    fair : bool
        True: a fairness method, tuned like the fair roles (smallest ``fair_res@1`` whose utility reaches the floor).
        False: tuned for ``utility@1``.
    graph : bool
        Whether it needs the edges of the task.
    sensitive_at_prediction : bool
        Whether it must know the group of a row in order to decide about it.
    scores_decisions : bool
        Whether its scores only encode decisions (shares of votes, odds of a randomised threshold), so that the AUC in
        its utility is not that of a score.
    published : callable or None
        (name of the data set) → parameters of the method's paper, used instead of tuning where a suite says
        ``settings = "published"``; None: the method is tuned there too.
    kind : str
        A key of :data:`reports.names.KINDS`: "baseline", or "own" for a method of the user's own.
    colour : str
        Of its mark: blue, sky, green, orange, vermillion, purple, ink or grey.
    explainer : str
        How its reasons are found: "integrated_gradients", "shapley_sampling" or "occlusion"; both words where its
        parameters decide.
    seconds : (float, float)
        What a trial takes on one core: fixed, and per 10,000 training rows.
    once : bool
        Whether it is fitted once, whatever the number of trials: it has no ``space``, and chooses by itself.
    secondary : bool
        Whether it is there to explain others, so that long tables fold it.
    landmark : bool
        Whether diagrams that show the best few show it wherever it stands.
    levels : tuple of (str, str)
        (side, variant): where it stands in the comparison at fairness levels, as "rival" that a mixture has to beat or
        as "reference" that utilities are measured from, "plain" or with "thresholds".
    compared : tuple of (str, str)
        (block, other method): differences that are told, this one minus the other.
    resources : mapping
        What a node of a cluster must have free for it, beyond one core: see
        :func:`benchmarks.methods.method.needs_of`.
    place : int
        Order on the pages, small first; equal ones by name. New methods stand last.
    """

    label: str
    about: str
    family: str
    reference: str
    fit: Callable[[TaskView, Params, int], Expert]
    space: Callable[[], Mapping[str, BaseDistribution]] = no_space
    fair: bool = False
    graph: bool = False
    sensitive_at_prediction: bool = False
    scores_decisions: bool = False
    published: Callable[[str], Params] | None = None
    kind: str = "baseline"
    colour: str = "ink"
    explainer: str = "shapley_sampling"
    seconds: tuple[float, float] = (1.0, 1.0)
    once: bool = False
    secondary: bool = False
    landmark: bool = False
    levels: tuple[tuple[str, str], ...] = ()
    compared: tuple[tuple[str, str], ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    place: int = 1000
