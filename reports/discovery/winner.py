"""Who won the examination, and on which measure it was decided."""

from __future__ import annotations

import math

from reports.discovery.goals import objectives
from reports.discovery.reading import Discovery, Node, items, measured, number, rows, text, truth


def winner_row(found: Discovery) -> Node | None:
    """The contender that is named as winner; None where there is none."""
    step = found.step("examination")
    label = text(step, "winner")
    every = [row for row in rows(step, "contenders") if text(row, "label") == label]
    return every[0] if label and every else None


def accepted(found: Discovery) -> bool:
    """Whether the one that is named as winner was accepted; else it is only what is left."""
    return truth(found.step("examination"), "accepted") is True


def changes_something(found: Discovery) -> bool:
    """Whether what is named as winner is another model than the base."""
    won = winner_row(found)
    return won is not None and text(won, "kind") != "base"


def weights_of(row: Node) -> dict[str, float]:
    """Weight by expert; those that are no number are left out."""
    pairs = {name: number(row, "alphas", name) for name, _ in items(row, "alphas")}
    return {name: weight for name, weight in pairs.items() if not math.isnan(weight)}


def same_weights(one: Node, other: Node) -> bool:
    """Whether two mixtures have the same weights, as far as files have digits."""
    mine, others = weights_of(one), weights_of(other)
    return mine.keys() == others.keys() and all(abs(mine[name] - others[name]) < 1e-6 for name in mine)


def main_measure(found: Discovery) -> str:
    """The first objective of the search, else accuracy, else what every contender has first."""
    values = [dict(items(row, "values")) for row in rows(found.step("examination"), "contenders")]
    wanted = [goal.measure for goal in objectives(found.step("search"))] + ["accuracy"]
    known = [name for row in values for name in row]
    return next((name for name in [*wanted, *known] if any(name in row for row in values)), "")


def measures(found: Discovery) -> list[str]:
    """Those of the contenders that are not of single domains, the main one first."""
    every = rows(found.step("examination"), "contenders")
    names = [main_measure(found), *(name for row in every for name, _ in items(row, "values"))]
    known = (n for n in dict.fromkeys(names) if n and ":" not in n)
    return [name for name in known if any(measured(row, "values", name).known for row in every)]
