"""Log-probabilities of texts: against the model's own forward, under adapters, in mixtures."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from torch import Tensor

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import KINDS, kind_named
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.bias import likelihood
from llm_experts.bias.likelihood import BASE, LMScorer
from llm_experts.bias.scorer import continuations
from llm_experts.bias.sources import BiasError
from llm_experts.decoder.program import Adapter

TEXTS = [
    "The applicant's age is 23 years. The applicant's sex is female.",
    "The applicant's age is 23 years. The applicant's sex is male. The savings are unknown.",
    "The savings are unknown.",
    "The savings are unknown.",
    "The savings are good",
    "yes",
    "The applicant's age is 23 years.",
]


def plain(model: Any, tokenizer: Any, text: str) -> Tensor:
    """Log-probabilities of a text's tokens from one ordinary forward of that text alone."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    logits = model(input_ids=torch.tensor([[tokenizer.bos_token_id, *ids]])).logits[0]
    logits = logits[-len(ids) - 1 :]  # virtual tokens stand in front
    return torch.stack([logits[i].log_softmax(-1)[token] for i, token in enumerate(ids)]).double()


def lora(base: Base, seed: int, **options: Any) -> Any:
    model = get_peft_model(base.model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], **options), "one")
    _fill(model, "one", seed)
    return model


def _fill(model: Any, name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            if f"lora_B.{name}" in key:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))


@pytest.mark.parametrize("batch_tokens", [1, 40, 8192])
def test_scores_are_those_of_the_model(tiny_base: Base, batch_tokens: int) -> None:
    scorer = LMScorer.of(tiny_base, batch_tokens=batch_tokens)
    for text, scored in zip(TEXTS, scorer.token_log_probs(TEXTS), strict=True):
        assert torch.allclose(scored.log_probs, plain(tiny_base.model, tiny_base.tokenizer, text), atol=1e-5)
        assert "".join(text[a:b] for a, b in scored.spans) == text
        assert scored.total == pytest.approx(float(scored.log_probs.sum()))
        assert scored.mean == pytest.approx(scored.total / len(scored.spans))


def test_scoring_begins_where_it_is_told_to(tiny_base: Base) -> None:
    starts = [0, 33, 4, 12, 12, 0, 5]
    whole = LMScorer.of(tiny_base).token_log_probs(TEXTS)
    for text, at, part, full in zip(
        TEXTS, starts, LMScorer.of(tiny_base).token_log_probs(TEXTS, starts), whole, strict=True
    ):
        first = next(k for k, (_, end) in enumerate(full.spans) if end > at)
        assert part.spans == full.spans[first:]
        assert torch.allclose(part.log_probs, full.log_probs[first:], atol=1e-5)
        assert text[part.spans[0][0] :].strip()
    (given,) = continuations(LMScorer.of(tiny_base), [("The savings are", " good")])
    assert given.spans[0][0] == len("The savings are")


def test_logits_in_small_blocks_are_the_same(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LMScorer.of(tiny_base).token_log_probs(TEXTS)
    monkeypatch.setattr(likelihood, "_CHUNK", 3 * tiny_base.model.config.vocab_size)
    for a, b in zip(whole, LMScorer.of(tiny_base).token_log_probs(TEXTS), strict=True):
        assert torch.allclose(a.log_probs, b.log_probs, atol=1e-5)


def test_adapters_are_scored_and_switched_back(tiny_base: Base) -> None:
    model = lora(tiny_base, 1)
    model.add_adapter("two", LoraConfig(r=2, target_modules=["v_proj"]))
    _fill(model, "two", 2)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    model.train()
    scores = {}
    for name in ("one", "two", BASE):
        scores[name] = LMScorer(model, tiny_base.tokenizer, adapter=name).token_log_probs(TEXTS[:2])
        assert model.active_adapter == "one"
        assert model.training
        assert {key for key, weight in model.named_parameters() if weight.requires_grad} == trained
    model.eval()
    for name in ("one", "two"):
        model.set_adapter(name)
        expected = plain(model, tiny_base.tokenizer, TEXTS[0])
        assert torch.allclose(scores[name][0].log_probs, expected, atol=1e-5)
    with model.disable_adapter():
        expected = plain(model, tiny_base.tokenizer, TEXTS[0])
    assert torch.allclose(scores[BASE][0].log_probs, expected, atol=1e-5)
    assert abs(scores["one"][0].total - scores[BASE][0].total) > 0.1
    with pytest.raises(BiasError, match="no adapter 'three'"):
        LMScorer(model, tiny_base.tokenizer, adapter="three").token_log_probs(TEXTS)


def test_soft_prompts_are_scored(tiny_base: Base) -> None:
    model = get_peft_model(tiny_base.model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "prompt" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    model.eval()
    scored = LMScorer(model, tiny_base.tokenizer).token_log_probs(TEXTS[:3])
    for text, found in zip(TEXTS[:3], scored, strict=True):
        assert torch.allclose(found.log_probs, plain(model, tiny_base.tokenizer, text), atol=1e-5)
    assert (
        abs(scored[0].total - LMScorer(model, tiny_base.tokenizer, adapter=BASE).token_log_probs(TEXTS)[0].total) > 0.1
    )


@pytest.mark.parametrize("kind", KINDS)
def test_experts_of_every_kind_are_scored(tiny_base: Base, kind: str) -> None:
    config = kind_named(kind).make_config(None, None, tiny_base.model)
    state = adapter_state(inject(own_copy(tiny_base).model, copy.deepcopy(config), 0))
    generator = torch.Generator().manual_seed(1)
    state = {key: value + 0.2 * torch.randn(value.shape, generator=generator) for key, value in state.items()}
    scored = LMScorer.with_adapter(tiny_base, Adapter(config, state)).token_log_probs(TEXTS[:3])
    model = inject(own_copy(tiny_base).model, copy.deepcopy(config), 0)
    set_adapter_state(model, state)
    for text, found in zip(TEXTS[:3], scored, strict=True):
        assert torch.allclose(found.log_probs, plain(model, tiny_base.tokenizer, text), atol=1e-4)
    bare = LMScorer.with_adapter(tiny_base, None).token_log_probs(TEXTS[:3])
    assert abs(bare[0].total - scored[0].total) > 1e-3
    assert torch.allclose(bare[0].log_probs, plain(tiny_base.model, tiny_base.tokenizer, TEXTS[0]), atol=1e-5)


def test_memory_that_runs_out_halves_the_batch(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = LMScorer.of(tiny_base)
    expected = scorer.token_log_probs(TEXTS)
    forward = LMScorer._forward

    def tight(self: LMScorer, batch: list[Any], shared: bool) -> Any:
        if len(batch) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, batch, shared)

    monkeypatch.setattr(LMScorer, "_forward", tight)
    for a, b in zip(expected, scorer.token_log_probs(TEXTS), strict=True):
        assert torch.allclose(a.log_probs, b.log_probs, atol=1e-5)


def test_texts_that_cannot_be_scored_are_refused(tiny_base: Base) -> None:
    scorer = LMScorer.of(tiny_base)
    assert scorer.token_log_probs([]) == []
    with pytest.raises(BiasError, match="does not fit the context of 1024 tokens"):
        scorer.token_log_probs(["a, " * 1024])
    with pytest.raises(BiasError, match="no token to score"):
        scorer.token_log_probs(["yes"], [3])


@pytest.mark.parametrize("batch_tokens", [30, 8192])
def test_last_states_are_those_of_the_model(tiny_base: Base, batch_tokens: int) -> None:
    found = LMScorer.of(tiny_base, batch_tokens=batch_tokens).last_states(TEXTS)
    for text, state in zip(TEXTS, found, strict=True):
        ids = [tiny_base.tokenizer.bos_token_id, *tiny_base.tokenizer(text, add_special_tokens=False)["input_ids"]]
        expected = tiny_base.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        assert torch.allclose(state, expected, atol=1e-4)
    assert LMScorer.of(tiny_base).last_states([]).shape == (0, 64)


@pytest.mark.parametrize("ask", ["token_log_probs", "last_states"])
def test_an_answer_that_is_no_number_is_refused(tiny_base: Base, ask: str) -> None:
    broken = own_copy(tiny_base).model
    weight = broken.model.layers[-1].mlp.down_proj.weight.detach().clone()
    weight[0, 0] = torch.nan
    broken.model.layers[-1].mlp.down_proj.weight = torch.nn.Parameter(weight)
    with pytest.raises(BiasError, match="numbers that are not finite"):
        getattr(LMScorer(broken, tiny_base.tokenizer), ask)(TEXTS)
    getattr(LMScorer.of(tiny_base), ask)(TEXTS)
