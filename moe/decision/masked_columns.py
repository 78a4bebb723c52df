"""What members say of rows with one column unknown, asked once for every (row, column) that matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Ask = Callable[[int, Tensor, Tensor], Tensor]
"""(place of a member, positions of explained rows [q], columns [q]) → [q] probabilities with that column unknown."""


@dataclass(eq=False)
class MaskedColumns:
    """Answers of members, remembered: mixtures of the same members mask mostly the same columns.

    Attributes
    ----------
    ask : callable
        See :data:`Ask`.
    """

    ask: Ask
    _known: dict[int, dict[tuple[int, int], float]] = field(default_factory=dict, repr=False)

    def prepare(self, member: int, columns: Tensor) -> None:
        """Ask for the column [..., e] of every explained row, several at once."""
        known = self._known.setdefault(member, {})
        rows = torch.arange(columns.shape[-1]).expand_as(columns).flatten().tolist()
        new = sorted({*zip(rows, columns.flatten().tolist(), strict=True)} - known.keys())
        if new:
            asked = torch.tensor(new)
            answers = self.ask(member, asked[:, 0], asked[:, 1]).to(torch.float64).tolist()
            known |= dict(zip(new, answers, strict=True))

    def probability(self, member: int, columns: Tensor) -> Tensor:
        """[e] float64 probabilities of a member, each row with its column [e] unknown."""
        self.prepare(member, columns)
        known = self._known[member]
        return torch.tensor([known[pair] for pair in enumerate(columns.tolist())], dtype=torch.float64)
