"""A published base with a chat template: answers and likelihoods are those of the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.bases.load import load_base
from llm_experts.data.encoding import answer_ids, prompt_ids
from llm_experts.data.example import Example
from llm_experts.evaluation.answered import answered
from llm_experts.evaluation.answers import Asking
from llm_experts.evaluation.candidate import Candidate
from llm_experts.evaluation.registry import SCORES
from llm_experts.runtime.resident import ResidentBase

EXAMPLES = [
    Example("0", "What is the capital of France? Answer with one word.", "Paris"),
    Example("1", "Is ice cold or hot? Answer with one word.", "Cold"),
]


@pytest.mark.real_base
@torch.no_grad()
def test_a_chat_is_answered_and_read_as_the_library_does(real_base_folder: Path) -> None:
    base = load_base(str(real_base_folder))
    model: Any = base.model
    tokenizer: Any = base.tokenizer
    scores = [SCORES["exact_match"], SCORES["perplexity"]]
    items, told = answered(ResidentBase(base), Candidate("base"), EXAMPLES, scores, Asking(max_new_tokens=12))
    for item, (answer,) in zip(items, told, strict=True):
        prompt, said = prompt_ids(item.example, base), answer_ids(item.example, base, item.example.completion)
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
        assert answer.text == tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True)
        whole = torch.tensor([[*prompt, *said]])
        logs = model(input_ids=whole).logits[0].float().log_softmax(-1)
        expected = sum(float(logs[len(prompt) + k - 1, token]) for k, token in enumerate(said))
        assert item.log_prob == pytest.approx(expected, abs=1e-3) and item.tokens == len(said)
