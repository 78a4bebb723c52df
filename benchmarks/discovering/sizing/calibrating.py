"""How fast a base reads items here: a few are read, and the second time counts."""

from __future__ import annotations

import time

from benchmarks.discovering.context import Context
from benchmarks.discovering.sizing.sizes import Rates

ITEMS, DOMAINS = 8, 3
STEP_ITEMS = 24.0
"""What an optimiser step of one expert takes, in items that are read with their listed answers."""


def rates_of(context: Context) -> Rates:
    """Rates of this machine; nothing that is measured here is used otherwise."""
    from llm_experts.discovery.capability import measure_capability

    asked = list(context.domains[:DOMAINS])
    count = min(ITEMS, context.settings.items)
    spent = 0.0
    for _ in range(2):
        start = time.perf_counter()
        measure_capability(context.base, asked, items=count, how=context.settings.how, seed=context.settings.seed)
        spent = time.perf_counter() - start
    item = spent / (len(asked) * count)
    return Rates(item, STEP_ITEMS * item)
