"""Measures of rows of a task: fixed metrics of their margins, counterfactual gaps, latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.reading.calibration import Calibration, fit_calibration
from llm_experts.search.mixture import MixtureModel, MovableMixture, Outputs, SearchRows, TimedMixture
from llm_experts.search.settings import FLIP_METRICS, ITEM_MEASURES, LATENCY, SEARCHABLE, SearchError, SearchSettings
from metrics.evidence import Evidence
from metrics.points import DEGENERATE_SHARE, POINT_METRICS, point_values, rarer_share
from metrics.procedural.counterfactual import flips, shifts
from metrics.score import score
from metrics.value import Value

DRAWS = 400
"""Bootstrap samples of rows; metrics of counts have 10,000 resampled tables in any case."""
DEGENERATE = "degenerate"
"""Stands beside the measures of a prediction that is (nearly) constant."""


@dataclass(frozen=True)
class RowBook:
    """A book (:class:`llm_experts.search.books.book.Book`) of rows with labels and groups."""

    rows: SearchRows

    def __len__(self) -> int:
        return len(self.rows)

    def check(self, model: MixtureModel, settings: SearchSettings) -> None:
        """Refuse measures that rows or model cannot give, and labels that no calibration can be fitted on."""
        check_capabilities(model, settings.metrics, FLIP_METRICS, LATENCY)
        foreign = [m for m in settings.metrics if m not in SEARCHABLE]
        if foreign:
            raise SearchError(
                f"{', '.join(foreign)} is measured on items with listed answers, and this search is on rows of a "
                f"task. Choose among {', '.join(SEARCHABLE)}; of items {', '.join(ITEM_MEASURES)}."
            )
        if settings.calibrate and len(set(self.rows.labels.tolist())) < 2:
            raise SearchError(
                f"All {len(self.rows)} search rows have one label, so that no mixture can be calibrated. Give rows "
                "of both classes."
            )

    def needs_moved(self, metrics: Sequence[str]) -> bool:
        """Counterfactual gaps do."""
        return any(m in FLIP_METRICS for m in metrics)

    def calibration(self, margins: Tensor, settings: SearchSettings) -> Calibration:
        """Fitted on the search rows' labels."""
        return fit_calibration(margins, self.rows.labels) if settings.calibrate else uncalibrated(len(margins))

    def values(self, outputs: Outputs, metrics: Sequence[str]) -> dict[str, Tensor]:
        """Measure → [P] float64."""
        probability = torch.sigmoid(outputs.margins.to(torch.float64))
        return metric_values(probability, outputs, self.rows, metrics)

    def sameness(self, probability: Tensor) -> Tensor:
        """By how much the share of the rarer prediction falls short."""
        return DEGENERATE_SHARE - rarer_share(probability)

    def intervals(self, outputs: Outputs, settings: SearchSettings) -> dict[str, Value]:
        """Measures of one mixture with the intervals that the metrics have."""
        rows = self.rows
        moved = None if outputs.moved is None else torch.sigmoid(outputs.moved[0])
        scores = score(
            Evidence(torch.sigmoid(outputs.margins[0]), counterfactual=moved),
            rows.labels,
            rows.groups,
            rows.group_names,
            seed=settings.seed,
            draws=DRAWS,
            permutations=1,
        )
        values = {id: scores.values[id] for id in settings.metrics if id != LATENCY}
        if outputs.latency is not None:
            values[LATENCY] = Value(float(outputs.latency[0]))
        if scores.degenerate:
            values[DEGENERATE] = Value(1.0, status="degenerate", reason="its prediction is (nearly) constant")
        return values

    def sizes(self) -> str:
        """Rows per group and label."""
        counts = torch.bincount(self.rows.groups, minlength=len(self.rows.group_names)).tolist()
        listed = ", ".join(f"{n} {s}" for n, s in zip(self.rows.group_names, counts, strict=True))
        return f"{len(self)} search rows (rows per group: {listed}; {int(self.rows.labels.sum())} have label 1)"


def uncalibrated(mixtures: int) -> Calibration:
    """Temperature 1 and bias 0."""
    return Calibration(*(torch.full((mixtures,), value, dtype=torch.float64) for value in (1.0, 0.0)))


def metric_values(probability: Tensor, outputs: Outputs, rows: SearchRows, metrics: Sequence[str]) -> dict[str, Tensor]:
    """Measure id -> [P] float64 for probabilities [P, n]; nan where not estimable on these rows."""
    points = [m for m in metrics if m in POINT_METRICS]
    values = point_values(probability, rows.labels, rows.groups, len(rows.group_names), metrics=points)
    if any(m in FLIP_METRICS for m in metrics):
        values = {**values, **_flip_values(probability, outputs.moved, rows)}
    if outputs.latency is not None:
        values = {**values, LATENCY: outputs.latency.to(torch.float64)}
    return {m: values[m] for m in metrics}


def _flip_values(probability: Tensor, moved: Tensor | None, rows: SearchRows) -> dict[str, Tensor]:
    """Counterfactual gaps of P mixtures: the fixed metrics' row values, with mixtures laid end to end."""
    if moved is None:
        raise ValueError("counterfactual gaps need moved margins")
    mixtures, n = probability.shape
    counterfactual = torch.sigmoid(moved.to(torch.float64)).reshape(mixtures * n, -1)
    groups = rows.groups.repeat(mixtures)
    return {
        name: of_rows(probability.reshape(-1), counterfactual, groups).view(mixtures, n).mean(1)
        for name, of_rows in zip(FLIP_METRICS, (flips, shifts), strict=True)
    }


def check_capabilities(model: MixtureModel, metrics: Sequence[str], flips: Sequence[str], latency: str) -> None:
    """Refuse measures that the model cannot give.

    Raises
    ------
    SearchError
    """
    wanted = [m for m in metrics if m in flips]
    if wanted and not isinstance(model, MovableMixture):
        raise SearchError(
            f"{', '.join(wanted)} needs rows moved to the other groups, and this mixture has none (its experts do not "
            "see the sensitive column). Leave the measure out, or keep the sensitive column in the texts."
        )
    if latency in metrics and not isinstance(model, TimedMixture):
        raise SearchError(f"{latency} needs a mixture with a cost model, and this one has none. Leave the measure out.")
