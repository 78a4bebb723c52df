"""Answers that share the reading of their prompt: the same numbers as of a row for each."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.registry import KINDS
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.data.encoding import AnswerTooLongError, encode
from llm_experts.data.example import Example
from llm_experts.training.sequences.answers import ANSWER_TOKENS, answer_rows, text_sums
from llm_experts.training.sequences.batch import SHARED, Item, Row, collate
from llm_experts.training.sequences.choices import Choices, own_logprobs
from llm_experts.training.sequences.lanes import SequenceLanes
from llm_experts.training.sequences.lower import LowerLayers, seen
from tests.llm_experts.conftest import make_tiny_base

ITEMS = [
    Example("a", "Is 3 odd? Answer:"),
    Example("b", "The applicant's age is 23 years and the savings are unknown. Is the credit good?\n"),
    Example("c", "Name a colour:"),
]
ANSWERS = [("yes", "no"), ("yes", "no", "It is not known, and nobody can say"), ("red", "blue and green")]


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base()


def moved(lanes: SequenceLanes, size: float = 0.05) -> Tensor:
    return lanes.start + size * torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(1))


def apart(base: Base, items: Sequence[Example] = ITEMS, answers: Sequence[Sequence[str]] = ANSWERS) -> list[Item]:
    """Every answer in a row of its own, prompt and all."""
    rows = [
        encode(item, base, max_length=base.context, completion=answer)
        for item, told in zip(items, answers, strict=True)
        for answer in told
    ]
    return [Item(0, (), (Row.of(row.ids, row.learnt),)) for row in rows]


def one_by_one(lanes: SequenceLanes, theta: Tensor, items: list[Item]) -> Tensor:
    """[K, answers] read from rows of their own."""
    return lanes.token_logprobs(theta, collate([items], theta.device)).sum(-1)


def test_a_row_by_hand() -> None:
    """Two answers to a prompt of three tokens: [5 6 7] [8 9] [4]."""
    row = Row.branching([5, 6, 7], [[8, 9], [4]])
    assert row.ids == (5, 6, 7, 8, 9, 4) and row.positions == (0, 1, 2, 3, 4, 3)
    assert row.segments == (SHARED,) * 3 + (0, 0, 1) and row.learnt == (False,) * 3 + (True,) * 3
    batch = collate([[Item(0, (), (row,))]], torch.device("cpu"))
    expected = ["100000", "110000", "111000", "111100", "111110", "111001"]
    assert ["".join(str(int(x)) for x in line) for line in seen(batch.segments)[0]] == expected
    assert batch.lengths.tolist() == [6] and batch.packed
    sums = text_sums(torch.tensor([[0.0, 0.0, 0.0, -1.0, -2.0, -4.0]]), batch.segments, 3)
    assert sums.tolist() == [[-3.0, -4.0, 0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_what_rows_of_their_own_read(base: Base, kind: str) -> None:
    lanes = SequenceLanes.fresh(base, kind, [4, 4], [0, 1])
    choices, theta = Choices.of(base, ITEMS, ANSWERS), moved(lanes)
    assert [len(item.parts) for item in choices.rows] == [1, 1, 1]
    with torch.no_grad():
        expected = one_by_one(lanes, theta, apart(base)).double()
    found = choices.logprobs(lanes, theta)
    torch.testing.assert_close(found[choices.places.expand(2, -1, -1) >= 0].view(2, -1), expected, rtol=1e-5, atol=1e-5)
    assert bool((found[:, choices.places < 0] == -torch.inf).all())
    bare = lanes.base_logprobs(collate([apart(base)], base.device)).sum(-1).double()
    torch.testing.assert_close(choices.base_logprobs(lanes)[choices.places >= 0], bare, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3", "svf", "prefix", "soft_prompt"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_rows_of_their_own(base: Base, kind: str, checkpointing: bool) -> None:
    lanes = SequenceLanes.fresh(base, kind, [3, 3], [0, 1])
    theta, choices = moved(lanes).requires_grad_(), Choices.of(base, ITEMS, ANSWERS)
    batch = collate([choices.rows], base.device)
    told = choices.by_answer(lanes.token_logprobs(theta, batch), batch)
    weights = torch.linspace(-1, 1, 7)
    (expected,) = torch.autograd.grad((one_by_one(lanes, theta, apart(base)) * weights).sum(), theta)
    loss = (told[:, choices.places >= 0] * weights).sum()
    if checkpointing:
        with lanes.checkpointing():
            again = choices.by_answer(lanes.token_logprobs(theta, batch), batch)
            loss = (again[:, choices.places >= 0] * weights).sum()
            (found,) = torch.autograd.grad(loss, theta)
    else:
        (found,) = torch.autograd.grad(loss, theta)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * max(1.0, float(expected.abs().max())))


def test_lanes_read_choices_of_their_own(base: Base) -> None:
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 1])
    theta = moved(lanes)
    each = [Choices.of(base, ITEMS, ANSWERS), Choices.of(base, ITEMS[2:], ANSWERS[2:])]
    found = own_logprobs(each, lanes, theta)
    for lane, own in enumerate(each):
        torch.testing.assert_close(found[lane], own.logprobs(lanes, theta)[lane], rtol=1e-5, atol=1e-5)


def test_kept_lower_layers_know_answers_from_one_text(base: Base) -> None:
    """A row of two answers and a text that is its tokens in a line are not the same, whichever is read first."""
    row = Row.branching([5, 6, 7], [[8, 9], [10, 11]])
    line = Row.of(row.ids, row.learnt)
    for order in ((row, line), (line, row)):
        lower = LowerLayers(base, 1)
        lanes = SequenceLanes.fresh(base, "lora", [4], [0], 1, lower=lower)
        for one in (*order, *order):
            batch = collate([[Item(0, (), (one,))]], base.device)
            found = lanes.token_logprobs(lanes.start, batch)[0, 0, -4:]
            ends = [(8, 9), (10, 11)] if one is row else [(8, 9, 10, 11)]
            own = [Item(0, (), (Row.of((5, 6, 7, *end), (False,) * 3 + (True,) * len(end)),)) for end in ends]
            expected = [lanes.token_logprobs(lanes.start, collate([[item]], base.device))[0, 0, 3:] for item in own]
            torch.testing.assert_close(found, torch.cat(expected), rtol=1e-5, atol=1e-5)
        assert lower.computed == 2 + 3 - 1  # the line is one of the texts of its own


def test_an_answer_that_takes_room_from_the_prompt_has_a_row_of_its_own(base: Base) -> None:
    item, short = ITEMS[1], ("yes", "no")
    long = "It is not known, and nobody can say"
    whole = len(encode(item, base, max_length=base.context, completion="yes").ids)
    found = answer_rows(item, base, (*short, long), max_length=whole)
    assert found.places == ((0, 0), (0, 1), (1, 0)) and len(found.rows) == 2
    for answer, (row, text), length in zip((*short, long), found.places, found.lengths, strict=True):
        own, told = encode(item, base, max_length=whole, completion=answer), found.rows[row]
        ids = tuple(i for i, number in zip(told.ids, told.segments, strict=True) if number in (SHARED, text))
        assert ids == own.ids and length == len(own.ids)
    with pytest.raises(AnswerTooLongError, match="'b'"):
        answer_rows(item, base, (long,), max_length=4)


def test_many_answers_are_several_rows(base: Base) -> None:
    answers = [f"{number} of all" for number in range(200)]
    found = answer_rows(ITEMS[0], base, answers, max_length=base.context)
    sizes = [sum(row.learnt) for row in found.rows]
    assert len(sizes) > 1 and max(sizes) <= ANSWER_TOKENS
    assert [text for row, text in found.places if row == 0] == list(range(sum(row == 0 for row, _ in found.places)))


def test_nano_reads_what_rows_of_their_own_read() -> None:
    base = load_base("nano")
    lanes = SequenceLanes.fresh(base, "lora", [4], [0], -2)
    theta, items = moved(lanes), [replace(item, id=f"{item.id}!") for item in ITEMS]
    choices = Choices.of(base, items, ANSWERS)
    with torch.no_grad():
        expected = one_by_one(lanes, theta, apart(base, items)).double()
    found = choices.logprobs(lanes, theta)[:, choices.places >= 0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
