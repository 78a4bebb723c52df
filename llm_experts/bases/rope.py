"""A base for longer texts than it was trained on: the same weights, another rotary embedding.

The library's own parameters are set and its own embedding is made from them, but for the dynamic kind. There the
library keeps one set of frequencies for a whole batch, changes them while a text grows and leaves the keys that it has
as they were, so that an answer would depend on who else is in the batch. Here every row has its own, by the length that
its text may reach; a row that stays within the base's context has the base's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.scaling import RopeScaling
from llm_experts.bases.sharing import shared_copy

_LENGTHS: ContextVar[Tensor | None] = ContextVar("lengths", default=None)


class DynamicRotary(nn.Module):
    """Cosines and sines by positions, the frequencies of each row by the length of its text.

    Parameters
    ----------
    plain : nn.Module
        The library's embedding without a scaling.
    factor : float
    context : int
        Tokens up to which nothing is scaled.
    """

    def __init__(self, plain: Any, factor: float, context: int) -> None:
        super().__init__()
        self.inv_freq = nn.Buffer(plain.inv_freq, persistent=False)
        self.factor, self.context = factor, context

    @torch.no_grad()
    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """[rows, tokens, head_dim] cosines and sines; without :func:`texts_of`, texts end at their last position."""
        given = _LENGTHS.get()
        lengths = position_ids.amax(-1) + 1 if given is None else given.to(position_ids.device)
        angles = position_ids[..., None].float() * self._frequencies(lengths)[:, None]
        both = torch.cat((angles, angles), -1)
        return both.cos().to(x.dtype), both.sin().to(x.dtype)

    def _frequencies(self, lengths: Tensor) -> Tensor:
        """[rows, head_dim / 2]: θ_i = b^(-2i/d) with b times (s L / C - (s - 1))^(d / (d - 2)) for L > C tokens."""
        half = len(self.inv_freq)
        longer = lengths.clamp(min=self.context).double() / self.context
        growth = self.factor * longer - (self.factor - 1)
        exponents = torch.arange(half, device=lengths.device).double() / (half - 1)
        return self.inv_freq * (growth[:, None] ** -exponents).float()


@contextmanager
def texts_of(lengths: Tensor) -> Iterator[None]:
    """Within, the rows [n] of a batch belong to texts that reach these lengths; for a dynamic scaling."""
    token = _LENGTHS.set(lengths)
    try:
        yield
    finally:
        _LENGTHS.reset(token)


def rescaled(base: Base, scaling: str | Mapping[str, Any] | RopeScaling | None) -> Base:
    """A base that shares the weights of this one and takes longer texts.

    Parameters
    ----------
    base : Base
    scaling : str, mapping or RopeScaling, optional
        See :meth:`RopeScaling.of`; None gives the base itself.

    Raises
    ------
    BaseError
        If there is no such scaling, or the base has one of its own.
    """
    chosen = RopeScaling.of(scaling)
    if chosen is None or chosen == base.rope_scaling:
        return base
    model: Any = shared_copy(base.model)
    config, decoder = model.config, model.get_decoder()
    own = dict(getattr(config, "rope_parameters", None) or {})
    if base.rope_scaling is not None or own.get("rope_type", "default") != "default" or "rope_theta" not in own:
        raise BaseError(
            f"{base.id} has rotary embeddings of its own kind ({own.get('rope_type', 'none')}), made for "
            f"{base.context} tokens; only a plain one can be scaled. Load it without a rope scaling."
        )
    context = int(config.max_position_embeddings)
    if chosen.kind == "dynamic":
        config.rope_parameters = {**own, "rope_type": "dynamic", "factor": chosen.factor}
        decoder.rotary_emb = DynamicRotary(decoder.rotary_emb, chosen.factor, context)
    else:
        more = {"original_max_position_embeddings": context} if chosen.kind == "yarn" else {}
        config.rope_parameters = {**own, "rope_type": chosen.kind, "factor": chosen.factor, **more}
        config.max_position_embeddings = int(context * chosen.factor)
        decoder.rotary_emb = type(decoder.rotary_emb)(config).to(base.device)
    return replace(base, model=model, rope_scaling=chosen)
