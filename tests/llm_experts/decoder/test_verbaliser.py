"""Two rows of the head say what the whole vocabulary and a generated token say of the two words."""

import logging

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from llm_experts.decoder.verbaliser import AnswerMass, answer_mass, length_batches, score_texts
from llm_experts.reading.reader import Reader
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM

PROMPTS = Reader(BASE).prompts(SCM)
TEXTS = PROMPTS.text_of(SCM, ROWS)
NO_YES = list(PROMPTS.answer_ids)


def test_is_the_full_vocabularys_softmax_restricted_to_two_words() -> None:
    found = score_texts(BASE.model, BASE.tokenizer, TEXTS, PROMPTS.answer_ids).softmax(-1)
    for text, pair in zip(TEXTS, found, strict=True):
        full = BASE.model(torch.tensor(BASE.tokenizer(text)["input_ids"])[None]).logits[0, -1].softmax(-1)
        torch.testing.assert_close(pair, full[NO_YES] / full[NO_YES].sum(), atol=1e-5, rtol=0)


def test_is_what_a_generated_token_was_drawn_from() -> None:
    found = score_texts(BASE.model, BASE.tokenizer, TEXTS, PROMPTS.answer_ids)
    for text, pair in zip(TEXTS, found, strict=True):
        ids = torch.tensor(BASE.tokenizer(text)["input_ids"])[None]
        made = BASE.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=1,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        expected = made.scores[0][0, NO_YES].softmax(-1)
        torch.testing.assert_close(pair.softmax(-1), expected, atol=1e-5, rtol=0)


def test_both_orders_averaged_are_the_readers_margin() -> None:
    logits = [
        score_texts(BASE.model, BASE.tokenizer, PROMPTS.text_of(SCM, ROWS, order=order), PROMPTS.answer_ids)
        for order in (0, 1)
    ]
    margin = torch.stack([pair[:, 1] - pair[:, 0] for pair in logits]).mean(0)
    torch.testing.assert_close(Reader(BASE).margins([None], SCM, ROWS)[0], margin, atol=2e-5, rtol=1e-5)


def test_batches_do_not_matter() -> None:
    texts = [TEXTS[0][:cut] for cut in (30, 200, 75, 120)]
    whole = score_texts(BASE.model, BASE.tokenizer, texts, PROMPTS.answer_ids)
    for tokens in (1, 150):
        some = score_texts(BASE.model, BASE.tokenizer, texts, PROMPTS.answer_ids, batch_tokens=tokens)
        torch.testing.assert_close(some, whole, atol=1e-5, rtol=1e-5)


def test_biased_and_capped_heads_are_read_as_the_model_reads_them() -> None:
    config = Qwen3Config(
        vocab_size=len(BASE.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        model = Qwen3ForCausalLM(config).eval()
        model.lm_head = torch.nn.Linear(32, len(BASE.tokenizer), bias=True)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    found = score_texts(model, BASE.tokenizer, TEXTS[:1], PROMPTS.answer_ids)
    ids = torch.tensor(BASE.tokenizer(TEXTS[0])["input_ids"])[None]
    expected = model(ids).logits[0, -1, NO_YES].detach()
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-5)
    model.config.final_logit_softcapping = 2.0
    capped = score_texts(model, BASE.tokenizer, TEXTS[:1], PROMPTS.answer_ids)
    torch.testing.assert_close(capped[0], torch.tanh(expected / 2) * 2, atol=1e-5, rtol=1e-5)


def test_a_text_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="Text 1 has no tokens"):
        score_texts(BASE.model, BASE.tokenizer, ["yes", ""], PROMPTS.answer_ids)


def test_answer_mass_of_known_logits(caplog: pytest.LogCaptureFixture) -> None:
    logits = torch.tensor([[0.2, 0.3, 0.5], [0.01, 0.02, 0.97]]).log() + 7
    mass = answer_mass(logits, (0, 1))
    torch.testing.assert_close(mass, torch.tensor([0.5, 0.03]))
    with caplog.at_level(logging.WARNING):
        assert AnswerMass.of(mass, "it") == pytest.approx((0.265, 0.5))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        AnswerMass.of(mass[1:], "The utility expert")
    assert "The utility expert puts 3.0e-02" in caplog.text


def test_batches_of_like_length() -> None:
    assert length_batches([3, 4, 4, 9], 12) == [slice(0, 3), slice(3, 4)]
    assert length_batches([30], 12) == [slice(0, 1)]
    assert length_batches([], 12) == []
