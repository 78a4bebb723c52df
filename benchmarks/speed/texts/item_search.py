"""Mixture search on items with listed answers beside one pass of the model per mixture.

Run with ``python -m benchmarks.speed item_search`` (``--base``: another base than nano). One thread. Side a is a whole
search on 8 domains: anchors, surrogate, 5,000 evaluations by NSGA-II, true evaluation of its fronts in three rounds.
Side b is what it replaces: each of 5,000 mixtures by a pass of its own over the same items, of which a few are timed.
Goal: 50 times faster. Experts are LoRA adapters with random weights, as what they have learnt costs nothing; weights of
either sign make some of their mixtures better than the base.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.speed.texts.mixture_search import compare
from foundation.seeding import torch_generator
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.mixtures.item_mixtures import ItemMixtures
from llm_experts.search import Objective, SearchSettings
from llm_experts.search.books.item_book import ItemBook
from llm_experts.training.sequences.choices import choices_of
from llm_experts.training.sequences.lanes import SequenceLanes

FAMILIES = ("arithmetic", "classification", "dates", "json_task", "lookup", "sql", "strings", "rows")
SPREAD = 0.02
SETTINGS = SearchSettings(
    objectives=(Objective("p_right"), Objective("lowest")), bounds=(-1.0, 1.0), calibrate=False,
    refuse_constant=False, stop_gain=None, spread_anchors=12, candidates=10,
)  # fmt: skip


def random_experts(base: Base, count: int, rank: int, start: int) -> tuple[Adapter, ...]:
    """LoRA adapters that change answers a little."""
    lanes = SequenceLanes.fresh(base, "lora", [rank] * count, list(range(count)), start)
    noise = torch.randn(lanes.start.shape, generator=torch_generator(0, "random experts")) * SPREAD
    return tuple(lanes.adapter(lane, lanes.start[lane] + noise[lane]) for lane in range(count))


def main() -> None:
    """Print the comparison."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--base", default="nano")
    options.add_argument("--items", type=int, default=30, help="of each of 8 domains")
    options.add_argument("--experts", type=int, default=4)
    options.add_argument("--rank", type=int, default=8)
    options.add_argument("--start", type=int, default=0, help="first layer that experts change")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    base = load_base(chosen.base)
    asked = scenarios([Domain(name, name) for name in FAMILIES], "search", chosen.items)
    names = tuple(f"expert{k}" for k in range(chosen.experts))
    experts = random_experts(base, chosen.experts, chosen.rank, chosen.start)
    model = ItemMixtures(names, experts, choices_of(base, asked))
    of = torch.arange(len(FAMILIES)).repeat_interleave(chosen.items)
    book = ItemBook(FAMILIES, of, model.base_margins(), torch.zeros(len(asked), dtype=torch.bool))
    alone = ItemMixtures(names, experts, model.choices, lanes=1)
    compare(model, book, {"a pass of its own": lambda alpha: alone.margins(alpha[None])[0]}, settings=SETTINGS)


if __name__ == "__main__":
    main()
