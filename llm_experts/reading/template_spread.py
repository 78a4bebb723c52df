"""Spread over templates: how much an expert's fixed metrics depend on the words around the values.

An adapter is trained on one way to write a row. The same rows in the other templates say the same; what its metrics
change by is the sensitivity to wording that a single number hides.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.reading.expert import LLMExpert, answer
from llm_experts.reading.margin_memory import MarginMemory
from llm_experts.reading.reader import Reader
from metrics.points import point_values
from tasks.task import HIDDEN, TaskView
from tasks.templates import TEMPLATES

OUTCOMES = ("acc@1", "f1@1", "auc@1", "utility@1", "dp@1", "eopp@1", "fair_res@1")
"""Metrics of predictions alone, without reasons."""


@dataclass(frozen=True)
class TemplateSpread:
    """One metric of one expert under all templates.

    Attributes
    ----------
    metric : str
        Versioned id.
    estimates : dict of template -> float
        nan where not estimable.
    spread : float
        Largest minus smallest estimate; nan unless all are estimable.
    trained : str
        The template that the expert was trained and calibrated on.
    """

    metric: str
    estimates: dict[str, float]
    spread: float
    trained: str


def template_spread(
    experts: Sequence[LLMExpert], view: TaskView, rows: Tensor, *, templates: Sequence[str] = TEMPLATES
) -> list[list[TemplateSpread]]:
    """For each expert what its predictions tell, under each template: one reading per row and template.

    Weights, temperature and bias stay as they are: the question is what the wording alone does.

    Parameters
    ----------
    experts : sequence of LLMExpert
        Of one reader.
    view : TaskView
    rows : [r] int64
        Validation rows; their labels must be known.
    templates : sequence of str

    Raises
    ------
    ValueError
        If a label is hidden.
    """
    if bool((view.labels[rows] == HIDDEN).any()):
        raise ValueError(f"Task {view.name}: some of the rows have a hidden label; pass validation rows.")
    groups = (view.labels[rows], view.groups[rows], len(view.group_names))
    found: list[dict[str, Tensor]] = []
    for template in templates:
        others = reworded_all(experts, template)
        answer(others, view, rows)
        margins = torch.stack([other.logits(view, rows) for other in others])
        found.append(point_values(torch.sigmoid(margins), *groups, metrics=OUTCOMES))
    return [
        [
            _row(metric, {t: float(f[metric][k]) for t, f in zip(templates, found, strict=True)}, e.reader.template)
            for metric in OUTCOMES
        ]
        for k, e in enumerate(experts)
    ]


def reworded_all(experts: Sequence[LLMExpert], template: str) -> list[LLMExpert]:
    """Experts of one reader reading rows in another template, again with one reader."""
    first = experts[0].reader
    if template == first.template:
        return list(experts)
    reader = Reader(first.base, template, first.start, asking=first.asking, scope=first.scope)
    return [dataclasses.replace(expert, reader=reader, memory=MarginMemory()) for expert in experts]


def _row(metric: str, estimates: dict[str, float], trained: str) -> TemplateSpread:
    values = list(estimates.values())
    spread = math.nan if any(map(math.isnan, values)) else max(values) - min(values)
    return TemplateSpread(metric, estimates, spread, trained)
