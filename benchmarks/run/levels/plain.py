"""The variant "plain": the best of a method's own trained configurations that keeps a level, as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.run.levels.allowed import Allowed
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.part import UTILITY, Part
from benchmarks.run.levels.trained import Trained
from metrics.points import DEGENERATE_SHARE, rarer_share


def plain(chosen: Choice, trained: Trained | None, part: Part, allowed: Sequence[Allowed]) -> Variant:
    """Per level the highest utility among the chosen model and the trained configurations; of equals the chosen model.

    Configurations whose gap on the part exceeds the limit, or that are nearly constant, are out.
    """
    seen, test = chosen.seen[None], chosen.test[None]
    if trained is not None:
        seen = torch.cat((seen, trained.validation.to(seen.dtype)))
        test = torch.cat((test, trained.test.to(test.dtype)))
    values = part.values(seen, (UTILITY, *dict.fromkeys(a.gap for a in allowed)))
    worth = values[UTILITY]
    able = (rarer_share(seen) >= DEGENERATE_SHARE) & ~torch.isnan(worth) & ~torch.isnan(test).any(1)
    found: dict[Allowed, Choice | None] = {}
    for demand in allowed:
        candidates = torch.where(able & (values[demand.gap] <= demand.limit), worth, -torch.inf)
        best = int(candidates.argmax())
        trial = best - 1 if best else None  # the chosen model comes first
        found[demand] = None if _none(candidates[best]) else Choice(seen[best], test[best], trial=trial)
    return Variant("plain", part, found)


def _none(worth: Tensor) -> bool:
    return bool(torch.isinf(worth))
