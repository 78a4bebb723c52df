"""Adapters on the top of a base: those of one configuration answer together, as lanes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from llm_experts.adapters import prefix as prefix_tuning
from llm_experts.adapters.kind import AdapterError
from llm_experts.adapters.registry import inject, kind_of, own_copy, parameter_names, stack_states
from llm_experts.adapters.soft_prompt import KEY as PROMPT_KEY
from llm_experts.stack import Answers, Layout, Top

if TYPE_CHECKING:
    from peft import PeftConfig

    from llm_experts.base import Base


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
            self.top = Top(base, start, answer_ids)
            return
        own = own_copy(base)
        model = inject(own.model, copy.deepcopy(config), None)
        self.top = Top(own, start, answer_ids)
        self._names = parameter_names(self.top, model)

    def lanes(self, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """K states stacked, under the names of the top's parameters; of the base nothing."""
        if self.config is None:
            return {}
        stacked = {key: value.detach() for key, value in stack_states(states).items()}
        return stacked if self._virtual else {self._names[key]: value for key, value in stacked.items()}

    @torch.no_grad()
    def answers(
        self, lanes: Mapping[str, Tensor], hidden: Tensor, layout: Layout, head: Tensor | None = None
    ) -> Answers:
        """Answers [K, n, ...] of every lane; ``head`` [V, d] asks for other words than no and yes."""
        words = {} if head is None else {"head": head}
        if self.config is None:
            found = functional_call(self.top, words, (hidden, layout))
            return Answers(*(value[None] for value in found))
        ask: Callable[[Mapping[str, Tensor]], Any] = (
            self._virtual_call(hidden, layout, words)
            if self._virtual
            else (lambda lane: functional_call(self.top, {**lane, **words}, (hidden, layout)))
        )
        return Answers(*torch.vmap(ask)(dict(lanes)))

    def _virtual_call(self, hidden: Tensor, layout: Layout, words: dict[str, Tensor]) -> Callable[..., Any]:
        """One lane of virtual tokens: embeddings ahead of the text, or keys and values ahead of every layer's."""

        def soft(lane: Mapping[str, Tensor]) -> Any:
            tokens = lane[PROMPT_KEY]
            ahead = tokens.expand(len(hidden), -1, -1).to(hidden.dtype)
            return functional_call(self.top, words, (torch.cat([ahead, hidden], 1), layout.shifted(len(tokens))))

        def prefix(lane: Mapping[str, Tensor]) -> Any:
            pairs = prefix_tuning.keys_and_values(lane[PROMPT_KEY], self.config).to(hidden.dtype)
            return functional_call(self.top, words, (hidden, layout, pairs))

        assert self.config is not None
        return prefix if kind_of(self.config).name == "prefix" else soft
