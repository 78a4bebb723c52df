"""Scenarios as what mixtures are measured on: tokens, the same about the other group, and their book of measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.generation.alignment import swapped_question
from llm_experts.mixtures.item_mixtures import ItemMixtures
from llm_experts.search.books.item_book import ItemBook
from llm_experts.training.sequences.choices import choices_of


class Expert(Protocol):
    """What mixing needs to know of an expert; :class:`llm_experts.discovery.teaching.training.TrainedExpert` is one."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def adapter(self) -> Adapter:
        """Its weights."""
        ...


def mixtures_on(
    base: Base, experts: Sequence[Expert], scenarios: Sequence[Scenario], *, style: Style = "auto"
) -> tuple[ItemMixtures, ItemBook]:
    """Mixtures of experts on scenarios, and what their margins are worth."""
    others = [swapped_question(one) for one in scenarios]
    moved = [(place, other) for place, other in enumerate(others) if other is not None]
    swappable = torch.tensor([other is not None for other in others])
    domains = tuple(dict.fromkeys(one.domain for one in scenarios))
    model = ItemMixtures(
        tuple(expert.name for expert in experts),
        tuple(expert.adapter for expert in experts),
        choices_of(base, scenarios, style),
        choices_of(base, [other for _, other in moved], style) if moved else None,
        torch.tensor([place for place, _ in moved], dtype=torch.int64),
    )
    of = torch.tensor([domains.index(one.domain) for one in scenarios])
    return model, ItemBook(domains, of, model.base_margins(), swappable)
