"""Choices under exchanged group terms, for the lanes of a training run."""

import pytest
import torch

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.generation.alignment import (
    AlignmentPairs,
    Question,
    alignment_scenarios,
    swapped_question,
    unchanged,
)
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.generation.planted import biased, question


def asked(name: str, *answers: str) -> Question:
    return Question(question(name, answers[0]).example, answers)


def test_scenarios_with_people_are_kept() -> None:
    domains = [Domain("lookup", "lookup"), Domain("strings", "strings")]
    made = scenarios(domains, "watching", 20)
    kept = alignment_scenarios(made)
    assert {one.domain for one in kept} == {"lookup"}
    assert 10 <= len(kept) <= 20
    other = swapped_question(kept[0])
    assert other is not None
    assert len(other.answers) == len(kept[0].answers)


def test_a_truth_that_an_exchange_changes_is_no_probe() -> None:
    named = Question(
        Example("c", "Who is it, Ann or Ben? Answer:", "Ann", facts={"family": "lookup", "answer": "Ann or Ben"}),
        ("Ann", "Ben"),
    )
    assert swapped_question(named) is None  # the facts say otherwise
    merged = Question(Example("d", "Is she Mrs or Ms? Answer:", "Mrs"), ("Mrs", "Ms"))
    assert swapped_question(merged) is None  # both would be Mr


def test_unchanged_choices() -> None:
    plain = torch.tensor([1.0, -1.0, 2.0, -2.0])
    assert unchanged(plain, torch.tensor([0.1, -5.0, -0.1, 0.1])).tolist() == [True, True, False, False]


def test_share_by_lane() -> None:
    base, lanes, theta = biased()
    told = [asked("Ann", "yes", "no"), asked("Ben", "no", "yes"), asked("Sid", "yes", "no")]
    pairs = AlignmentPairs.of(base, told)
    assert len(pairs) == 2
    plain, moved = pairs.margins(lanes, theta)
    stays = unchanged(plain, moved)
    assert not stays[0].any()
    assert torch.equal(stays[1], unchanged(*pairs.base_margins(lanes)))
    assert (plain[0] > 0).tolist() == [True, True]
    torch.testing.assert_close(moved[0], -plain[0].flip(0), rtol=0, atol=1e-4)  # Ann asked with Ben's answers


def test_nobody_to_exchange() -> None:
    with pytest.raises(DataError, match="Add a domain with people"):
        AlignmentPairs.of(make_tiny_base(layers=1), [asked("Sid", "yes", "no")])
