"""An adapter added to the weights of its base: one model, which no longer needs it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.state import set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.bases.quantised import holds_codes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel


def melted(base: Base, config: PeftConfig, state: Mapping[str, Tensor]) -> Base:
    """The base with an adapter in its weights; it itself stays as it is, and the result has weights of its own.

    Parameters
    ----------
    base : Base
        Its weights are matrices, not codes.
    config, state
        An adapter of a kind that changes weights.

    Returns
    -------
    Base
        Its hash is one of the base's and of the adapter's weights.

    Raises
    ------
    AdapterError
        If the kind does not change weights, or the base keeps codes.
    """
    check_meltable(base.model, config)
    model: Any = inject(copy.deepcopy(base.model), config, None)
    set_adapter_state(model, dict(state), "default")
    digest = hashlib.sha256(f"melted:{base.hash}:{kind_of(config).name}".encode())
    for key, value in sorted(state.items()):
        digest.update(key.encode() + value.detach().cpu().float().contiguous().numpy().tobytes())
    merged: Any = melt(model)
    return replace(base, model=merged.eval().requires_grad_(False), hash=digest.hexdigest())


def melt(model: PeftModel) -> PreTrainedModel:
    """The model of a PEFT model with its active adapter in its weights, which are changed in place.

    Raises
    ------
    AdapterError
        As :func:`melted`.
    """
    given: Any = model
    check_meltable(given.get_base_model(), given.peft_config[given.active_adapters[0]])
    _untie(given)
    merged: PreTrainedModel = given.merge_and_unload()
    return merged


def check_meltable(model: Any, config: PeftConfig) -> None:
    """Raise :class:`AdapterError` where an adapter cannot become one with weights."""
    kind = kind_of(config)
    if config.is_prompt_learning:
        raise AdapterError(
            f"An adapter of the kind {kind.name} adds words or states, not weights, so it cannot become one with its "
            "base; export it as peft."
        )
    if holds_codes(model):  # PEFT would add to a matrix that is made of the codes and then thrown away
        raise AdapterError(
            "The base keeps its weights as codes, which cannot hold what an adapter adds. Dequantise it first (fairmoe "
            "llm dequantize), add the adapter, and quantise what comes of it."
        )


def _untie(model: Any) -> None:
    """Give the head weights of its own where an adapter changes it, or the embedding, and both share theirs.

    A change that is melted into shared weights would change both.
    """
    inner = model.get_base_model()
    ends = inner.get_input_embeddings(), inner.get_output_embeddings()
    embedding, head = (end.get_base_layer() if hasattr(end, "get_base_layer") else end for end in ends)
    if (embedding, head) == ends or head is None or embedding.weight is not head.weight:
        return
    head.weight = type(head.weight)(head.weight.detach().clone(), requires_grad=False)
    inner.config.tie_word_embeddings = False
