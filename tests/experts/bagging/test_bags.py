"""Bags: every row's margin is by a model that has not seen it, same seed same bytes, and half a bag is none."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from experts.bagging import BaggedExpert, BagStore, bag_fit, bag_folds, bag_rows, fold_view
from experts.families.registry import family_named
from experts.loading import load_expert
from experts.networks.trainer import Budget
from experts.tuning.bagged_lanes import lane_of_trial, train_for_steps
from experts.tuning.folds import fold_of_rows
from experts.tuning.models import ModelTuner
from tests.experts.conftest import build_graph_view, build_view

BUDGET = Budget(steps=24, eval_every=8, warm_up=4, hidden=4, rungs=(0.4,), attribution_rows=64, dropout=0.0)


@dataclass(frozen=True)
class Remembers:
    """Says 1 for rows that it was fitted on, 2 for those that may stop it, 0 for others."""

    train: Tensor
    validation: Tensor
    role: str = "utility"
    family: str = "memory"
    explainer: str = "none"

    def logits(self, task, rows, keep=None):
        return torch.isin(rows, self.train).float() + 2 * torch.isin(rows, self.validation).float()

    def attributions(self, task, rows):
        return self.logits(task, rows)[:, None].expand(-1, len(task.columns))

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def remember(view):
    return Remembers(view.split.train, view.split.validation)


def tuned_role(view, folder, role="utility", family="mlp", trials=4):
    tuner = family_named(family).tuner()
    floor = None if role == "utility" else 0.5
    tuned = tuner.tune(
        view, role, seeds=[3], folder=folder, budget=BUDGET, trials=trials, batch=4, space="wide",
        utility_floor=floor, epsilon=None, layers=1,
    )[0]  # fmt: skip
    return tuner, tuned


def test_rows_and_folds_of_a_bag() -> None:
    view = build_view()
    rows, fold = bag_rows(view), bag_folds(view, 5, 1)
    assert rows.tolist() == [*view.split.train.tolist(), *view.split.validation.tolist()]
    sizes = torch.bincount(fold)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 1
    for cell in range(4):
        inside = torch.bincount(fold[(view.labels[rows] * 2 + view.groups[rows]) == cell], minlength=5)
        assert inside.max() - inside.min() <= 1
    assert torch.equal(fold, bag_folds(view, 5, 1)) and not torch.equal(fold, bag_folds(view, 5, 2))
    alone = dataclasses.replace(view, split=dataclasses.replace(view.split, train=rows))
    assert torch.equal(fold, fold_of_rows(alone, 5, 1))  # dealt as the folds of training rows are


def test_a_bag_holds_margins_of_models_that_have_not_seen_the_row() -> None:
    view, fold = build_view(), bag_folds(build_view(), 5, 0)
    bag = bag_fit(view, remember, fold, "memory/utility/0", "memory", "utility", 0)
    assert bool((bag.oof == 2).all())  # each by the model whose held-out fold the row is in, and never fitted on
    rows = bag_rows(view)
    for number, model in enumerate(bag.expert.experts):
        assert set(model.train.tolist()) == set(rows[fold != number].tolist())
        assert set(model.validation.tolist()) == set(rows[fold == number].tolist())
    test = view.split.test
    assert bool((bag.expert.logits(view, test) == 0).all())
    assert torch.allclose(bag.expert.logits(view, rows), torch.full((len(rows),), (4 + 2) / 5))
    assert torch.allclose(bag.expert.attributions(view, rows), torch.full((len(rows), len(view.columns)), 6 / 5))
    with pytest.raises(ValueError, match="10 folds were given"):
        bag_fit(view, remember, fold[:10], "m", "memory", "utility", 0)


def test_margins_that_are_not_finite_and_mixed_models_are_refused() -> None:
    view = build_view()

    def broken(part):
        return dataclasses.replace(remember(part), train=torch.tensor([0])) if len(part.split.train) < 0 else Nan()

    class Nan(Remembers):
        def __init__(self) -> None:
            super().__init__(torch.empty(0), torch.empty(0))

        def logits(self, task, rows, keep=None):
            return torch.full((len(rows),), torch.nan)

    with pytest.raises(ValueError, match="not finite"):
        bag_fit(view, broken, bag_folds(view, 2, 0), "m", "memory", "utility", 0)
    with pytest.raises(ValueError, match="one role"):
        BaggedExpert((remember(view), dataclasses.replace(remember(view), role="result")))


@pytest.mark.parametrize("role", ["utility", "result", "procedural"])
def test_networks_are_bagged_in_one_program_with_stopped_trials(role: str, tmp_path: Path) -> None:
    view = build_view(rows=240)
    tuner, tuned = tuned_role(view, tmp_path, role)
    stopped = [row["number"] for row in tuned.trials if row["state"] == "PRUNED"]
    assert stopped, "the test needs a trial that halving stopped"
    fold = bag_folds(view, 3, 5)
    trials = [tuned.best_trial, stopped[0]]
    bags = tuner.bag(view, tuned, trials, budget=BUDGET, fold=fold)
    assert [bag.name for bag in bags] == [f"mlp/{role}/{number}" for number in trials]
    rows = bag_rows(view)
    for bag in bags:
        for number, model in enumerate(bag.expert.experts):
            held_out = fold == number
            torch.testing.assert_close(model.logits(view, rows[held_out]), bag.oof[held_out], atol=1e-5, rtol=0)
        assert (bag.expert.role, bag.expert.family) == (role, "mlp")
    again = tuner.bag(view, tuned, trials, budget=BUDGET, fold=fold)
    assert all(torch.equal(one.oof, other.oof) for one, other in zip(bags, again, strict=True))
    with pytest.raises(ValueError, match="has no trial 99"):
        tuner.bag(view, tuned, [99], budget=BUDGET, fold=fold)
    assert tuner.bag(view, tuned, [], budget=BUDGET, fold=fold) == []


def test_a_rows_label_does_not_reach_its_own_margin(tmp_path: Path) -> None:
    view = build_view(rows=240)
    tuner, tuned = tuned_role(view, tmp_path)
    fold, rows = bag_folds(view, 3, 5), bag_rows(view)
    labels = view.labels.clone()
    for place in (0, len(rows) - 1):  # a training and a validation row
        labels[rows[place]] = 1 - labels[rows[place]]
        flipped = dataclasses.replace(view, labels=labels)
        before, after = (
            tuner.bag(one, tuned, [tuned.best_trial], budget=BUDGET, fold=fold)[0].oof for one in (view, flipped)
        )
        own = fold == fold[place]
        torch.testing.assert_close(after[own], before[own], atol=1e-5, rtol=0)
        assert (after[~own] - before[~own]).abs().max() > 1e-4
        labels = view.labels.clone()


def test_a_lane_trains_for_its_own_number_of_steps(tmp_path: Path) -> None:
    """Lanes of different length in one program end where each would end alone."""
    view = build_view(rows=240)
    _, tuned = tuned_role(view, tmp_path)
    lanes = [lane_of_trial(tuned, number) for number in (0, 1)]
    shared = {"seed": 4, "network": tuned.network}
    weights = torch.ones(2, len(view.split.train))
    both = train_for_steps(view, "utility", lanes, BUDGET, [5, 12], row_weights=weights, **shared)
    for place, steps in enumerate((5, 12)):
        alone = train_for_steps(
            view, "utility", lanes[place : place + 1], BUDGET, [steps], row_weights=weights[:1], **shared
        )
        torch.testing.assert_close(both.theta[place], alone.theta[0], atol=1e-5, rtol=1e-4)


def test_graph_networks_are_bagged(tmp_path: Path) -> None:
    view = build_graph_view()
    tuner, tuned = tuned_role(view, tmp_path, family="gcn", trials=2)
    (bag,) = tuner.bag(view, tuned, [tuned.best_trial], budget=BUDGET, fold=bag_folds(view, 2, 0))
    assert bag.family == "gcn" and bag.oof.shape == (len(bag_rows(view)),)
    assert bool(torch.isfinite(bag.expert.logits(view, view.split.test)).all())


def test_a_fold_has_the_view_of_its_rows() -> None:
    view = build_view()
    fold = bag_folds(view, 5, 0)
    part = fold_view(view, fold, 2)
    assert torch.equal(part.split.validation, bag_rows(view)[fold == 2]) and torch.equal(
        part.split.test, view.split.test
    )


def test_interrupt_and_resume_give_the_same_bytes(tmp_path: Path) -> None:
    """What was whole is read, what a kill left half is made again."""
    view = build_view(rows=240)
    tuner, tuned = tuned_role(view, tmp_path / "study")
    fold, made = bag_folds(view, 3, 5), list[str]()
    settings = {"view": view.hash, "folds": 3, "trials": [0, 1]}

    def make():
        made.append("made")
        return tuner.bag(view, tuned, [0, 1], budget=BUDGET, fold=fold)

    straight = BagStore(tmp_path / "straight", load_expert).bags("mlp_utility", settings, make)

    class Killed(BaseException):
        pass

    def dies(_self, _folder):
        raise Killed

    killed = BagStore(tmp_path / "killed", load_expert)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(tuned.expert), "save", dies)
        killed.bags("mlp_utility", settings, make)
    resumed = killed.bags("mlp_utility", settings, make)
    read = killed.bags("mlp_utility", settings, make)
    assert made == ["made"] * 3  # straight, killed, resumed; the last one was read
    files = sorted(
        path.relative_to(tmp_path / "straight") for path in (tmp_path / "straight").rglob("*.*") if path.is_file()
    )
    assert len(files) > 10
    for path in files:
        assert (tmp_path / "straight" / path).read_bytes() == (tmp_path / "killed" / path).read_bytes()
    rows = view.split.test
    for one, other, third in zip(straight, resumed, read, strict=True):
        assert torch.equal(one.oof, other.oof) and torch.equal(one.oof, third.oof)
        assert torch.equal(one.expert.logits(view, rows), third.expert.logits(view, rows))
        assert torch.equal(one.expert.attributions(view, rows), third.expert.attributions(view, rows))
    killed.bags("mlp_utility", {**settings, "folds": 4}, make)
    assert len(made) == 4  # other settings, another item


def test_a_saved_bag_is_read_as_any_expert(tmp_path: Path) -> None:
    view = build_view(rows=240)
    tuner, tuned = tuned_role(view, tmp_path / "study")
    (bag,) = tuner.bag(view, tuned, [tuned.best_trial], budget=BUDGET, fold=bag_folds(view, 2, 0))
    (tmp_path / "bag").mkdir()
    bag.expert.save(tmp_path / "bag")
    loaded = load_expert(tmp_path / "bag")
    rows = view.split.test
    assert isinstance(loaded, BaggedExpert) and torch.equal(loaded.logits(view, rows), bag.expert.logits(view, rows))


def test_models_fitted_one_by_one_are_bagged_with_the_seed_of_their_trial(tmp_path: Path) -> None:
    """As :class:`experts.tuning.models.ModelTuner` does for every family of such models."""

    @dataclass(frozen=True)
    class Constant(Remembers):
        value: float = 0.0

        def logits(self, task, rows, keep=None):
            sign = 2.0 * task.labels[rows].clamp(min=0).float() - 1
            return sign * self.value + 0.01 * torch.isin(rows, self.train)

        def save(self, folder: Path) -> None:
            (folder / "expert.json").write_text("{}")

    seeds = []

    def fit(view, role, params, seed):
        seeds.append(seed)
        return Constant(view.split.train, view.split.validation, role, "constant", value=params["x"])

    view = build_view()
    tuner = ModelTuner("constant", fit, lambda _role: {"x": FloatDistribution(0.1, 1.0)})
    tuned = tuner.tune(
        view, "utility", seeds=[3], folder=tmp_path, budget=BUDGET, trials=2, batch=2, space="wide",
        utility_floor=None, epsilon=None, layers=1,
    )[0]  # fmt: skip
    seeds.clear()
    fold = bag_folds(view, 4, 0)
    first, second = tuner.bag(view, tuned, [0, 1], budget=BUDGET, fold=fold)
    assert seeds == [tuner.fit_seed(3, "utility", 0)] * 4 + [tuner.fit_seed(3, "utility", 1)] * 4
    assert (first.name, second.name) == ("constant/utility/0", "constant/utility/1")
    sign = 2.0 * view.labels[bag_rows(view)].float() - 1
    assert torch.allclose(second.oof, sign * tuned.trials[1]["params"]["x"])  # no row was in its model's training rows
    with pytest.raises(ValueError, match="has no trial 7"):
        tuner.bag(view, tuned, [7], budget=BUDGET, fold=fold)
