"""One program of a base's top with adapters of one configuration: for lanes that train, and for lanes that answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._pytree import tree_map

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.soft_prompt import KEY as PROMPT_KEY
from llm_experts.adapters.state import parameter_names, stack_states
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.decoder.cut import Top, longest_text
from llm_experts.decoder.layout import Answers, Layout, Pair, Tails
from llm_experts.decoder.products import frozen_products
from llm_experts.decoder.shared_prefix import Branches
from llm_experts.decoder.walk import Attend, fused, written_out

if TYPE_CHECKING:
    from peft import PeftConfig


INDIFFERENT = ("inference_mode", "base_model_name_or_path", "revision", "peft_version", "auto_mapping")
"""Fields of PEFT's configuration that do not change what an adapter computes."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """Weights of one adapter, and what it takes to attach them to a base.

    Attributes
    ----------
    config : PeftConfig
        From ``AdapterKind.make_config``.
    state : dict of str -> Tensor
        By the keys of PEFT's file format (``adapter_state``).
    """

    config: PeftConfig
    state: Mapping[str, Tensor]

    @property
    def kind(self) -> str:
        """Name among ``ADAPTERS``."""
        return kind_of(self.config).name

    @property
    def parameter_count(self) -> int:
        """Numbers that trained."""
        trains = kind_of(self.config).trains
        return sum(value.numel() for key, value in self.state.items() if trains(key))

    @property
    def bytes(self) -> int:
        """Size of the weights."""
        return sum(value.numel() * value.element_size() for value in self.state.values())


def config_key(config: PeftConfig | None) -> str:
    """What two adapters must have in common to be lanes of one top."""
    if config is None:
        return ""
    fields = config.to_dict()
    facts = {key: sorted(v) if isinstance(v, set) else v for key, v in fields.items() if key not in INDIFFERENT}
    return json.dumps([kind_of(config).name, facts], sort_keys=True, default=str)


class AttachedTop:
    """The top of a base with room for adapters of one configuration.

    Parameters
    ----------
    base : Base
        Is left as it is.
    start : int
        First layer of the top.
    answer_ids : (int, int)
        Token ids of the words for no and yes.
    config : PeftConfig or None
        None: the base itself.

    Attributes
    ----------
    config : PeftConfig or None
        As PEFT completed it.
    top : Top
        Nothing of it requires a gradient.
    peft_model : PeftModel or None
        The copy of the base that holds the room, None for the base itself.

    Raises
    ------
    AdapterError
        If the adapters change a layer below ``start``.
    """

    def __init__(self, base: Base, start: int, answer_ids: tuple[int, int], config: PeftConfig | None) -> None:
        self._base = base
        self.config: Any = config
        self.peft_model: Any = None
        self._virtual = config is not None and config.is_prompt_learning
        if config is not None and self._virtual and start:
            raise AdapterError(
                f"Adapters of kind {kind_of(config).name} are virtual tokens that all layers see, but layers below "
                f"{start} are shared here; start at layer 0: train and read with start=0."
            )
        own = base if config is None else own_copy(base)
        if config is not None:
            self.peft_model = inject(own.model, copy.deepcopy(config), None)
            self.config = self.peft_model.peft_config["default"]
        self.top = Top(own, start, answer_ids)
        self._names = {} if config is None or self._virtual else parameter_names(self.top, self.peft_model)
        self.top.requires_grad_(False)

    @property
    def shares(self) -> bool:
        """Whether lanes have work in common: in a top of one layer, the frozen weights' share of keys and values."""
        return len(self.top.layers) == 1

    def answer(
        self,
        state: Mapping[str, Tensor],
        hidden: Tensor,
        at: Layout | Branches | Tails,
        words: Mapping[str, Tensor] | None = None,
        past: Sequence[Pair] | None = None,
        remember: bool = False,
        attend: Attend = written_out,
    ) -> Answers:
        """Answers of one adapter; differentiable, and may be mapped over adapters (``vmap``).

        Virtual tokens are embeddings ahead of the text, or keys and values ahead of every layer's.

        Parameters
        ----------
        state : mapping
            Weights by PEFT's keys.
        hidden, at, past, remember, attend
            As :class:`llm_experts.decoder.cut.Top` takes them.
        words : mapping, optional
            ``head`` [V, d]: other words than no and yes.
        """
        replaced, prefix, ahead = {self._names[key]: value for key, value in state.items() if self._names}, None, 0
        if self._virtual:
            tokens = state[PROMPT_KEY].to(hidden.dtype)
            longest_text(self._base, at, len(tokens))
            assert not isinstance(at, Tails)  # check_scope refuses virtual tokens there
            learnt = kind_of(self.config).keys_and_values
            if isinstance(at, Branches):
                at = at.shifted(len(tokens))
            elif learnt is not None:
                prefix = learnt(tokens, self.config)
            else:
                ahead = len(tokens)
                hidden, at = torch.cat([tokens.expand(len(hidden), -1, -1), hidden], 1), at.shifted(ahead)
        call = (hidden, at, prefix, past, remember, attend)
        with frozen_products(self._base):
            found: Answers = functional_call(self.top, {**replaced, **(words or {})}, call)
        return found._replace(attention=found.attention[:, ahead:])

    def _check_numbers(self, found: Answers) -> Answers:
        """The answers, unless one is not finite: that is never a score."""
        broken = ~found.logits.isfinite().flatten(2).all(-1)
        if not bool(broken.any()):
            return found
        who = "The base" if self.config is None else f"An adapter of kind {kind_of(self.config).name} on the base"
        raise BaseError(
            f"{who} {self._base.id} ({self._base.architecture}) answers {int(broken.sum())} of {broken.numel()} texts "
            "with numbers that are not finite. A weight is broken, or too large for this precision: load the base with "
            "--dtype float32, fetch it again, or train the adapter with a smaller learning rate."
        )

    def lanes(self, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """K states stacked, on the top's device; of the base nothing."""
        if self.config is None:
            return {}
        return {key: value.detach().to(self.top.head.device) for key, value in stack_states(states).items()}

    @torch.no_grad()
    def answers(
        self,
        lanes: Mapping[str, Tensor],
        hidden: Tensor,
        at: Layout | Branches | Tails,
        head: Tensor | None = None,
        past: Sequence[Pair] | None = None,
        remember: bool = False,
    ) -> Answers:
        """Answers [K, n, ...] of every lane; ``head`` [V, d] asks for other words than no and yes.

        With ``remember`` the lanes' keys and values are in :attr:`Answers.pairs`: what branches of the texts take as
        ``past``; that of tails is the base's, without lanes. A single lane goes without the machinery of many.

        Raises
        ------
        BaseError
            If an answer is not finite.
        """
        words = {} if head is None else {"head": head}

        own = past is not None and not isinstance(at, Tails)

        def one(lane: Mapping[str, Tensor], before: Sequence[Pair] | None, attend: Attend = written_out) -> Answers:
            return self.answer(lane, hidden, at, words, before, remember, attend)

        if len(next(iter(lanes.values()), [None])) > 1:
            call: Any = torch.vmap(one, in_dims=(0, 0 if own else None))
            together: Answers = call(dict(lanes), past)
            return self._check_numbers(together)
        before = [Pair(*(part[0] for part in pair)) for pair in past or ()] if own else past
        found = one({key: value[0] for key, value in lanes.items()}, before, fused if self._base.wide else written_out)
        alone: Answers = tree_map(lambda part: part[None], found)
        return self._check_numbers(alone)
