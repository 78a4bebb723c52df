"""Tuning: constraints, resuming, twins, folds, and files that give the same expert back."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from experts.tuning.results import save_tuned
from experts.tuning.trial_store import ResumeError
from llm_experts.reading.expert import load_llm_expert
from llm_experts.training import tuning as module
from llm_experts.training.out_of_fold import out_of_fold_logits
from llm_experts.training.search_space import describe, search_space
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, train_lanes
from llm_experts.training.tuning import TunedAdapter, tune, tune_seeds
from llm_experts.training.twin import twin
from tests.llm_experts.lane_fixtures import make_texts

SHORT = Budget(steps=16, eval_every=4, warm_up=2, batch_rows=24, rungs=(0.5,), explained_rows=16, final_rows=16)


@pytest.fixture(scope="module")
def texts() -> TaskTexts:
    return make_texts(200)


@pytest.fixture(scope="module")
def utility(texts: TaskTexts, tmp_path_factory: pytest.TempPathFactory) -> TunedAdapter:
    folder = tmp_path_factory.mktemp("utility")
    return tune(texts, "utility", seed=0, folder=folder, budget=SHORT, trials=6, batch=3)


@pytest.fixture(scope="module")
def fair(texts: TaskTexts, utility: TunedAdapter, tmp_path_factory: pytest.TempPathFactory) -> TunedAdapter:
    folder = tmp_path_factory.mktemp("fair")
    return tune(texts, "expert3", seed=0, folder=folder, budget=SHORT, trials=4, batch=2, utility_floor=utility)


def test_the_chosen_expert_is_the_trial_itself(texts: TaskTexts, utility: TunedAdapter) -> None:
    """Its recipe trains the same weights again, and its predictions have the metrics of the table."""
    assert utility.best_score == max(r["objective"] for r in utility.trials if r["state"] == "COMPLETE")
    rows = texts.view.split.validation
    accuracy = ((utility.expert.logits(texts.view, rows) > 0) == (texts.view.labels[rows] == 1)).double().mean()
    assert utility.best_metrics["acc@1"] == pytest.approx(float(accuracy), abs=1e-9)
    assert utility.kind == utility.expert.kind == "lora" and utility.expert.role == "utility"


def test_fair_roles_stay_above_the_floor(utility: TunedAdapter, fair: TunedAdapter) -> None:
    assert fair.floor == pytest.approx(utility.best_score - 0.02)
    assert fair.role == "procedural" and set(fair.recipe.lane.lambdas) == {
        "lambda_cf",
        "lambda_attention",
        "lambda_adv",
    }
    if fair.feasible:
        assert fair.best_metrics["utility@1"] >= fair.floor  # type: ignore[operator]
    else:
        assert "not tuned for fairness" in fair.note


def test_the_first_fair_trials_start_from_the_utility_expert(utility: TunedAdapter, fair: TunedAdapter) -> None:
    """Half of the first batch differs from it by the fairness terms alone."""
    shared = ("lr", "weight_decay", "rank")
    first = [row["params"] for row in fair.trials if row["number"] == 0]
    assert [{name: params[name] for name in shared} for params in first] == [utility.best_params]
    assert all(row["params"]["lr"] != utility.best_params["lr"] for row in fair.trials[1:])


def test_a_fair_role_needs_a_floor(texts: TaskTexts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs utility_floor"):
        tune(texts, "result", seed=0, folder=tmp_path, budget=SHORT, trials=2)


def test_a_killed_study_goes_on_to_the_same_numbers(
    texts: TaskTexts, utility: TunedAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def dies_in_the_second_batch(*args: object, **settings: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_lanes(*args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_lanes", dies_in_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        tune(texts, "utility", seed=0, folder=tmp_path, budget=SHORT, trials=6, batch=3)
    again = tune(texts, "utility", seed=0, folder=tmp_path, budget=SHORT, trials=6, batch=3)
    assert again.trials == utility.trials and len(calls) == 3
    for key, value in utility.expert.adapter.state.items():  # type: ignore[union-attr]
        assert torch.equal(again.expert.adapter.state[key], value)  # type: ignore[union-attr]
    assert (again.expert.temperature, again.expert.bias) == (utility.expert.temperature, utility.expert.bias)


def test_a_folder_of_other_settings_is_refused(texts: TaskTexts, tmp_path: Path) -> None:
    settings = {"seed": 0, "folder": tmp_path, "trials": 2, "batch": 2}
    tune(texts, "utility", budget=SHORT, **settings)  # type: ignore[arg-type]
    with pytest.raises(ResumeError, match="budget"):
        tune(texts, "utility", budget=dataclasses.replace(SHORT, steps=20), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ["dtype", "quantisation", "device"])
def test_a_base_of_other_numbers_does_not_take_over_trials(
    texts: TaskTexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The same files give other numbers in another precision, quantisation or on another class of device."""
    settings = {"seed": 0, "folder": tmp_path, "trials": 2, "batch": 2, "budget": SHORT}
    tune(texts, "utility", **settings)  # type: ignore[arg-type]
    other = make_texts(200)
    if change == "dtype":
        other.cut.base.model.to(torch.bfloat16)  # type: ignore[call-overload]
    elif change == "quantisation":
        object.__setattr__(other.reader.base, "quantisation", "nf4")
    else:
        monkeypatch.setattr(type(other.reader.base), "device", torch.device("cuda"))
    with pytest.raises(ResumeError, match=change):
        tune(other, "utility", **settings)  # type: ignore[arg-type]


def test_files_give_the_expert_back(texts: TaskTexts, utility: TunedAdapter, tmp_path: Path) -> None:
    save_tuned(utility, tmp_path)
    name = "synthetic_llm_lora_utility"
    facts = json.loads((tmp_path / f"{name}_tuning_results.json").read_text(encoding="utf-8"))
    assert facts["best_params"] == utility.best_params and facts["space"]["rank"]["choices"] == [4, 8, 16]
    assert facts["parameters"] == utility.expert.parameter_count and facts["base"]["hash"] == texts.cut.base.hash
    loaded = load_llm_expert(tmp_path / f"{name}_best", texts.cut.base, [texts.reader])
    rows = texts.view.split.validation
    assert torch.equal(loaded.logits(texts.view, rows), utility.expert.logits(texts.view, rows))


def test_the_twin_differs_by_the_weights_alone(texts: TaskTexts, fair: TunedAdapter) -> None:
    """A twin of a role whose weights are 0 already is the expert."""
    lane = dataclasses.replace(fair.recipe.lane, lambdas=dict.fromkeys(fair.recipe.lane.lambdas, 0.0))
    plain = dataclasses.replace(fair, recipe=fair.recipe._replace(lane=lane))
    one, two = twin(texts, fair), twin(texts, plain)
    assert one.role == "procedural"
    for key, value in one.adapter.state.items():  # type: ignore[union-attr]
        assert torch.equal(two.adapter.state[key], value)  # type: ignore[union-attr]


def test_out_of_fold_logits_come_from_lanes_that_did_not_see_the_row(
    texts: TaskTexts, utility: TunedAdapter, fair: TunedAdapter
) -> None:
    train = texts.view.split.train
    fold = torch.arange(len(train)) % 3
    logits = out_of_fold_logits(texts, [utility.recipe, fair.recipe], seed=5, assignment=fold)
    assert logits.shape == (len(train), 2) and bool(logits.isfinite().all())
    from llm_experts.reading.calibration import calibrated
    from llm_experts.training.out_of_fold import fixed_steps

    recipe = utility.recipe
    weights = (fold[None] != 1).float()
    alone = train_lanes(
        texts,
        "utility",
        [recipe.lane],
        fixed_steps(recipe.budget, recipe.steps),
        seed=5,
        adapter_options=recipe.adapter_options,
        row_weights=weights,
        keep_last=True,
    )
    margins = texts.reader.margins([alone.adapter(0)], texts.view, train[fold == 1])[0]
    expected = calibrated(margins, *(float(part[0]) for part in alone.calibration))
    torch.testing.assert_close(logits[fold == 1, 0], expected, atol=1e-3, rtol=1e-3)


def test_seeds_are_studies_of_their_own(texts: TaskTexts, tmp_path: Path) -> None:
    found = tune_seeds(texts, "utility", seeds=(1, 2), folder=tmp_path, budget=SHORT, trials=2, batch=2)
    assert [t.seed for t in found] == [1, 2] and found[0].trials != found[1].trials
    assert (tmp_path / "seed_2" / "synthetic_llm_lora_utility_tuning_results.json").exists()


def test_spaces_name_what_the_role_and_the_kind_have() -> None:
    assert list(search_space("lora", "result")) == ["lr", "weight_decay", "rank", "lambda_fair"]
    assert list(search_space("ia3", "procedural", counterfactual=False)) == [
        "lr",
        "weight_decay",
        "lambda_attention",
        "lambda_adv",
    ]
    assert describe("svf", "utility")["lr"]["scale"] == "log-uniform"


def test_progress_reaches_the_end(texts: TaskTexts, tmp_path: Path) -> None:
    seen = []
    tune(texts, "utility", seed=4, folder=tmp_path, budget=SHORT, trials=4, batch=2, progress=lambda *s: seen.append(s))
    assert seen[-1] == (32, 32) and seen == sorted(seen)
    shutil.rmtree(tmp_path)
