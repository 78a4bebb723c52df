"""Learning to choose: values worked out by hand, and what holds an expert at its base."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.registry import family_named
from llm_experts.training.loop.order import items_of
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.policy import answer_events, expected_reward
from llm_experts.training.methods.choice import Choice, ChoiceOptions
from llm_experts.training.methods.listed import Listed, by_answer
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.methods.method_fixtures import run_of, settings_of

ITEMS = [
    Example("a", "Is 3 odd? Answer:", "yes", facts={"listed": ["no", "yes"]}),
    Example("b", "Is 4 odd? Answer:", "no", facts={"listed": ["no", "yes", "unknown"]}),
]


@pytest.mark.parametrize("worth", ["log", "sign"])
def test_the_loss_is_what_is_climbed_less_what_leaving_costs(worth: str) -> None:
    base, beta, weight = make_tiny_base(), 0.3, 0.5
    settings = settings_of("choice", {"worth": worth, "beta": beta, "answer": weight})
    method, run = run_of(base, settings, examples=ITEMS)
    theta = run.lanes.start + 0.05
    loss, figures = method.loss(run.lanes, theta, collate([items_of(ITEMS, base, settings, "prompt")], base.device))
    gains, costs, chosen = [], [], []
    for example in ITEMS:
        answers = [example.completion, *(a for a in example.facts["listed"] if a != example.completion)]
        told = [dataclasses.replace(example, completion=answer) for answer in answers]
        texts = collate([items_of(told, base, settings, "completion")], base.device)
        policy = run.lanes.token_logprobs(theta, texts).sum(-1)
        events, before = answer_events(policy), answer_events(run.lanes.base_logprobs(texts).sum(-1))
        p = policy.softmax(-1)[:, 0]
        written = policy[:, 0] / int(texts.learnt[0].sum())
        gains.append((p.log() if worth == "log" else 2 * p - 1) + weight * written)
        costs.append((events.exp() * (events - before)).sum(-1))
        chosen.append(p)
    torch.testing.assert_close(figures["chosen"], torch.stack(chosen).mean(0))
    torch.testing.assert_close(figures["divergence"], torch.stack(costs).mean(0), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(loss, beta * torch.stack(costs).mean(0) - torch.stack(gains).mean(0))


def test_both_gains_have_one_direction_and_log_learns_most_where_the_base_is_wrong() -> None:
    """The gradient of log p is that of p divided by p."""
    base, found = make_tiny_base(), {}
    for worth in ("log", "sign"):
        settings = settings_of("choice", {"worth": worth, "beta": 0.0})
        method, run = run_of(base, settings, examples=ITEMS)
        theta = (run.lanes.start + 0.05).requires_grad_()
        batch = collate([items_of(ITEMS[:1], base, settings, "prompt")], base.device)
        loss, figures = method.loss(run.lanes, theta, batch)
        (found[worth],) = torch.autograd.grad(loss.sum(), theta)
        p = figures["chosen"][:, None]
    torch.testing.assert_close(found["log"], found["sign"] / (2 * p), rtol=1e-4, atol=1e-6)


def test_answers_of_unlike_number_do_not_compete_with_nothing() -> None:
    """Long answers are very unlikely; a place that a shorter list leaves empty must be less likely still."""
    two, three = (Listed(("a",) * n, (), (), (0.0,) * n) for n in (2, 3))
    values = torch.tensor([-200.0, -201.0, -300.0, -300.0, -300.0])
    table = by_answer(values, [[two, three]])
    _, reward, divergence = expected_reward(table, table, torch.ones_like(table), 0.1)
    torch.testing.assert_close(reward, torch.ones(1, 2))
    torch.testing.assert_close(divergence, torch.zeros(1, 2))
    torch.testing.assert_close(table.softmax(-1)[0, 0, 0], torch.tensor(1.0).sigmoid())
    torch.testing.assert_close(table.softmax(-1)[0, 1], torch.full((3,), 1 / 3))


def test_lanes_with_items_of_their_own_are_what_each_is_alone() -> None:
    base, settings = make_tiny_base(), settings_of("choice", {"answer": 1.0})
    method, run = run_of(base, settings, examples=ITEMS)
    theta = run.lanes.start + 0.05
    both = items_of(ITEMS, base, settings, "prompt")
    own, _ = method.loss(run.lanes, theta, collate([both[:1], both], base.device))
    alone, _ = method.loss(run.lanes, theta, collate([both[:1]], base.device))
    shared, _ = method.loss(run.lanes, theta, collate([both], base.device))
    torch.testing.assert_close(own, torch.stack([alone[0], shared[1]]))


def test_a_micro_batch_may_hold_nothing_of_the_first_lane() -> None:
    base, settings = make_tiny_base(), settings_of("choice")
    method, run = run_of(base, settings, examples=ITEMS)
    theta = run.lanes.start + 0.05
    both = items_of(ITEMS, base, settings, "prompt")
    own, _ = method.loss(run.lanes, theta, collate([[], both], base.device))
    shared, _ = method.loss(run.lanes, theta, collate([both], base.device))
    torch.testing.assert_close(own, torch.stack([torch.zeros(()), shared[1]]))


def test_beta_follows_those_who_watch_and_has_a_floor() -> None:
    base, settings = make_tiny_base(), settings_of("choice", {"beta": 0.1})
    method, _ = run_of(base, settings, seeds=(0, 1, 2), examples=ITEMS)
    assert isinstance(method, Choice)
    method.after_look({0: 1.5, 2: 1 / 1.5})
    torch.testing.assert_close(method.beta, torch.tensor([0.15, 0.1, 0.1 / 1.5]))
    for _ in range(20):
        method.after_look({2: 1 / 1.5})
    torch.testing.assert_close(method.beta[2], torch.tensor(0.01))
    method.select(torch.tensor([0, 2]))
    state = {name: value.clone() for name, value in method.state().items()}
    method.after_look({0: 1.5, 1: 1.5})
    method.load(state)
    torch.testing.assert_close(method.beta, torch.tensor([0.15, 0.01]))


def test_items_that_do_not_list_their_answer_are_named_before_training() -> None:
    base, settings = make_tiny_base(), settings_of("choice")
    for facts, told in (({}, "does not list its answers"), ({"listed": ["no", "unknown"]}, "its completion 'yes'")):
        with pytest.raises(DataError, match=f"'x'.*{told}"):
            run_of(base, settings, examples=[Example("x", "Answer:", "yes", facts=facts)])


def test_items_without_a_list_have_their_labels_or_what_their_family_refutes() -> None:
    base, settings = make_tiny_base(), settings_of("choice")
    labelled = Example("x", "Answer:", "yes", facts={"labels": ["no", "yes"]})
    (sum_of,) = family_named("arithmetic").make("train", 1, 0, 0.0)
    method, _ = run_of(base, settings, examples=[labelled, sum_of])
    assert isinstance(method, Choice)
    assert method._listed(labelled).texts == ("no", "yes")
    texts = method._listed(sum_of).texts
    assert texts[0] == sum_of.completion and len(texts) == 4
    assert method._listed(sum_of) is method._listed(sum_of), "made once"


@pytest.mark.parametrize(
    ("method_name", "options"), [("choice", {}), ("rl", {"estimate": "exact", "labels": "listed"}), ("dpo", {})]
)
def test_the_reference_is_read_before_training(
    monkeypatch: pytest.MonkeyPatch, method_name: str, options: dict[str, str]
) -> None:
    """Its last bits go with the texts of its batch: kept from a step, they would differ after a kill and resume."""
    base, settings = make_tiny_base(), settings_of(method_name, options)
    pairs = [dataclasses.replace(item, rejected="unknown") for item in ITEMS]
    method, run = run_of(base, settings, examples=pairs)

    def read_again(*_given: object) -> None:
        raise AssertionError("the base was read in a step")

    monkeypatch.setattr(SequenceLanes, "_final_of_base", read_again)
    for part in (pairs[:1], pairs):
        items = items_of(part, base, settings, method.needs)
        loss, _ = method.loss(run.lanes, run.lanes.start + 0.05, collate([items], base.device))
        assert bool(loss.isfinite().all())


@pytest.mark.parametrize("options", [{"worth": "square"}, {"answer": -1.0}, {"beta": -0.1}])
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="it must be"):
        ChoiceOptions(**options)  # type: ignore[arg-type]
