"""Which configurations of a study are refitted on folds: the chosen one, and members of the mixture's library."""

from __future__ import annotations

from experts.tuning.trials import TRAINED
from experts.tuning.tuned import Tuned

COUNTS = {"gbdt": 10, "linear": 4, "mlp": 4, "ple_mlp": 4}
"""Members of a family's utility study: as many as were worth their seconds; other families have the chosen one."""


def member_trials(tuned: Tuned) -> tuple[int, ...]:
    """Numbers of trials: the chosen one, then the first others of the study that were trained.

    The first ones of a study are drawn at random, so that they differ from each other; whether halving stopped one does
    not matter. Fair roles have their chosen trial alone.
    """
    count = COUNTS.get(tuned.expert.family, 1) if tuned.role == "utility" else 1
    able = [row["number"] for row in tuned.trials if row["state"] in TRAINED and row["number"] != tuned.best_trial]
    return (tuned.best_trial, *able[: count - 1])
