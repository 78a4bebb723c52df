"""Two rows of the head say what the whole vocabulary and a generated token say of the two words."""

import logging

import pytest
import torch

from llm_experts.decoder.verbaliser import AnswerMass, answer_mass
from llm_experts.reading.reader import Reader
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM

PROMPTS = Reader(BASE).prompts(SCM)
NO_YES = list(PROMPTS.answer_ids)


def logits_of_last_token(text: str) -> torch.Tensor:
    return BASE.model(torch.tensor(BASE.tokenizer(text)["input_ids"])[None]).logits[0, -1]


def drawn_from(text: str) -> torch.Tensor:
    """The scores that a generated token is drawn from."""
    ids = torch.tensor(BASE.tokenizer(text)["input_ids"])[None]
    options = {"max_new_tokens": 1, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    return BASE.model.generate(ids, attention_mask=torch.ones_like(ids), **options).scores[0][0]


@pytest.mark.parametrize("scores", [logits_of_last_token, drawn_from])
def test_margins_are_those_of_the_whole_vocabulary_averaged_over_both_orders(scores) -> None:
    texts = [PROMPTS.text_of(SCM, ROWS, order=order) for order in (0, 1)]
    full = torch.stack([torch.stack([scores(text) for text in both]) for both in texts])[..., NO_YES]
    found = Reader(BASE).margins([None], SCM, ROWS)[0]
    torch.testing.assert_close(found, (full[..., 1] - full[..., 0]).mean(0), atol=2e-5, rtol=1e-5)


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
