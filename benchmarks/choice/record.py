"""The choice as a file for machines: everything that was said, and every candidate with its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import Candidate
from benchmarks.choice.cross_fit.worth import Estimate
from benchmarks.choice.reading import Cells
from benchmarks.choice.rule import Recommendation
from foundation.numbers import finite, spelled

FILE, FORMAT = "choice.json", "fairmoe-choice/1"


def choice_record(
    found: Recommendation, cells: Cells, split: int, said: Sequence[str], delivered: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Content of ``choice.json``, as JSON can hold it.

    Parameters
    ----------
    found : Recommendation
    cells : Cells
    split : int
        Whose model is delivered.
    said : sequence of str
        The same in sentences.
    delivered : dict, optional
        What is told of the model after the choice: test rows, who is decided differently, where it lies.
    """
    best = found.best
    record = {
        "format": FORMAT,
        "run": str(cells.run),
        "task": cells.task,
        "use_sensitive": cells.use_sensitive,
        "splits": list(cells.splits),
        "split": split,
        "asked": asked_record(found.asked),
        "said": list(said),
        "recommended": None if best is None else candidate_record(best),
        "unconstrained": candidate_record(found.free),
        "price": _estimate(found.price),
        "whole_rule": None if found.whole is None else asdict(found.whole),
        "not_separable": [rival.candidate.name for rival in found.tied],
        "simplest": None if found.simplest is None else found.simplest.name,
        "candidates": [
            *([] if best is None else [{**candidate_record(best), "lead": _estimate(Estimate(0.0, 0.0, 0.0))}]),
            *({**candidate_record(rival.candidate), "lead": _estimate(rival.lead)} for rival in found.rivals),
            *({**candidate_record(one), "lead": None} for one in found.out),
        ],
        "not_compared": list(cells.incomplete),
        **(delivered or {}),
    }
    return dict(finite(record))


def asked_record(asked: Asked) -> dict[str, Any]:
    """What was asked; an infinite limit is spelled."""
    return {**asdict(asked), "limit": spelled(asked.limit)}


def candidate_record(one: Candidate) -> dict[str, Any]:
    """A candidate's numbers."""
    low, high = one.foreseen
    fits = [tried.held.fit for tried in one.tried]
    return {
        "method": one.method,
        "way": one.way,
        "kappa": one.kappa,
        "trials": [None if fit is None else fit.trial for fit in fits],
        "utility": _estimate(one.utility),
        "gap": one.gap,
        "gap_on_rows_that_chose": math.fsum(tried.held.seen for tried in one.tried) / len(one.tried),
        "agreement": one.agreement,
        "probability": one.probability,
        "foreseen": [low, high],
        "ceiling": one.ceiling,
        "reasons": one.reasons,
        "needs_group": one.needs_group,
        "seconds": one.cost.seconds,
        "parameters": one.cost.parameters,
        "excluded": one.excluded,
    }


def _estimate(value: Estimate | None) -> dict[str, float] | None:
    return None if value is None else asdict(value)
