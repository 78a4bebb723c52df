"""Learning from rewards on real lanes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.training.loop.order import items_of
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.policy import leave_one_out
from llm_experts.training.methods.drift import Bounds, Drift
from llm_experts.training.methods.rl import RLOptions, make
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.methods.method_fixtures import EXAMPLES, batches_of, run_of, settings_of


def test_listed_answers_give_the_expected_reward() -> None:
    base, settings = make_tiny_base(), settings_of("rl", {"estimate": "exact", "beta": 0.1, "closed": True})
    method, run = run_of(base, settings)
    (batch,) = batches_of(base, settings, method)
    theta = run.lanes.start + 0.05
    loss, figures = method.loss(run.lanes, theta, batch)
    pairs = [dataclasses.replace(e, completion="yes", rejected="no") for e in EXAMPLES]
    texts = collate([items_of(pairs, base, settings, "pair")], base.device)
    policy = run.lanes.token_logprobs(theta, texts).sum(-1).view(2, 2, 4).log_softmax(1)
    reference = run.lanes.base_logprobs(texts).sum(-1).view(2, 4).log_softmax(0)
    divergence = (policy.exp() * (policy - reference)).sum(1)
    torch.testing.assert_close(figures["reward"], policy[:, 0].exp().mean(-1))
    torch.testing.assert_close(figures["divergence"], divergence.mean(-1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss, -(policy[:, 0].exp() - 0.1 * divergence).mean(-1))


def test_open_sets_count_what_is_not_listed_and_lists_may_differ_in_length() -> None:
    base, settings = make_tiny_base(), settings_of("rl", {"estimate": "exact"})
    method, run = run_of(base, settings)
    longer = Example("e", "Answer:", facts={"labels": ["yes", "no", "unknown"]})
    both = items_of([EXAMPLES[0], longer], base, settings, "prompt")
    together, figures = method.loss(run.lanes, run.lanes.start, collate([both], base.device))
    alone = [method.loss(run.lanes, run.lanes.start, collate([[item]], base.device)) for item in both]
    torch.testing.assert_close(together, torch.stack([loss for loss, _ in alone]).mean(0))
    torch.testing.assert_close(figures["reward"], torch.stack([told["reward"] for _, told in alone]).mean(0))
    assert 0 < figures["reward"].max() < 0.01  # a random base says hardly ever yes
    own, _ = method.loss(run.lanes, run.lanes.start, collate([both[:1], both], base.device))
    torch.testing.assert_close(own, torch.stack([alone[0][0][0], together[1]]))


def test_the_sampled_gradient_is_that_of_rewards_compared_with_the_other_answers() -> None:
    base, settings = make_tiny_base(), settings_of("rl", {"samples": 3, "longest": 4, "beta": 0.2})
    method, run = run_of(base, settings)
    (batch,) = batches_of(base, settings, method)
    theta = (run.lanes.start + 0.02).requires_grad_()
    loss, figures = method.loss(run.lanes, theta, batch)
    (found,) = torch.autograd.grad(loss.sum(), theta)
    said, rewards = method._drawn(run.lanes, theta, batch)  # type: ignore[attr-defined]
    assert rewards.shape == (2, 4, 3) and said.ids.shape[:2] == (2, 12)
    logprobs = run.lanes.token_logprobs(theta, said).sum(-1).view(2, 4, 3)
    ratio = logprobs.detach() - run.lanes.base_logprobs(said).sum(-1).view(2, 4, 3)
    surrogate = (leave_one_out(rewards - 0.2 * ratio) * logprobs).mean((1, 2))
    (expected,) = torch.autograd.grad(-surrogate.sum(), theta)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(figures["divergence"], ratio.mean((1, 2)))
    assert bool((logprobs < 0).all())


def test_draws_change_with_the_step_the_lane_and_the_seed_and_nothing_else() -> None:
    base, settings = make_tiny_base(), settings_of("rl", {"samples": 2, "longest": 4})
    (method, run), (again, other) = run_of(base, settings), run_of(base, settings)
    (batch,) = batches_of(base, settings, method)

    def drawn(rl: Any, lanes: SequenceLanes) -> torch.Tensor:
        ids: torch.Tensor = rl._drawn(lanes, run.lanes.start, batch)[0].ids
        return ids

    first = drawn(method, run.lanes)
    assert torch.equal(first, drawn(again, other.lanes))
    assert not torch.equal(first[0], first[1])
    figures = {"reward": torch.zeros(2), "divergence": torch.zeros(2)}
    method.after_step(figures)
    assert not torch.equal(first, drawn(method, run.lanes))
    again.load(method.state())
    assert torch.equal(drawn(method, run.lanes), drawn(again, other.lanes))


def test_beta_follows_the_drift_and_lanes_stop_with_their_reason() -> None:
    drift = Drift(0.1, Bounds(target=1.0, most=5.0, least=0.2, every=2))
    drift.start(4, torch.device("cpu"))
    measured, rewards = torch.tensor([0.9, 2.0, 0.1, 9.0]), torch.tensor([0.5, 0.5, 0.1, 0.9])
    assert drift.after_step(measured, rewards) == [""] * 4
    assert drift.beta.tolist() == pytest.approx([0.1] * 4)
    reasons = drift.after_step(measured, rewards)
    torch.testing.assert_close(drift.beta, torch.tensor([0.1, 0.15, 0.1 / 1.5, 0.15]))
    assert reasons[:2] == ["", ""]
    assert reasons[2] == "the mean reward was 0.1 over the last 2 steps, below least_reward = 0.2"
    assert reasons[3].startswith("the divergence from the reference was 9 nats an answer over the last 2 steps, above")
    drift.select(torch.tensor([1]))
    copy = Drift(0.1, Bounds(1.0, 5.0, 0.2, 2))
    copy.start(1, torch.device("cpu"))
    copy.load(drift.state())
    assert copy.after_step(torch.tensor([0.9]), torch.tensor([1.0])) == [""]
    assert math.isclose(copy.beta.item(), 0.15, rel_tol=1e-6)


def test_items_without_a_list_of_answers_are_named() -> None:
    base, settings = make_tiny_base(), settings_of("rl", {"estimate": "exact"})
    method, run = run_of(base, settings)
    items = items_of([Example("q7", "Answer:", facts={"labels": "yes"})], base, settings, "prompt")
    with pytest.raises(DataError, match="'q7' does not list its answers"):
        method.loss(run.lanes, run.lanes.start, collate([items], base.device))


def test_without_a_reward_training_does_not_begin() -> None:
    method, run = run_of(make_tiny_base(), settings_of("rl"))
    bare = [dataclasses.replace(given, judge=None) for given in run.assignments]
    with pytest.raises(SettingsError, match="Nothing says what an answer of the expert e0 is worth"):
        method.start(dataclasses.replace(run, assignments=bare))
    make(RLOptions(reward="strings")).start(dataclasses.replace(run, assignments=bare))


@pytest.mark.parametrize(
    "options",
    [{"estimate": "guess"}, {"samples": 1}, {"beta": -1.0}, {"temperature": 0.0}, {"target": 0.1, "beta": 0.0}],
)
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        RLOptions(**options)  # type: ignore[arg-type]
