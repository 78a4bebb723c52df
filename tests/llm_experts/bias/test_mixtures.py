"""Mixtures of scorers by hand, weights from a dispatcher, and remembering."""

from __future__ import annotations

import math

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.bias.likelihood import LMScorer
from llm_experts.bias.mixtures import MixtureScorer, RememberingScorer, dispatched
from llm_experts.bias.scorer import continuations
from llm_experts.bias.sources import BiasError
from llm_experts.mixtures.dispatch import BayesDispatcher, DispatchSettings, one_hot
from llm_experts.prompts.keywords import words
from tests.llm_experts.bias.table_model import Bigrams

TEXTS = ["The applicant's age is 23 years.", "The savings are unknown.", "yes"]


def test_a_mixture_mixes_probabilities_token_by_token() -> None:
    one, two = Bigrams({"a": 0.5, "b": 0.25}), Bigrams({"a": 0.1, "b": 0.75})
    scorer = MixtureScorer([one, two], torch.tensor([0.75, 0.25]))
    (scored,) = scorer.token_log_probs(["a b"])
    assert scored.log_probs.exp().tolist() == pytest.approx([0.4, 0.375])
    per_text = MixtureScorer([one, two], lambda texts: torch.eye(2)[[len(t) % 2 for t in texts]])
    first, second = per_text.token_log_probs(["a b", "ab b"])  # odd: the second expert; even: the first
    assert first.log_probs.exp().tolist() == pytest.approx([0.1, 0.75])
    assert second.log_probs.exp().tolist() == pytest.approx([0.1, 0.25])
    (given,) = continuations(per_text, [("ab", " b")])
    assert given.log_probs.exp().tolist() == pytest.approx([0.25]), "weighed by its context alone"


def test_a_dispatched_mixture_asks_the_right_expert(tiny_base: Base) -> None:
    base = LMScorer.of(tiny_base)
    known = [f"The {thing} is {n} years." for n in range(20, 50) for thing in ("savings", "applicant")]
    domains = torch.arange(60) % 2
    heard = [words(text) for text in known]
    settings = DispatchSettings(components=4, confidence=1 - 1e-9)
    dispatcher = BayesDispatcher(settings).fit(base.last_states(known), heard, one_hot(domains, 2))
    weights = dispatched(dispatcher, base)
    assert (weights(known).argmax(dim=1) == domains + 1).double().mean() > 0.9
    savings, applicant = Bigrams({"blue": 0.7}), Bigrams({"blue": 0.2})
    mixture = MixtureScorer([Bigrams({"blue": 0.4}), savings, applicant], weights)
    scored = continuations(mixture, [(known[10], " blue"), (known[11], " blue")])
    for found, row in zip(scored, weights(known[10:12]), strict=True):
        assert found.log_probs.exp().item() == pytest.approx(float(row @ torch.tensor([0.4, 0.7, 0.2]).double()))


def test_a_mixture_of_one_expert_is_the_expert(tiny_base: Base) -> None:
    expert = LMScorer.of(tiny_base)
    mixed = MixtureScorer([expert, expert, expert], torch.tensor([0.2, 0.3, 0.5])).token_log_probs(TEXTS)
    for a, b in zip(mixed, expert.token_log_probs(TEXTS), strict=True):
        assert torch.allclose(a.log_probs, b.log_probs)


def test_wrong_mixtures_are_refused(tiny_base: Base) -> None:
    one = Bigrams({})
    with pytest.raises(BiasError, match="one weight per scorer"):
        MixtureScorer([one], torch.ones(2) / 2).token_log_probs(["a"])
    for weights in (torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.1])):
        with pytest.raises(BiasError, match="sum to 1"):
            MixtureScorer([one, one], weights).token_log_probs(["a"])
    with pytest.raises(BiasError, match="different tokens"):
        MixtureScorer([one, LMScorer.of(tiny_base)], torch.ones(2) / 2).token_log_probs(["Some pheasants"])
    with pytest.raises(BiasError, match="at least one"):
        MixtureScorer([], torch.ones(0))


def test_a_remembering_scorer_asks_once() -> None:
    model = Bigrams({"a": 0.5})
    scorer = RememberingScorer(model)
    first = scorer.token_log_probs(["a b", "a b", "c"])
    assert model.calls == 2
    again = scorer.token_log_probs(["c", "a b"], [0, 1])
    assert model.calls == 3, "another start is another question"
    assert again[0].total == first[2].total
    assert again[1].total == pytest.approx(math.log(0.1))
