from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experts.expert import Expert
from experts.networks.lanes import LaneParameters, margins
from experts.networks.mlp import MLPExpert
from experts.saved import ExpertError
from tasks.task import TaskView

Views = Callable[..., TaskView]


def expert_of(view: TaskView) -> MLPExpert:
    return MLPExpert.of_lane(view, "result", LaneParameters.initial(view.features.shape[1], 5, [1, 2]), lane=1)


def test_is_an_expert_with_the_lanes_margins(make_view: Views) -> None:
    view = make_view(100)
    expert = expert_of(view)
    assert isinstance(expert, Expert)
    expected = margins(LaneParameters.initial(view.features.shape[1], 5, [2]), view.features)[0]
    torch.testing.assert_close(expert.logits(view, torch.arange(100)), expected)


def test_masked_columns_are_unknown(make_view: Views) -> None:
    view = make_view(100)
    expert, rows = expert_of(view), torch.arange(40)
    keep = torch.ones(40, len(view.columns), dtype=torch.bool)
    keep[:, 1] = False
    features = view.features.clone()
    features[:, list(view.columns[1].features)] = 0
    torch.testing.assert_close(expert.logits(view, rows, keep), expert.logits(view.with_features(features), rows))


def test_attributions_sum_to_the_margin_above_all_unknown(make_view: Views) -> None:
    view = make_view(100)
    expert, rows = expert_of(view), torch.arange(100)
    unknown = expert.logits(view, rows, torch.zeros(100, len(view.columns), dtype=torch.bool))
    attributions = expert.attributions(view, rows)
    assert attributions.shape == (100, len(view.columns))
    torch.testing.assert_close(attributions.sum(1), expert.logits(view, rows) - unknown, rtol=1e-4, atol=1e-5)


def test_no_rows(make_view: Views) -> None:
    view = make_view(50)
    none = torch.empty(0, dtype=torch.int64)
    assert expert_of(view).logits(view, none).shape == (0,)
    assert expert_of(view).attributions(view, none).shape == (0, len(view.columns))


def test_saved_and_loaded_is_the_same(make_view: Views, tmp_path: Path) -> None:
    view = make_view(50)
    expert = expert_of(view)
    expert.save(tmp_path)
    loaded = MLPExpert.load(tmp_path)
    assert torch.equal(loaded.parameters.theta, expert.parameters.theta)
    assert dataclasses.replace(loaded, parameters=expert.parameters) == expert


def test_other_features_are_named(make_view: Views) -> None:
    expert = expert_of(make_view(50))
    other = dataclasses.replace(make_view(50), feature_names=("z", *make_view(50).feature_names[1:]))
    with pytest.raises(ExpertError, match=r"missing \['f0'\].*\['z'\]"):
        expert.logits(other, torch.arange(3))
    swapped = dataclasses.replace(make_view(50), feature_names=make_view(50).feature_names[::-1])
    with pytest.raises(ExpertError, match="another order"):
        expert.attributions(swapped, torch.arange(3))


def test_damaged_files_are_refused_by_name(make_view: Views, tmp_path: Path) -> None:
    expert_of(make_view(50)).save(tmp_path)
    weights, description = tmp_path / "weights.safetensors", tmp_path / "expert.json"
    whole, facts = weights.read_bytes(), json.loads(description.read_text())

    def refused(text: str) -> None:
        with pytest.raises(ExpertError, match=text):
            MLPExpert.load(tmp_path)

    weights.write_bytes(whole[:-8])
    refused("weights.safetensors is damaged")
    weights.write_bytes(b"")
    refused("weights.safetensors is damaged")
    weights.unlink()
    refused("There is no .*weights.safetensors")
    save_file({"theta": torch.zeros(1, 3)}, weights)
    refused("asks for theta")
    count = facts["hidden"] * (len(facts["feature_names"]) + 2) + 1
    save_file({"theta": torch.full((1, count), float("nan"))}, weights)
    refused("not finite")
    for change, text in (
        ({"family": "gcn"}, "family is 'gcn'"),
        ({"role": "x"}, "role is 'x'"),
        ({"hidden": -1}, "hidden is -1"),
        ({"feature_names": "abc"}, "feature_names"),
        ({"task_hash": None}, "task_hash"),
    ):
        description.write_text(json.dumps({**facts, **change}))
        refused(text)
    for broken in ("[]", "{"):
        description.write_text(broken)
        refused("expert.json")
    description.unlink()
    refused("There is no .*expert.json")
