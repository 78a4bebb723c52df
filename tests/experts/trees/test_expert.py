from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from experts.expert import Expert
from experts.loading import load_expert
from experts.saved import ExpertError
from experts.trees.expert import TreeExpert
from experts.trees.fitting import fit, space
from tasks.task import TaskView
from tests.experts.conftest import build_view

VIEW = build_view(400)
PLAIN = {"learning_rate": 0.2, "num_leaves": 5, "min_data_in_leaf": 5}
RESULT = {**PLAIN, "method": "objective", "lambda_weight": 1.0, "lambda_fair": 2.0}
PROCEDURAL = {**PLAIN, "method": "association", "proxy_limit": 0.15, "lambda_proxy": 1.0}


def expert(view: TaskView = VIEW) -> TreeExpert:
    return fit(view, "utility", PLAIN, 3)


def test_is_an_expert_whose_masked_columns_are_unknown() -> None:
    rows = torch.arange(50)
    assert isinstance(expert(), Expert) and expert().parameter_count > 0
    keep = torch.ones(50, len(VIEW.columns), dtype=torch.bool)
    keep[:, 1] = False
    features = VIEW.features.clone()
    features[:, list(VIEW.columns[1].features)] = 0
    assert torch.equal(expert().logits(VIEW, rows, keep), expert().logits(VIEW.with_features(features), rows))
    none = torch.empty(0, dtype=torch.int64)
    assert expert().logits(VIEW, none).shape == (0,)
    assert expert().attributions(VIEW, none).shape == (0, len(VIEW.columns))


def test_reasons_by_column_sum_to_the_margin_above_one_number() -> None:
    rows = torch.arange(200)
    above = expert().logits(VIEW, rows) - expert().attributions(VIEW, rows).sum(1)
    assert float(above.std()) < 1e-5


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    rows = torch.arange(100)
    for role, params in (("utility", PLAIN), ("result", RESULT), ("procedural", PROCEDURAL)):
        folder = tmp_path / role
        folder.mkdir()
        made = fit(VIEW, role, params, 3)
        made.save(folder)
        loaded = load_expert(folder)
        assert torch.equal(loaded.logits(VIEW, rows), made.logits(VIEW, rows))
        assert torch.equal(loaded.attributions(VIEW, rows), made.attributions(VIEW, rows))
        assert dataclasses.replace(loaded, model=made.model) == made
        assert {path.name for path in folder.iterdir()} == {"trees.txt", "expert.json"}


def test_damaged_files_and_other_features_are_refused(tmp_path: Path) -> None:
    expert().save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text())
    (tmp_path / "expert.json").write_text(json.dumps(facts | {"feature_names": facts["feature_names"][1:]}))
    with pytest.raises(ExpertError, match="reads 8 features"):
        TreeExpert.load(tmp_path)
    (tmp_path / "expert.json").write_text(json.dumps(facts | {"offset": "x"}))
    with pytest.raises(ExpertError, match="offset 'x'"):
        TreeExpert.load(tmp_path)
    (tmp_path / "expert.json").write_text(json.dumps(facts))
    (tmp_path / "trees.txt").unlink()
    with pytest.raises(ExpertError, match=r"trees\.txt is missing"):
        TreeExpert.load(tmp_path)
    other = dataclasses.replace(VIEW, feature_names=("z", *VIEW.feature_names[1:]))
    with pytest.raises(ExpertError, match="missing"):
        expert().attributions(other, torch.arange(3))


def test_procedural_trees_look_neither_at_the_group_nor_at_its_proxies() -> None:
    """Column x0 is 0.8 higher in a group (V about .3); the others tell nothing."""
    used = fit(VIEW, "procedural", PROCEDURAL, 3).attributions(VIEW, VIEW.split.train).abs().sum(0)
    names = [column.name for column in VIEW.columns]
    assert used[names.index("s")] == 0 and used[names.index("x0")] == 0 and used[names.index("x1")] > 0
    used = fit(VIEW, "procedural", PROCEDURAL | {"proxy_limit": 1.0}, 3).attributions(VIEW, VIEW.split.train)
    assert float(used[:, names.index("s")].abs().sum()) == 0 and float(used[:, names.index("x0")].abs().sum()) > 0


@pytest.mark.parametrize("method", ["association", "attribution"])
def test_the_more_the_penalty_the_less_trees_look_at_a_proxy(method: str) -> None:
    def share(strength: float) -> float:
        params = {**PROCEDURAL, "method": method, "proxy_limit": 1.0, "lambda_proxy": strength}
        sizes = fit(VIEW, "procedural", params, 3).attributions(VIEW, VIEW.split.train).abs().sum(0)
        return float(sizes[2] / sizes.sum())

    assert share(30.0) < share(0.0) / 2


def test_result_trees_close_the_gap_in_either_way() -> None:
    rows = VIEW.split.train

    def gap(role: str, **params: object) -> float:
        chosen = torch.sigmoid(fit(VIEW, role, {**RESULT, **params} if params else PLAIN, 3).logits(VIEW, rows))
        means = [float(chosen[VIEW.groups[rows] == group].mean()) for group in (0, 1)]
        return abs(means[0] - means[1])

    plain = gap("utility")
    assert gap("result", method="reweighing") < plain and gap("result", method="objective") < plain / 2


def test_spaces_name_what_fitting_reads() -> None:
    assert set(space("utility")) < set(space("result")) and set(space("utility")) < set(space("procedural"))
    with pytest.raises(ValueError, match="no boosted trees of the role combined"):
        fit(VIEW, "combined", PLAIN, 0)
