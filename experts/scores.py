"""The metrics that experts are judged by on validation rows, whatever their family."""

from __future__ import annotations

from experts.expert import Role

OUTCOME_METRICS = ("acc@1", "f1@1", "auc@1", "utility@1", "dp@1", "eopp@1", "fair_res@1")
REASON_METRICS = ("ref@1", "vef@1", "att_jsd@1", "fair_proc@1")
FINAL = "final@1"
RARER_SHARE = "rarer_share"
SCORES: dict[Role, str] = {
    "utility": "utility@1",
    "result": "fair_res@1",
    "procedural": "fair_proc@1",
    "combined": FINAL,
}
"""The metric that a role is judged by."""

HIGHER_IS_BETTER = ("utility@1", FINAL)
"""Scores to maximise; the others are gaps."""
