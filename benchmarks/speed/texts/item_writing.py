"""Items that a local base writes: 16 in one pass beside one after the other.

Run with ``python -m benchmarks.speed item_writing`` (``--base``: another base than nano). One thread, CPU time, sides
interleaved; both sides write drafts of the same numbers, which are compared draft by draft.
"""

from __future__ import annotations

import argparse

from benchmarks.speed.timing import interleaved
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec, Topic
from llm_experts.generation.writers.local import TOGETHER, LocalWriter

FAMILY = "arithmetic"
TEMPERATURE = 0.8


def written(base: Base, count: int, longest: int, together: int) -> list[Draft]:
    """Drafts by a writer that has written nothing before."""
    topic = Topic(name=FAMILY, family=FAMILY)
    spec = DataSpec(expert="speed", topics=(topic,), count=count)
    return list(LocalWriter(base, TEMPERATURE, longest, together).drafts(spec, topic, count, 0, 0))


def main() -> None:
    """Print drafts a CPU minute of both sides, their ratio and how many drafts are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="nano")
    parser.add_argument("--items", type=int, default=TOGETHER, help=f"drafts of a round (default {TOGETHER})")
    parser.add_argument("--longest", type=int, default=160, help="most tokens of a draft (default 160)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds per side (default 3)")
    given = parser.parse_args()
    base = load_base(given.base)
    ours, theirs = (written(base, given.items, given.longest, together) for together in (TOGETHER, 1))
    found = interleaved(
        lambda: written(base, given.items, given.longest, TOGETHER),
        lambda: written(base, given.items, given.longest, 1),
        given.rounds,
        warm_up=False,
    )
    same = sum(one == other for one, other in zip(ours, theirs, strict=True))
    print(
        f"{given.items} drafts of {FAMILY} by {given.base}, at most {given.longest} tokens: "
        f"{60 * given.items / found.median_a:,.0f} a CPU minute together, {60 * given.items / found.median_b:,.0f} one "
        f"by one, ratio {found.ratio:.2f}; the same: {same} of {len(ours)}"
    )


if __name__ == "__main__":
    main()
