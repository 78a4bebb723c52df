"""Routers: what gives a row its weights on the experts of a mixture inside the layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from gates.gate import GateState, ProjectedGate, masked_features
from gates.registry import load_gate, save_gate
from llm_experts.adapters.error import AdapterError
from llm_experts.mixtures.dispatch import BayesDispatcher
from llm_experts.prompts.keywords import row_values
from llm_experts.reading.expert import LLMExpert
from llm_experts.reading.reader import Reader

if TYPE_CHECKING:
    from tasks.task import TaskView


class Router(Protocol):
    """Gives rows weights on experts; ``kind`` is what descriptions call it."""

    @property
    def kind(self) -> str:
        """What descriptions call it."""
        ...

    def weights(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, m] weights on the simplex, for rows as they are written under ``keep``."""
        ...

    def save(self, folder: Path) -> None:
        """Write it into an existing folder."""
        ...


@dataclass(frozen=True, eq=False)
class GateRouter:
    """A gate of :mod:`gates` on the row's features and on what the experts say of it.

    Attributes
    ----------
    experts : tuple of LLMExpert
        In the order of the gate's weights.
    gate : ProjectedGate
    """

    experts: tuple[LLMExpert, ...]
    gate: ProjectedGate
    kind: str = "gate"

    @torch.no_grad()
    def weights(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, m] weights."""
        logits = torch.stack([expert.logits(view, rows, keep) for expert in self.experts], -1)
        return self.gate.weights(GateState(masked_features(view, rows, keep), logits))

    def save(self, folder: Path) -> None:
        """Write the gate."""
        save_gate(self.gate, folder)


@dataclass(frozen=True, eq=False)
class DispatchRouter:
    """Bayesian dispatch on the base's hidden state and the row's categories; the base is the first expert."""

    dispatcher: BayesDispatcher
    reader: Reader
    kind: str = "dispatch"

    def weights(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, 1 + m] weights, the base first."""
        return self.dispatcher.weights(*self.evidence(view, rows, keep)).float()

    def evidence(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> tuple[Tensor, list[frozenset[str]]]:
        """What the dispatcher looks at: hidden states [r, d] of the base, and categories of the rows."""
        return self.reader.pooled([None], view, rows, keep)[0], row_values(view, rows, keep)

    def save(self, folder: Path) -> None:
        """Write the dispatcher, outcomes included."""
        self.dispatcher.save(folder / "dispatcher")


def load_router(folder: Path, kind: str, experts: tuple[LLMExpert, ...]) -> Router:
    """A router that was saved beside the experts of a mixture.

    Raises
    ------
    AdapterError
        If it is of no known kind.
    """
    if kind == "gate":
        return GateRouter(experts, load_gate(folder))
    if kind == "dispatch":
        return DispatchRouter(BayesDispatcher.load(folder / "dispatcher"), experts[0].reader)
    raise AdapterError(f"{folder} holds a router of the kind {kind!r}; known are gate and dispatch.")
