"""How reasons are found, and which numbers depend on it.

The same model has other procedural scores when its reasons are found in another way: a LightGBM had REF .016 by
integrated gradients and .024 by sampled Shapley values. So the way stands beside every such number, and whatever orders
methods by them says when the ways differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metrics.registry import METRICS
from reports.methods import MethodRow

WORDS = {
    "integrated_gradients": ("IG", "integrated gradients"),
    "shapley_sampling": ("Sh", "sampled Shapley values"),
    "tree_shap": ("TS", "exact Shapley values of trees (TreeSHAP)"),
    "chained": ("Ch", "members' own attributions, passed on with ∂margin/∂member"),
    "occlusion": ("Oc", "occlusion"),
}
"""Explainer → its code in tables, and its words."""

ASKED_OTHERWISE = ("cfr@1", "cfr_soft@1")
"""Procedural metrics that look at no attribution."""

WITH_REASONS = frozenset(
    {id for id, spec in METRICS.items() if spec.kind == "procedural" and id not in ASKED_OTHERWISE}
    | {"fair_proc@1", "final@1"}
)
"""Metrics that depend on how reasons are found."""

MARK = "‡"
"""Of a comparison whose two methods are explained in different ways."""

MARK_WORDS = (
    f"{MARK}: the reasons of the two methods are found in different ways, so their procedural scores, and final with "
    "them, differ also by that."
)


def ways(explainer: str) -> tuple[str, ...]:
    """The explainers that a record names: several where a method's parameters decide; none where it says nothing."""
    return tuple(part.strip() for part in explainer.split(" or ") if part.strip())


def code(explainer: str) -> str:
    """``IG``, ``IG/Sh`` where parameters decide, the explainer's own name if it is not known; empty without one."""
    return "/".join(WORDS.get(way, (way,))[0] for way in ways(explainer))


def words(explainer: str) -> str:
    """``integrated gradients or sampled Shapley values``."""
    return " or ".join(WORDS[way][1] if way in WORDS else way for way in ways(explainer))


def differ(first: MethodRow, second: MethodRow) -> bool:
    """Whether two methods are explained in different ways, or may be; records without a word say nothing."""
    found = {*ways(first.explainer), *ways(second.explainer)}
    return bool(first.explainer and second.explainer) and len(found) > 1


def codes_words(rows: Iterable[MethodRow]) -> str:
    """What the codes of these methods mean, such as ``IG: integrated gradients; Oc: occlusion``."""
    found = dict.fromkeys(way for row in rows for way in ways(row.explainer))
    return "; ".join(f"{code(way)}: {words(way)}" for way in found if way in WORDS)


def mixed_words(rows: Sequence[MethodRow]) -> str:
    """What is said where methods are ordered by procedural scores; empty if all are explained in one way."""
    by_code: dict[str, list[str]] = {}
    for row in rows:
        if row.explainer:
            by_code.setdefault(code(row.explainer), []).append(row.label)
    if len(by_code) < 2 and not any("/" in key for key in by_code):
        return ""
    who = "; ".join(f"{key}: {', '.join(labels)}" for key, labels in by_code.items())
    return (
        "Reasons are found in different ways, and the same model has other procedural scores by another way: an order "
        "by fair_proc or final compares methods of one way with each other, and of different ways only roughly "
        f"({who})."
    )
