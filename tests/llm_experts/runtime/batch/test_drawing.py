"""Drawing: the distributions of the library, each row by its own settings and numbers, whoever else is drawn for."""

import dataclasses
from collections import Counter
from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from llm_experts.runtime.batch.drawing import Chooser, draw, kept, logprobs, penalised
from llm_experts.runtime.sampling import Sampling, SamplingError

CPU = torch.device("cpu")
WORDS = 500


def some_logits(rows: int, words: int = WORDS, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, words, generator=torch.Generator().manual_seed(seed)) * 3


def spread(probabilities: torch.Tensor, ids: torch.Tensor, words: int = WORDS) -> torch.Tensor:
    return torch.zeros(len(ids), words, dtype=torch.float64).scatter(1, ids, probabilities)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 0.9), (0.7, 20, 1.0), (1.3, 50, 0.8), (5.0, 0, 0.97), (2.0, 300, 0.999), (1.0, 1, 1.0), (1.0, 0, 1e-6)],
)
def test_the_kept_tokens_and_their_chances_are_those_of_the_library(
    temperature: float, top_k: int, top_p: float
) -> None:
    logits = some_logits(4)
    found = spread(*kept(logits, [Sampling(temperature=temperature, top_k=top_k, top_p=top_p)] * 4))
    ids = torch.zeros(4, 1, dtype=torch.long)
    expected = TemperatureLogitsWarper(temperature)(ids, logits)
    if top_k:
        expected = TopKLogitsWarper(top_k)(ids, expected)
    expected = TopPLogitsWarper(top_p)(ids, expected).double().softmax(-1)
    assert torch.equal(found > 0, expected > 0)
    assert torch.allclose(found / found.sum(-1, keepdim=True), expected, atol=1e-6)


def test_rows_with_other_filters_change_nothing_of_a_row() -> None:
    logits = some_logits(3)
    own = Sampling(temperature=1.0, top_p=0.9)
    alone = spread(*kept(logits[:1], [own]))
    others = [own, Sampling(temperature=3.0, top_p=0.9999), Sampling(temperature=1.0, top_k=400)]
    assert torch.allclose(spread(*kept(logits, others))[:1], alone, rtol=0, atol=1e-15)


def test_a_seed_draws_the_same_tokens_in_any_batch() -> None:
    logits = some_logits(1)[0]
    settings = [
        Sampling(temperature=3.0, seed=7),
        Sampling(temperature=0.8, top_p=0.9, seed=8),
        Sampling(temperature=2.0, top_k=30, seed=9, presence_penalty=0.5),
        Sampling(),
    ]

    def texts(groups: list[list[Sampling]]) -> list[list[int]]:
        found = []
        for group in groups:
            choosers = [Chooser(sampling, [1, 2], WORDS, CPU) for sampling in group]
            said: list[list[int]] = [[] for _ in group]
            for _ in range(30):
                for chooser, tokens, token in zip(
                    choosers, said, draw(logits.expand(len(group), -1), choosers), strict=True
                ):
                    chooser.note(token)
                    tokens.append(token)
            found += said
        return found

    alone = texts([[setting] for setting in settings])
    assert texts([settings]) == alone
    assert texts([settings[::-1]])[::-1] == alone
    assert len(set(alone[0])) > 5
    assert set(alone[3]) == {int(logits.argmax())}


def test_without_a_seed_every_request_draws_anew() -> None:
    logits = torch.zeros(2, WORDS)
    choosers = [Chooser(Sampling(temperature=1.0), [0], WORDS, CPU) for _ in range(2)]
    drawn = [draw(logits, choosers) for _ in range(8)]
    assert [first for first, _ in drawn] != [second for _, second in drawn]


def test_frequencies_are_the_chances() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    chooser = Chooser(Sampling(temperature=1.0, seed=1), [0], 4, CPU)
    n = 4000
    counts = Counter(draw(logits, [chooser])[0] for _ in range(n))
    expected = logits[0].softmax(-1).tolist()
    for token, chance in enumerate(expected):
        assert abs(counts[token] / n - chance) < 4 * (chance * (1 - chance) / n) ** 0.5  # four standard errors


def test_penalties_are_those_of_the_library_and_of_openai() -> None:
    logits, prompt, said = some_logits(2), [3, 4], [5, 5, 6]
    settings = Sampling(repetition_penalty=1.3), Sampling(presence_penalty=0.5, frequency_penalty=0.25)
    choosers = [Chooser(setting, prompt, WORDS, CPU) for setting in settings]
    for chooser in choosers:
        for token in said:
            chooser.note(token)
    found = penalised(logits, choosers)
    assert torch.allclose(found[:1], RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([prompt + said]), logits[:1]))
    expected = logits[1].clone()
    expected[5] -= 0.5 + 2 * 0.25
    expected[6] -= 0.5 + 0.25
    assert torch.allclose(found[1], expected)


def test_logprobs_are_those_of_the_model_before_settings() -> None:
    logits = some_logits(1)[0]
    found = logprobs(logits, 17, 3, str)
    expected = logits.log_softmax(-1)
    assert (found.token, found.text) == (17, "17")
    assert found.logprob == pytest.approx(float(expected[17]))
    assert [token for token, _, _ in found.top] == expected.topk(3).indices.tolist()
    assert [value for _, _, value in found.top] == pytest.approx(expected.topk(3).values.tolist())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("presence_penalty", float("inf")),
        ("logprobs", 101),
        ("stop", ("",)),
        ("stop", "text"),
        ("temperature", True),
    ],
)
def test_settings_out_of_bounds_are_refused(name: str, value: object) -> None:
    with pytest.raises(SamplingError, match=name):
        dataclasses.replace(Sampling(), **{name: value})


@pytest.mark.parametrize(
    "wrong", [{"max_new_tokens": 2.5}, {"top_k": 2.5}, {"seed": 1.5}, {"logprobs": 2.5}, {"temperature": "1"}]
)
def test_a_setting_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SamplingError, match=f"{next(iter(wrong))} is"):
        Sampling(**wrong)
