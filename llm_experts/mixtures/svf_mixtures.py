"""Mixtures of SVF experts in the space of their multipliers: one α per mixture, and the mixture is an adapter again.

z(α) = 1 + Σ_k α_k (z_k − 1) for every matrix: α = 0 is the base, a one-hot α that expert. A mixture costs what one
expert costs, and many mixtures are read at once as lanes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import mixed_z
from llm_experts.adapters.svf.multipliers import parameters_of
from llm_experts.decoder.entry import FULL
from llm_experts.decoder.program import Adapter
from llm_experts.reading.expert import LLMExpert, check_one_scope

if TYPE_CHECKING:
    from tasks.task import TaskView


def mixed_adapter(experts: Sequence[Adapter], alpha: Tensor) -> Adapter:
    """The SVF adapter whose multipliers are z(α).

    Parameters
    ----------
    experts : sequence of K Adapter
        SVF adapters of the same matrices, of any ranks, without renormalised spectra.
    alpha : [K]

    Raises
    ------
    AdapterError
        If an expert is of another kind or of other matrices, its spectrum is renormalised (multipliers then are not
        what mixes), or α has not one weight per expert.
    """
    wrong = [adapter.kind for adapter in experts if adapter.kind != "svf"]
    if wrong:
        raise AdapterError(
            f"Only SVF experts can be mixed in the space of singular values; one is of kind {wrong[0]}. Mix outputs, "
            "or compose low-rank adapters in a bank."
        )
    if any(getattr(adapter.config, "renormalise", False) for adapter in experts):
        raise AdapterError("SVF experts with renormalised spectra cannot be mixed; train them with renormalise=False.")
    if alpha.shape != (len(experts),):
        raise AdapterError(f"There are {alpha.numel()} weights for {len(experts)} experts; give one weight per expert.")
    if any(adapter.state.keys() != experts[0].state.keys() for adapter in experts):
        raise AdapterError("SVF experts are mixed matrix by matrix; train them all on the same matrices and layers.")
    largest = max(experts, key=lambda adapter: sum(value.numel() for value in adapter.state.values()))
    state = {}
    for key, p in largest.state.items():
        multipliers = torch.stack([_multipliers(e.state[key], len(p)) for e in experts])
        state[key] = parameters_of(mixed_z(multipliers, alpha.double())).float()
    return Adapter(largest.config, state)


def _multipliers(p: Tensor, count: int) -> Tensor:
    """[count] multipliers of an expert; singular values that it does not tune have 1."""
    return torch.nn.functional.pad(p.double(), (0, count - len(p))).exp()


@dataclass(frozen=True, eq=False)
class SVFMixtures:
    """What a mixture search needs to know (:class:`llm_experts.search.mixture.MixtureModel`), on fixed rows of a task.

    Margins are those before calibration.

    Attributes
    ----------
    experts : tuple of LLMExpert
        SVF experts of one reader.
    view : TaskView
    rows : [n] int64
    """

    experts: tuple[LLMExpert, ...]
    view: TaskView
    rows: Tensor

    def __post_init__(self) -> None:
        check_one_scope(self.experts)

    @property
    def names(self) -> tuple[str, ...]:
        """Roles of the experts."""
        return tuple(expert.role for expert in self.experts)

    @cached_property
    def hash(self) -> str:
        """Identity of base, experts, task and rows."""
        reader = self.experts[0].reader
        found = hashlib.sha256(reader.base.hash.encode())
        found.update(b"" if reader.scope == FULL else reader.scope.encode())
        for adapter in self._adapters:
            for key in sorted(adapter.state):
                found.update(key.encode() + adapter.state[key].contiguous().cpu().numpy().tobytes())
        found.update(self.view.hash.encode() + self.rows.numpy().tobytes())
        return found.hexdigest()

    @property
    def _adapters(self) -> list[Adapter]:
        found = [expert.adapter for expert in self.experts]
        if any(adapter is None for adapter in found):
            raise AdapterError("The base is not an expert of a mixture in the space of singular values; α = 0 is it.")
        return [adapter for adapter in found if adapter is not None]

    def margins(self, alphas: Tensor) -> Tensor:
        """[P, n] margins of P mixtures [P, K]."""
        return self._read(alphas, self.view)

    def moved(self, alphas: Tensor) -> Tensor:
        """[P, n, g] margins with every row moved to each of g groups."""
        groups = range(len(self.view.group_names))
        return torch.stack([self._read(alphas, self.view.moved_to(group)) for group in groups], -1)

    def _read(self, alphas: Tensor, view: TaskView) -> Tensor:
        adapters = [mixed_adapter(self._adapters, alpha) for alpha in alphas]
        return self.experts[0].reader.margins(adapters, view, self.rows)
