"""Families that are there, and one that a plug-in folder adds with one file."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experts.evidence import collect_evidence
from experts.expert import ROLES, Expert
from experts.families.registry import ROOM, family_facts, family_named, family_names
from experts.loading import load_expert
from experts.networks.trainer import Budget
from experts.saved import ExpertError
from experts.tuning.folds import fold_of_rows
from experts.tuning.models import ModelTuner, TunedModel
from experts.tuning.trial_store import ResumeError
from experts.tuning.trials import TuningError
from tests.asked import Asked, shares, sorted_by_class
from tests.examples import example
from tests.experts.conftest import build_graph_view, build_view

BUDGET = Budget(steps=20, eval_every=10, warm_up=5, hidden=4, rungs=(), attribution_rows=64)

LOGISTIC = example("experts/families/logistic.py")


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plug-in folder with one file: the family ``logistic``."""
    place = tmp_path / "plugins" / "experts" / "families"
    place.mkdir(parents=True)
    (place / "logistic.py").write_text(LOGISTIC)
    monkeypatch.setenv("FAIRMOE_PLUGINS", str(tmp_path / "plugins"))
    yield place
    sys.modules.pop(f"{ROOM}.logistic", None)
    sys.modules[ROOM].__path__[:] = [path for path in sys.modules[ROOM].__path__ if path != str(place)]


def tune(tuner, view, role, folder, *, trials=4, **settings):
    shared = {"budget": BUDGET, "batch": 2, "space": "wide", "epsilon": 0.05, "layers": 1, "utility_floor": 0.5}
    return tuner.tune(view, role, folder=folder, trials=trials, **{"seeds": [3], **shared, **settings})[0]


def test_the_families_of_the_project_say_what_they_are() -> None:
    assert {name: family_facts(name)["code"] for name in family_names()} == {
        "mlp": "", "ple_mlp": "p", "gbdt": "t", "linear": "l", "gcn": "g", "gin": "i", "sage": "s",
    }  # fmt: skip
    for name in family_names():
        facts, family = family_facts(name), family_named(name)
        assert {key: getattr(family, key) for key in facts} == facts
        assert set(facts) == {"label", "code", "needs_edges", "explainer"}
        assert facts["needs_edges"] == (name in ("gcn", "gin", "sage"))


def test_knowing_a_family_needs_no_tensor_library() -> None:
    code = (
        "import sys; from experts.families.registry import *; [family_named(n) for n in family_names()];"
        "print([m for m in ('torch', 'numpy', 'optuna', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("role", ["result", "procedural"])
@pytest.mark.parametrize("name", ["mlp", "ple_mlp", "gbdt", "linear", "gcn", "gin", "sage"])
def test_a_family_tunes_repeats_and_leaves_its_terms_out(name: str, role: str, tmp_path: Path) -> None:
    view, tuner = build_graph_view(), family_named(name).tuner()
    tuned = tune(tuner, view, role, tmp_path)
    assert tuned.expert.family == name and tuned.expert.explainer == family_facts(name)["explainer"]
    assert [again.seed for again in tuner.repeat(view, tuned, [5, 6])] == [5, 6]
    assert tuner.twin(view, tuned).family == name
    assert tuner.out_of_fold(view, [tuned], budget=BUDGET, folds=2, seed=0).shape == (len(view.split.train), 1)
    rows = view.split.validation
    assert tuner.trial_probabilities(view, tuned, rows).shape[1] == len(rows)
    loaded = load_expert(tmp_path / f"{tuned.stem}_best")
    assert torch.equal(loaded.logits(view, rows), tuned.expert.logits(view, rows))


@pytest.mark.usefixtures("plugins")
def test_a_family_is_one_file_in_a_plug_in_folder(tmp_path: Path) -> None:
    """Found by name, tuned for all roles, with files, twin, repeats, folds and the probabilities of all trials."""
    assert family_names()[-1] == "logistic"
    assert family_facts("logistic") == {
        "label": "Logistic", "code": "r", "needs_edges": False, "explainer": "linear",
    }  # fmt: skip
    view, tuner = build_view(), family_named("logistic").tuner()
    utility = tune(tuner, view, "utility", tmp_path, utility_floor=None)
    roles = {"utility": utility}
    for role in ROLES[1:]:
        roles[role] = tune(tuner, view, role, tmp_path, utility_floor=utility)
    rows = view.split.validation
    for role, tuned in roles.items():
        assert isinstance(tuned, TunedModel) and isinstance(tuned.expert, Expert)
        assert (tuned.role, tuned.expert.role, tuned.floor is None) == (role, role, role == "utility")
        written = json.loads((tmp_path / f"synthetic_logistic_{role}_tuning_results.json").read_text())
        assert written["best_params"] == tuned.best_params and written["family"] == "logistic"
        assert set(written["space"]) == set(tuned.best_params)
        loaded = load_expert(tmp_path / f"synthetic_logistic_{role}_best")
        assert torch.equal(loaded.logits(view, rows), tuned.expert.logits(view, rows))
    sensitive = list(view.columns[0].features)
    assert bool((roles["procedural"].expert.weights[sensitive] == 0).all())
    assert roles["procedural"].best_score == roles["procedural"].best_metrics["fair_proc@1"]
    assert roles["result"].best_metrics["fair_res@1"] < utility.best_metrics["fair_res@1"]

    twin, fair = tuner.twin(view, roles["result"]), roles["result"].expert
    assert not torch.allclose(twin.weights, fair.weights, atol=1e-3)
    assert torch.equal(tuner.twin(view, utility).weights, utility.expert.weights)

    logits = tuner.out_of_fold(view, list(roles.values()), budget=BUDGET, folds=3, seed=7)
    fold, train = fold_of_rows(view, 3, 7), view.split.train
    assert logits.shape == (len(train), 3)
    others = dataclasses.replace(view, split=dataclasses.replace(view.split, train=train[fold != 1]))
    for place, tuned in enumerate(roles.values()):
        alone = tuner.fit(others, tuned.role, tuned.best_params, tuned.fit_seed)
        assert torch.equal(logits[fold == 1, place], alone.logits(view, train[fold == 1]))
        assert not torch.allclose(logits[:, place], tuned.expert.logits(view, train), atol=1e-3)

    found = tuner.trial_probabilities(view, roles["result"], rows)
    place = [row["number"] for row in roles["result"].trials].index(roles["result"].best_trial)
    assert torch.equal(found[place], torch.sigmoid(fair.logits(view, rows)))
    again = tuner.repeat(view, roles["result"], [11])[0]
    assert again.seed == 11 and again.best_params == roles["result"].best_params
    assert collect_evidence(fair, view, rows).explainer == "linear"


@pytest.mark.usefixtures("plugins")
def test_an_interrupted_study_of_a_plug_in_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    view, family = build_view(), family_named("logistic")
    straight = tune(family.tuner(), view, "result", tmp_path / "straight")

    def dies_in_the_second_batch(done: int, _all: int) -> None:
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(family.tuner(), view, "result", tmp_path / "killed", progress=dies_in_the_second_batch)
    resumed = tune(family.tuner(), view, "result", tmp_path / "killed")
    assert resumed.trials == straight.trials
    assert torch.equal(resumed.expert.weights, straight.expert.weights)
    read = tune(family.tuner(), view, "result", tmp_path / "killed")  # nothing is left to do: all models are refitted
    rows = view.split.validation
    assert torch.equal(
        family.tuner().trial_probabilities(view, read, rows), family.tuner().trial_probabilities(view, straight, rows)
    )


class Constant:
    """An expert that says one number."""

    role, family, explainer = "utility", "constant", "none"

    def __init__(self, value: float) -> None:
        self.value = value

    def logits(self, task, rows, keep=None):
        return task.features[rows, 0] + self.value

    def attributions(self, task, rows):
        return torch.zeros(len(rows), len(task.columns))

    def save(self, folder: Path) -> None:
        (folder / "expert.json").write_text("{}")


def test_a_fit_that_fails_is_on_record_and_one_that_changed_is_refused(tmp_path: Path) -> None:
    from optuna.distributions import FloatDistribution

    view = build_view()

    def fit(view, role, params, seed):
        if params["x"] < 0.5:
            raise ValueError("x is too small")
        return Constant(params["x"])

    tuner = ModelTuner("constant", fit, lambda role: {"x": FloatDistribution(0.0, 1.0)})
    tuned = tune(tuner, view, "utility", tmp_path, trials=6)
    states = {row["state"] for row in tuned.trials}
    assert states == {"COMPLETE", "FAIL"}
    assert any("x is too small" in row["reason"] for row in tuned.trials)
    other = ModelTuner("constant", lambda *_: Constant(7.0), tuner.space)
    with pytest.raises(ResumeError, match="fitted again"):
        tune(other, view, "utility", tmp_path, trials=6)
    with pytest.raises(TuningError, match="x is too small"):
        failing = ModelTuner("constant", lambda *_: fit(view, "utility", {"x": 0}, 0), tuner.space)
        tune(failing, view, "utility", tmp_path / "none", trials=2)


def test_an_expert_of_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "expert.json").write_text('{"family": "oracle"}')
    with pytest.raises(ExpertError, match="its family is 'oracle'"):
        load_expert(tmp_path)
    (tmp_path / "expert.json").write_text("[]")
    with pytest.raises(ExpertError, match="its family is None"):
        load_expert(tmp_path)


def test_models_are_explained_on_every_cell_of_the_validation_rows() -> None:
    view, expert = sorted_by_class(8000), Asked("procedural")
    tuner = ModelTuner("linear", lambda *_: expert, lambda role: {})
    tuner.judged(view, "procedural", expert)
    (rows,) = expert.asked
    assert len(rows) == tuner.explained_rows
    assert shares(view, rows) == pytest.approx(shares(view, view.split.validation), abs=2 / len(rows))
