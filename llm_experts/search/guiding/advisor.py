"""A language model as advisor of a search: it reads the front as text and continues it."""

from __future__ import annotations

from typing import Any

import torch

from llm_experts.bases.base import Base
from llm_experts.search.guiding.guidance import AdviceError


class LanguageAdvisor:
    """Greedy continuation of the summary by a base model; deterministic.

    Parameters
    ----------
    base : Base
    new_tokens : int
        Longest answer.

    Notes
    -----
    Small models rarely answer with usable bounds: such answers are counted as malformed and change nothing.
    """

    def __init__(self, base: Base, new_tokens: int = 120) -> None:
        self.base, self.new_tokens = base, new_tokens

    def __call__(self, summary: str) -> str:
        """The model's answer.

        Raises
        ------
        AdviceError
            If the summary does not fit the model's context.
        """
        base, tokenizer = self.base, self.base.tokenizer
        prompt: Any = tokenizer(summary + "\n", return_tensors="pt")
        ids = prompt["input_ids"].to(base.device)
        if ids.shape[1] + self.new_tokens > base.context:
            raise AdviceError(
                f"the summary has {ids.shape[1]} tokens, which leaves no room for {self.new_tokens} more in the "
                f"context of {base.id} ({base.context} tokens)"
            )
        model: Any = base.model
        with torch.no_grad():
            answer = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self.new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        return str(tokenizer.decode(answer[0, ids.shape[1] :], skip_special_tokens=True))
