"""Adapters on the top of a base: those of one configuration answer together, as lanes."""

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

from llm_experts.adapters import prefix as prefix_tuning
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import inject, kind_of, own_copy, parameter_names, stack_states
from llm_experts.adapters.soft_prompt import KEY as PROMPT_KEY
from llm_experts.decoder.cut import Answers, Layout
from llm_experts.decoder.shared_prefix import Branches, BranchTop, Pair

if TYPE_CHECKING:
    from peft import PeftConfig

    from llm_experts.bases.base import Base


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
        By the keys of PEFT's file format (``adapter_state``, ``unstack``).
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

    Raises
    ------
    AdapterError
        If the adapters change a layer below ``start``.
    """

    def __init__(self, base: Base, start: int, answer_ids: tuple[int, int], config: PeftConfig | None) -> None:
        self.config = config
        self._virtual = config is not None and config.is_prompt_learning
        if self._virtual and start:
            raise AdapterError(
                f"Virtual tokens are seen by every layer, but layers below {start} are shared; read with start=0."
            )
        if config is None or self._virtual:
            self.top = BranchTop(base, start, answer_ids)
            return
        own = own_copy(base)
        model = inject(own.model, copy.deepcopy(config), None)
        self.top = BranchTop(own, start, answer_ids)
        self._names = parameter_names(self.top, model)

    @property
    def shares(self) -> bool:
        """Whether lanes have work in common: in a top of one layer, the frozen weights' share of keys and values."""
        return len(self.top.layers) == 1

    def lanes(self, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """K states stacked, under the names of the top's parameters; of the base nothing."""
        if self.config is None:
            return {}
        device = self.top.head.device
        stacked = {key: value.detach().to(device) for key, value in stack_states(states).items()}
        return stacked if self._virtual else {self._names[key]: value for key, value in stacked.items()}

    def answers(self, lanes: Mapping[str, Tensor], hidden: Tensor, at: Layout, head: Tensor | None = None) -> Answers:
        """Answers [K, n, ...] of every lane; ``head`` [V, d] asks for other words than no and yes."""
        words = {} if head is None else {"head": head}
        return Answers(*self._each(lanes, hidden, at, words, None, False))

    def opened(self, lanes: Mapping[str, Tensor], hidden: Tensor, at: Layout) -> tuple[Answers, list[Pair]]:
        """Answers to plain texts, and the lanes' keys and values for their branches."""
        found: tuple[Answers, list[Pair]] = self._each(lanes, hidden, at, {}, None, True)
        return found

    def branched(self, lanes: Mapping[str, Tensor], hidden: Tensor, at: Branches, past: Sequence[Pair]) -> Answers:
        """Answers to branches of plain texts that were :meth:`opened`."""
        return Answers(*self._each(lanes, hidden, at, {}, past, False))

    @torch.no_grad()
    def _each(
        self,
        lanes: Mapping[str, Tensor],
        hidden: Tensor,
        at: Layout | Branches,
        words: dict[str, Tensor],
        past: Sequence[Pair] | None,
        remember: bool,
    ) -> Any:
        """Every lane's results, stacked; a single lane without the machinery of many."""

        def one(lane: Mapping[str, Tensor], before: Sequence[Pair] | None) -> Any:
            return self._one(lane, hidden, at, words, before, remember)

        if len(next(iter(lanes.values()), [None])) > 1:
            return torch.vmap(one, in_dims=(0, None if past is None else 0))(dict(lanes), past)
        single = {key: value[0] for key, value in lanes.items()}
        before = None if past is None else [Pair(*(part[0] for part in pair)) for pair in past]
        return tree_map(lambda part: part[None], one(single, before))

    def _one(
        self,
        lane: Mapping[str, Tensor],
        hidden: Tensor,
        at: Layout | Branches,
        words: dict[str, Tensor],
        past: Sequence[Pair] | None,
        remember: bool,
    ) -> Any:
        """One lane; virtual tokens are embeddings ahead of the text, or keys and values ahead of every layer's."""
        if not self._virtual:
            return functional_call(self.top, {**lane, **words}, (hidden, at, None, past, remember))
        tokens, prefix = lane[PROMPT_KEY].to(hidden.dtype), None
        if isinstance(at, Branches):
            return functional_call(self.top, words, (hidden, at.shifted(len(tokens)), None, past, remember))
        if self.config is not None and kind_of(self.config).name == "prefix":
            prefix = prefix_tuning.keys_and_values(tokens, self.config)
        else:
            hidden = torch.cat([tokens.expand(len(hidden), -1, -1), hidden], 1)
            at = at.shifted(len(tokens))
        return functional_call(self.top, words, (hidden, at, prefix, past, remember))
