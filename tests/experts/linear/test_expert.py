from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from experts.expert import Expert
from experts.linear.expert import LinearExpert
from experts.linear.fitting import fit, space
from experts.loading import load_expert
from experts.saved import ExpertError
from tests.experts.conftest import build_view

VIEW = build_view(400)
ROWS = torch.arange(100)
RAW = {"C": 1.0, "encoding": "raw"}
PIECEWISE = {"C": 1.0, "encoding": "piecewise_linear"}
RESULT = {"method": "penalty", "lambda_weight": 1.0, "lambda_fair": 1.0}
PROCEDURAL = {"proxy_limit": 0.15, "lambda_proxy": 1.0}


def test_on_raw_numbers_it_is_logistic_regression() -> None:
    train = VIEW.split.train
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    model.fit(VIEW.features[train].double().numpy(), VIEW.labels[train].numpy())
    expected = torch.from_numpy(model.decision_function(VIEW.features.double().numpy())).float()
    found = fit(VIEW, "utility", RAW, 0).logits(VIEW, torch.arange(400))
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("params", [RAW, PIECEWISE], ids=["raw", "piecewise"])
def test_reasons_are_exact_and_masked_columns_unknown(params: dict[str, object]) -> None:
    expert = fit(VIEW, "utility", params, 0)
    assert isinstance(expert, Expert) and expert.parameter_count == len(expert.weight) + 1
    keep = torch.ones(100, len(VIEW.columns), dtype=torch.bool)
    unknown = expert.logits(VIEW, ROWS, ~keep)
    torch.testing.assert_close(unknown, torch.full((100,), expert.bias))
    torch.testing.assert_close(expert.attributions(VIEW, ROWS).sum(1), expert.logits(VIEW, ROWS) - unknown)
    keep[:, 2] = False
    features = VIEW.features.clone()
    features[:, list(VIEW.columns[2].features)] = 0
    torch.testing.assert_close(expert.logits(VIEW, ROWS, keep), expert.logits(VIEW.with_features(features), ROWS))


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    for name, params in (("raw", RAW), ("piecewise", PIECEWISE)):
        (tmp_path / name).mkdir()
        expert = fit(VIEW, "result", {**params, **RESULT}, 0)
        expert.save(tmp_path / name)
        loaded = load_expert(tmp_path / name)
        assert torch.equal(loaded.logits(VIEW, ROWS), expert.logits(VIEW, ROWS))
        assert (loaded.role, loaded.family, loaded.encoding) == ("result", "linear", expert.encoding)


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    fit(VIEW, "utility", PIECEWISE, 0).save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text())
    for edges in (None, facts["edges"][1:], [[1.0, 0.0]] * len(facts["edges"])):
        (tmp_path / "expert.json").write_text(json.dumps(facts | {"edges": edges}))
        with pytest.raises(ExpertError, match="bin edges of 8 features"):
            LinearExpert.load(tmp_path)
    (tmp_path / "expert.json").write_text(json.dumps(facts | {"edges": [[]] * len(facts["edges"])}))
    with pytest.raises(ExpertError, match="asks for 8 finite weights"):
        LinearExpert.load(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(ExpertError, match="is damaged"):
        LinearExpert.load(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(ExpertError, match="There is no"):
        LinearExpert.load(tmp_path)


@pytest.mark.parametrize("encoding", ["raw", "piecewise_linear"])
def test_procedural_models_look_neither_at_the_group_nor_at_its_proxies(encoding: str) -> None:
    expert = fit(VIEW, "procedural", {"C": 1.0, "encoding": encoding, **PROCEDURAL}, 0)
    used = expert.attributions(VIEW, ROWS).abs().sum(0)
    names = [column.name for column in VIEW.columns]
    assert used[names.index("s")] == 0 and used[names.index("x0")] == 0 and used[names.index("x1")] > 0


@pytest.mark.parametrize("method", ["reweighing", "penalty"])
def test_result_models_close_the_gap(method: str) -> None:
    rows = VIEW.split.train

    def gap(expert: LinearExpert) -> float:
        chosen = torch.sigmoid(expert.logits(VIEW, rows))
        means = [float(chosen[VIEW.groups[rows] == group].mean()) for group in (0, 1)]
        return abs(means[0] - means[1])

    assert gap(fit(VIEW, "result", {**RAW, **RESULT, "method": method}, 0)) < gap(fit(VIEW, "utility", RAW, 0)) * 0.8


def test_spaces_and_roles() -> None:
    assert set(space("utility")) == {"C", "encoding"} < set(space("result"))
    with pytest.raises(ValueError, match="no linear model of the role combined"):
        fit(VIEW, "combined", RAW, 0)
