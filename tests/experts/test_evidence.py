from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experts import evidence
from experts.evidence import ALL_EXPLAINED, EXPLAINED_ROWS, collect_evidence, explained_positions
from experts.networks.lane_metrics import lane_probabilities, lane_reasons, reason_metrics
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from metrics.procedural import procedural_points
from metrics.procedural.counterfactual import flips, shifts
from tasks.load import load_task
from tasks.task import TaskView

Views = Callable[..., TaskView]


def expert_of(view: TaskView, seed: int = 1) -> MLPExpert:
    return MLPExpert.of_lane(view, "utility", LaneParameters.initial(view.features.shape[1], 5, [seed]))


@pytest.mark.parametrize("n_groups", [2, 3])
def test_evidence_is_what_its_words_say(make_view: Views, n_groups: int) -> None:
    view, rows = make_view(200, n_groups=n_groups), torch.tensor([7, 3, 150, 99])
    expert = expert_of(view)
    found = collect_evidence(expert, view, rows)
    assert found.attributions is not None and found.masked is not None and found.counterfactual is not None
    torch.testing.assert_close(found.probability, torch.sigmoid(expert.logits(view, rows)))
    for i, row in enumerate(rows):
        features = view.features.clone()
        top = int(found.attributions[i].abs().argmax())
        features[:, list(view.columns[top].features)] = 0
        masked = torch.sigmoid(expert.logits(view.with_features(features), row[None]))
        torch.testing.assert_close(found.masked[i], masked[0])
        own = int(view.groups[row])
        torch.testing.assert_close(found.counterfactual[i, own], found.probability[i])
    assert found.counterfactual.shape == (4, n_groups)
    assert found.features is not None and view.flip is not None
    assert torch.equal(found.features[:, ~view.flip.mask], view.features[rows][:, ~view.flip.mask])
    assert not found.features[:, view.flip.mask].any()  # rows are matched across groups: not by their group
    assert found.sensitive_columns == (0,)
    assert found.explainer == "integrated_gradients"


def test_chunks_change_nothing(make_view: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    view = make_view(200)
    whole = collect_evidence(expert_of(view), view, view.split.test)
    monkeypatch.setattr(evidence, "CHUNK_ROWS", 7)
    parts = collect_evidence(expert_of(view), view, view.split.test)
    for name in ("probability", "attributions", "masked", "counterfactual"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name))


def test_without_sensitive_features_there_is_no_counterfactual(make_view: Views) -> None:
    view = dataclasses.replace(make_view(60), flip=None)
    assert collect_evidence(expert_of(view), view, view.split.test).counterfactual is None


def test_counterfactuals_of_tabular_experts_move_the_sensitive_features_alone() -> None:
    view = load_task("scm", rows=600).view()
    expert, rows = expert_of(view), view.split.validation
    assert view.flip is not None
    moved = [torch.where(view.flip.mask, values, view.features) for values in view.flip.values]
    alone = [torch.sigmoid(expert.logits(view.with_features(features), rows)) for features in moved]
    found = collect_evidence(expert, view, rows).counterfactual
    assert found is not None and torch.equal(found, torch.stack(alone, 1)), "to the last bit"


class Reader:
    """An expert that reads the rows' text and nothing else."""

    role, family, explainer = "utility", "text", "occlusion"

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        return torch.tensor([float("is female" in text) for text in task.text(rows, keep)])

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        return torch.eye(len(task.columns))[torch.zeros(len(rows), dtype=torch.int64)]

    def save(self, folder: Path) -> None:
        (folder / "expert.json").write_text("{}", encoding="utf-8")


def test_experts_that_read_text_see_counterfactuals() -> None:
    view = load_task("scm", rows=200).view()
    found = collect_evidence(Reader(), view, view.split.validation)
    assert found.counterfactual is not None and view.columns[0].name == "sex"
    says = torch.sigmoid(torch.tensor([float(name == "female") for name in view.group_names]))
    assert torch.equal(found.counterfactual, says.expand(len(view.split.validation), -1))
    assert torch.equal(found.probability, says[view.groups[view.split.validation]])


def test_lanes_give_the_evidence_of_their_experts(make_view: Views) -> None:
    view = make_view(300)
    rows, parameters = view.split.validation, LaneParameters.initial(view.features.shape[1], 5, [1, 2])
    probability = lane_probabilities(parameters, view.features[rows])
    attributions, masked = lane_reasons(parameters, view, view.features[rows])
    metrics = reason_metrics(parameters, view, rows)
    for lane, seed in enumerate((1, 2)):
        own = collect_evidence(expert_of(view, seed), view, rows)
        assert own.attributions is not None and own.masked is not None
        torch.testing.assert_close(probability[lane], own.probability)
        torch.testing.assert_close(attributions[lane], own.attributions, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(masked[lane], own.masked, rtol=1e-4, atol=1e-5)
        points = procedural_points(
            own.probability[None], own.masked[None], own.attributions[None], view.groups[rows], 2, view.labels[rows]
        )
        assert float(metrics["fair_proc@1"][lane]) == pytest.approx(float(points["fair_proc@1"]), abs=1e-4)


def test_explained_rows_are_a_sample_of_the_rows() -> None:
    view = load_task("scm").view()
    rows, expert = view.split.test, expert_of(view)
    few = explained_positions(view.groups[rows], view.groups[rows], 0)
    assert (few is None) == (len(rows) <= ALL_EXPLAINED)
    few = torch.arange(0, len(rows), 3)
    whole, part = collect_evidence(expert, view, rows), collect_evidence(expert, view, rows, few)
    torch.testing.assert_close(part.probability, whole.probability)
    for name in ("attributions", "masked", "features"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name)[few])
    assert part.explained is few and len(part.of_explained(view.groups[rows])) == len(few)
    assert part.counterfactual is not None and whole.counterfactual is not None
    for measure in (flips, shifts):  # the row's own group is not looked at
        by_row = measure(part.probability, part.counterfactual, view.groups[rows])
        torch.testing.assert_close(by_row, measure(whole.probability, whole.counterfactual, view.groups[rows]))


def test_explained_positions_are_few_and_stratified() -> None:
    labels, groups = torch.arange(9000) % 2, (torch.arange(9000) % 3 == 0).long()
    few = explained_positions(labels, groups, 5)
    assert few is not None and len(few) == EXPLAINED_ROWS and bool((few.diff() > 0).all())
    assert torch.equal(few, explained_positions(labels, groups, 5))
    for cell in range(4):
        inside = (labels * 2 + groups == cell).double()
        assert abs(float(inside[few].mean() - inside.mean())) < 0.002
    assert explained_positions(labels[:ALL_EXPLAINED], groups[:ALL_EXPLAINED], 5) is None
