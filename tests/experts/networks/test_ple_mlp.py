from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from experts.expert import Expert
from experts.loading import load_expert
from experts.networks.lanes import LaneParameters
from experts.networks.ple_mlp import PLEExpert, PLENetwork
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from experts.saved import ExpertError
from tests.experts.conftest import build_view

VIEW = build_view(300)
ROWS = torch.arange(300)
NETWORK = PLENetwork()


def lanes() -> LaneParameters:
    return NETWORK.inputs(VIEW).initial(6, [1, 2])


def expert() -> PLEExpert:
    return NETWORK.expert(VIEW, "result", lanes(), lane=1)


def test_is_an_expert_with_the_margins_of_its_lane() -> None:
    assert isinstance(expert(), Expert)
    torch.testing.assert_close(expert().logits(VIEW, ROWS), NETWORK.inputs(VIEW).margins(lanes(), ROWS)[1])


def test_masked_columns_are_unknown_and_reasons_start_there() -> None:
    keep = torch.ones(300, len(VIEW.columns), dtype=torch.bool)
    unknown = expert().logits(VIEW, ROWS, ~keep)
    torch.testing.assert_close(
        expert().attributions(VIEW, ROWS).sum(1), expert().logits(VIEW, ROWS) - unknown, rtol=1e-4, atol=1e-5
    )
    keep[:, 2] = False
    features = VIEW.features.clone()
    features[:, list(VIEW.columns[2].features)] = 0
    masked = expert().logits(VIEW, ROWS, keep)
    torch.testing.assert_close(masked, expert().logits(VIEW.with_features(features), ROWS))
    none = torch.empty(0, dtype=torch.int64)
    assert expert().logits(VIEW, none).shape == (0,)
    assert expert().attributions(VIEW, none).shape == (0, len(VIEW.columns))


def test_rows_moved_to_a_group_are_encoded_again() -> None:
    moved = expert().logits(VIEW.moved_to(1), ROWS)
    here = VIEW.groups == 1
    torch.testing.assert_close(moved[here], expert().logits(VIEW, ROWS)[here])
    assert not torch.allclose(moved[~here], expert().logits(VIEW, ROWS)[~here])


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    expert().save(tmp_path)
    loaded = load_expert(tmp_path)
    assert torch.equal(loaded.logits(VIEW, ROWS), expert().logits(VIEW, ROWS))
    assert (loaded.family, loaded.role, loaded.encoding) == ("ple_mlp", "result", expert().encoding)
    facts = json.loads((tmp_path / "expert.json").read_text())
    (tmp_path / "expert.json").write_text(json.dumps(facts | {"edges": "no"}))
    with pytest.raises(ExpertError, match="bin edges"):
        PLEExpert.load(tmp_path)


@pytest.mark.parametrize("role", ["utility", "result", "procedural", "combined"])
def test_lanes_of_all_roles_are_trained_on_encoded_numbers(role: str) -> None:
    budget = Budget(steps=20, eval_every=10, warm_up=5, hidden=4, rungs=(), attribution_rows=64)
    names = {"result": ("lambda_fair",), "procedural": ("lambda_attention", "lambda_adv")}.get(role, ())
    config = LaneConfig(0.02, 0.0, dict.fromkeys(names, 1.0), 5)
    result = train_lanes(VIEW, role, [config], budget, seed=1, utility_floor=0.1, network=NETWORK)
    assert result.failure(0) == ""
    made = NETWORK.expert(VIEW, role, result.parameters)
    assert made.parameters.n_features == len(made.encoding.owner)
