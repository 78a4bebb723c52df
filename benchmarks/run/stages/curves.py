"""Curves of training for the tracker, and trials as a table."""

from __future__ import annotations

from typing import Any, Protocol

Curves = dict[str, list[tuple[int, float]]]
"""Metric name → (step, value)."""


class Searched(Protocol):
    """What a study leaves: a tuned role, adapter or baseline."""

    @property
    def role(self) -> str:
        """What was tuned."""
        ...

    @property
    def trials(self) -> list[dict[str, Any]]:
        """One record per trial."""
        ...


def tuning_curves(tuned: Searched) -> Curves:
    """Objective and utility of every trial of a role; trials are steps."""
    rows = [row for row in tuned.trials if row["objective"] is not None]
    return {
        f"tune/{tuned.role}.objective": [(row["number"], row["objective"]) for row in rows],
        f"tune/{tuned.role}.utility": [(row["number"], row["metrics"]["utility@1"]) for row in rows],
    }


def best_per_step(stage: str, history: list[dict[str, Any]]) -> Curves:
    """Highest utility and lowest disparity of any lane at each checkpoint."""
    curves: Curves = {}
    for name, best in (("utility", max), ("fair_res", min)):
        by_step: dict[int, list[float]] = {}
        for row in history:
            by_step.setdefault(int(row["step"]), []).append(float(row[name]))
        if by_step:
            curves[f"{stage}/{name}"] = [(step, best(values)) for step, values in sorted(by_step.items())]
    return curves


def trial_columns(tuned: Searched) -> dict[str, list[Any]]:
    """Trials as one list per column."""
    last = ("objective", "feasible", "state", "reason", "step")
    flat = [{"number": t["number"], **t["params"], **t["metrics"], **{k: t[k] for k in last}} for t in tuned.trials]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return {name: [row.get(name) for row in flat] for name in names}
