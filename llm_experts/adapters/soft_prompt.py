"""Soft prompt (Lester et al., 2021): learnt embeddings of virtual tokens ahead of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Generator, Tensor

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.kind import AdapterKind

if TYPE_CHECKING:
    from peft import PromptTuningConfig
    from torch import nn
    from transformers import PreTrainedTokenizerBase

TOKENS = 8
KEY = "prompt_embeddings"
Start = Literal["text", "vocabulary", "random"]


def start_ids(
    rank: int, start: Start | None, text: str | None, tokenizer: PreTrainedTokenizerBase | None
) -> tuple[Start, tuple[int, ...]]:
    """How virtual tokens start and, for a text, its ids repeated or cut to ``rank`` of them."""
    chosen: Start = start or ("text" if text else "vocabulary")
    if chosen != "text":
        return chosen, ()
    if not text or tokenizer is None:
        raise AdapterError(
            "Virtual tokens that start as a text need text= (the task's question) and tokenizer= (the base's); "
            "without a text, start='vocabulary' takes the embeddings of random words."
        )
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if not ids:
        raise AdapterError(f"The text {text!r} has no tokens; give the task's question.")
    return chosen, tuple((ids * -(-rank // len(ids)))[:rank])


def make(
    rank: int | None,
    _layers: Sequence[int] | None,
    _model: nn.Module,
    *,
    start: Start | None = None,
    text: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> PromptTuningConfig:
    """Configuration of ``rank`` virtual tokens.

    ``start`` is ``text`` if a text is given and ``vocabulary`` (random words' embeddings) if not; ``random`` numbers
    are no embeddings of anything, nearly useless in practice, and only taken on request.
    """
    from peft import PromptTuningConfig

    count = TOKENS if rank is None else rank
    chosen, ids = start_ids(count, start, text, tokenizer)
    config: Any = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=count)
    config.fairmoe_start, config.fairmoe_ids = chosen, ids  # PEFT's own TEXT start would read a tokenizer from disk
    return config  # type: ignore[no-any-return]


def embeddings_of(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """[v, d] float32 embeddings of tokens."""
    table: Any = model.get_input_embeddings()  # type: ignore[operator]
    found: Tensor = table(torch.tensor(list(ids), device=table.weight.device))
    return found.detach().float()


def draw_ids(model: nn.Module, count: int, generator: Generator) -> list[int]:
    """Ids of ``count`` random words."""
    size = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    return [int(i) for i in torch.randint(0, size, (count,), generator=generator)]


def start(_key: str, value: Tensor, generator: Generator, model: nn.Module, config: Any) -> Tensor:
    """[v, d] embeddings of a text or of random words; random numbers of the embeddings' spread on request."""
    if config.fairmoe_start == "random":
        spread = model.get_input_embeddings().weight.float().std().item()  # type: ignore[operator]
        drawn = torch.randn(value.shape, generator=generator) * float(spread)
        return drawn.to(value.device, value.dtype)
    ids = config.fairmoe_ids or draw_ids(model, len(value), generator)
    return embeddings_of(model, ids).to(value.device, value.dtype)


KIND = AdapterKind(
    name="soft_prompt",
    label="soft prompt",
    about="learnt input vectors",
    place=7,
    make=make,
    lr_range=(1e-3, 1e-1),
    rank_choices=(8, 16, 32),
    peft_type="PROMPT_TUNING",
    needs_full_model=True,
    start=start,
)
