"""A batch taken in parts has the whole batch's gradient, for every role, weight and variant of the objective."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from experts.expert import Role
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.training.accumulation import Accumulation, rows_in_parts
from llm_experts.training.batches import TrainingTexts
from llm_experts.training.objectives import LAMBDAS, Objective, Options, TextBatch
from llm_experts.training.objectives.answering import Answering
from llm_experts.training.text_blocks import TaskTexts
from tests.llm_experts.lane_fixtures import make_texts, noisy_lanes

ALL = slice(0, 2)
SCOPES = ("full", "suffix")


@pytest.fixture(scope="module", params=SCOPES)
def texts(request: pytest.FixtureRequest) -> TaskTexts:
    return make_texts(120, start=0, scope=request.param)


@pytest.fixture(scope="module")
def lanes(texts: TaskTexts) -> tuple[AdapterLanes, Tensor]:
    return noisy_lanes(texts)


def batch_of(texts: TaskTexts, weights: Tensor | None = None) -> TextBatch:
    stream = TrainingTexts(texts, 32, 0, moved=True, weights=weights)
    stream.base = torch.linspace(-1, 1, len(stream.block))
    stream.draw()
    return stream.batch()


def gradients(
    lanes: tuple[AdapterLanes, Tensor], batch: TextBatch, make: Callable[[], Objective], parts: int
) -> tuple[Tensor, int]:
    """Gradients of two steps in so many parts, and how often texts were run."""
    which, theta = lanes
    asked: list[int] = []

    def ask(at: Tensor, given: TopInput) -> Answers:
        asked.append(len(given.hidden))
        return which.answers(at, ALL, given)

    rows = list(torch.tensor_split(torch.randperm(len(batch), generator=torch.Generator().manual_seed(1)), parts))
    step = partial(Accumulation(make()).gradient, ask, theta, batch, ALL, True)
    return torch.stack([step(rows), step(rows)]), sum(asked)


def objective(
    texts: TaskTexts, role: Role, lambdas: list[dict[str, float]], options: Options, **more: Any
) -> Objective:
    return Objective(role, lambdas, options, 64, len(texts.view.group_names), [3, 4], **more)


def answering(texts: TaskTexts, least: float) -> Answering:
    words: Tensor = texts.cut.base.model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
    return Answering(words.detach(), least)


@pytest.mark.parametrize("least", [0.0, 0.4], ids=["mass suffices", "mass lacks"])
@pytest.mark.parametrize("weighted", [False, True], ids=["rows alike", "rows weighted"])
@pytest.mark.parametrize(
    "options", [Options(), Options(utility_loss="reward", kl=0.3)], ids=["cross-entropy", "reward"]
)
@pytest.mark.parametrize("role", list(LAMBDAS))
def test_parts_have_the_whole_batchs_gradient(
    texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor], role: Role, options: Options, weighted: bool, least: float
) -> None:
    train = len(texts.view.split.train)
    weights = torch.rand(2, train, generator=torch.Generator().manual_seed(2)) if weighted else None
    batch = batch_of(texts, weights)
    lambdas = [dict.fromkeys(LAMBDAS[role], 0.7), dict.fromkeys(LAMBDAS[role], 0.2)]

    def make() -> Objective:
        return objective(texts, role, lambdas, options, answering=answering(texts, least) if least else None)

    whole, _ = gradients(lanes, batch, make, 1)
    parts, _ = gradients(lanes, batch, make, 5)
    assert float(whole.abs().max()) > 1e-3
    torch.testing.assert_close(parts, whole, atol=1e-5 * float(whole.abs().max()), rtol=1e-4)


def test_rows_that_add_up_are_run_once(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    batch = batch_of(texts)
    _, plain = gradients(lanes, batch, lambda: objective(texts, "utility", [{}, {}], Options()), 4)
    gaps = [{"lambda_fair": 1.0}] * 2
    _, cached = gradients(lanes, batch, lambda: objective(texts, "result", gaps, Options()), 4)
    assert (plain, cached) == (2 * len(batch), 4 * len(batch))


def test_mass_that_lacks_is_looked_for_once(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    """The first step finds out and is run anew; the second knows."""
    batch, rule = batch_of(texts), answering(texts, 0.4)
    _, asked = gradients(lanes, batch, lambda: objective(texts, "utility", [{}, {}], Options(), answering=rule), 4)
    assert asked == (1 + 2 + 2) * len(batch)


def test_an_adversary_learns_the_same(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    batch, found = batch_of(texts), []
    for parts in (1, 4):
        made = objective(texts, "procedural", [{"lambda_adv": 1.0}] * 2, Options())
        for _ in range(3):
            last, _ = gradients(lanes, batch, lambda made=made: made, parts)  # type: ignore[misc]
            made.after_step()
        found.append(last)
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-3)


def test_parts_hold_few_tokens_and_every_row_once() -> None:
    lengths = torch.tensor([5, 9, 3, 9, 4, 8, 2])
    parts = rows_in_parts(lengths, 20, fits=False)
    assert sorted(torch.cat(parts).tolist()) == list(range(7))
    assert max(len(part) * int(lengths[part].max()) for part in parts) <= 20
    assert [part.tolist() for part in rows_in_parts(lengths, 20, fits=True)] == [list(range(7))]
    assert [len(part) for part in rows_in_parts(torch.tensor([30, 40]), 20, fits=False)] == [1, 1]
