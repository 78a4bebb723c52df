"""What makes a baseline a method: its model, its search space, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    published : callable or None
        (name of the data set) → parameters of the method's paper, used instead of tuning where a suite says
        ``settings = "published"``; None: the method is tuned there too.
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
    published: Callable[[str], Params] | None = None
