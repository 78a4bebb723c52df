"""Distillation on real lanes: from another base of the same tokens, with and without an adapter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.training.loop.assignment import Progress
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.order import items_of
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.distillation import token_divergence
from llm_experts.training.methods.distil import Distil, DistilOptions
from llm_experts.training.methods.teacher import Teacher
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.loop.fixtures import assignment
from tests.llm_experts.training.methods.method_fixtures import EXAMPLES, run_of, settings_of


def student_and_teacher(weight: float = 0.5, teacher: Teacher | None = None):  # type: ignore[no-untyped-def]
    base = make_tiny_base(layers=2)
    settings = settings_of("sft")
    _, run = run_of(base, settings)
    method = Distil(DistilOptions(teacher="large", weight=weight), teacher or Teacher(make_tiny_base(4, seed=5)))
    method.start(run)
    return method, run, items_of(EXAMPLES, base, settings, "completion")


def test_both_parts_by_hand() -> None:
    method, run, items = student_and_teacher(0.3)
    batch = collate([items], run.base.device)
    theta = run.lanes.start + 0.05 * torch.randn(run.lanes.start.shape, generator=torch.Generator().manual_seed(0))
    loss, figures = method.loss(run.lanes, theta, batch)
    large = make_tiny_base(4, seed=5).model
    with torch.no_grad():
        known = large(batch.ids).logits[:, :-1][batch.learnt[:, 1:]]  # right padding changes nothing before it
    learnt = run.lanes.logits(theta, batch)
    told = batch.ids[batch.learnt]
    for lane in range(2):
        divergence = token_divergence(known, learnt[lane], 2.0).mean()
        surprise = cross_entropy(learnt[lane], told)
        torch.testing.assert_close(figures["divergence"][lane], divergence, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(figures["surprise"][lane], surprise)
        torch.testing.assert_close(loss[lane], 0.3 * 4 * divergence + 0.7 * surprise, rtol=1e-3, atol=1e-4)


def test_lanes_with_texts_of_their_own_cost_what_they_cost_alone() -> None:
    method, run, items = student_and_teacher()
    theta = run.lanes.start + 0.05
    own = [items[:3], items[3:]]
    together, _ = method.loss(run.lanes, theta, collate(own, run.base.device))
    for lane, some in enumerate(own):
        one = run.lanes.select(torch.tensor([lane]))
        alone, _ = method.loss(one, theta[lane : lane + 1], collate([some], run.base.device))
        torch.testing.assert_close(alone[0], together[lane])


def test_a_teacher_that_is_the_student_has_nothing_to_add_and_remembers() -> None:
    base = make_tiny_base(layers=2)
    adapter = SequenceLanes.fresh(base, "lora", [4], [0]).adapter(
        0, torch.full((SequenceLanes.fresh(base, "lora", [4], [0]).parameter_count,), 0.01)
    )
    teacher = Teacher(base, adapter, memory=3 * 400 * 4 * 2)
    method, run, items = student_and_teacher(1.0, teacher)
    batch = collate([items], run.base.device)
    theta = run.lanes.theta_of([adapter, adapter])
    for _ in range(2):  # once computed, once partly from memory
        loss, _ = method.loss(run.lanes, theta, batch)
        assert loss.abs().max() < 1e-5


def test_another_vocabulary_is_refused() -> None:
    base = make_tiny_base(layers=2)
    other: Base = make_tiny_base(layers=2)
    other.tokenizer.add_tokens(["savings"])
    teacher = Teacher(dataclasses.replace(other, id="large"))
    with pytest.raises(SettingsError, match=r"large does not have the tokens of tiny: 1 of .* first 'savings'"):
        teacher.check(base)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "needs a teacher"),
        ({"teacher": "nano", "temperature": 0.0}, "temperature"),
        ({"teacher": "x", "weight": 0.0}, "weight"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, float], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        DistilOptions(**options)  # type: ignore[arg-type]


def test_another_teacher_under_the_same_name_makes_another_expert(tmp_path: Path) -> None:
    """What options name is part of what an expert was made of, not only its name."""
    made, place, steps = make_tiny_base(layers=1), tmp_path / "teacher", list[Progress]()
    for part in (made.model, made.tokenizer):
        part.save_pretrained(place)
    base = load_base(str(place))
    (taught,) = fit(base, [assignment("taught", steps=1)], folder=tmp_path)
    options = {"teacher": str(place), "adapter": str(taught.folder)}

    def learn() -> int:
        steps.clear()
        fit(
            base,
            [assignment("pupil", steps=1, method="distil", options=options)],
            folder=tmp_path,
            progress=steps.append,
        )
        return len(steps)

    assert [learn(), learn()] == [1, 0]
    fit(base, [assignment("taught", steps=2)], folder=tmp_path)
    assert [learn(), learn()] == [1, 0]
