"""Teachers by name: fitted now, from a finished cell, from a saved bag; and those that have seen what they speak of."""

import json
from pathlib import Path

import pytest
import torch
import typer

from benchmarks.cells.seen import Seen
from benchmarks.commands.llm.training.teacher import teacher_named
from benchmarks.methods.baselines._bagged import BaggedMethod, best_bag
from benchmarks.saving import save_model
from experts.bagging import bag_rows
from tasks.load import load_task
from tasks.task import TaskView

VIEW = load_task("scm@300").view()


@pytest.fixture(scope="module")
def bag() -> BaggedMethod:
    return best_bag(VIEW, 3)


def saved(bag: BaggedMethod, view: TaskView, folder: Path) -> str:
    save_model(bag, view, folder, method="lightgbm_bag", origin={})
    return str(folder)


def cell(folder: Path, oof: torch.Tensor | None, **head: object) -> str:
    """A finished cell as a run leaves it, as far as a teacher looks."""
    place = folder / "run" / "jobs" / "j" / "cells" / "c"
    place.mkdir(parents=True)
    known = {"task": VIEW.name, "method": "lightgbm_bag", "split": 0, "seed": 0, "task_hash": VIEW.hash, **head}
    (place / "cell.json").write_text(json.dumps({"head": known, "cost": {"code_version": "1"}}))
    (place / "job.json").write_text("{}")
    Seen(torch.zeros(3), oof=oof).save(place)
    return str(place)


def test_a_saved_bag_speaks_of_rows_by_the_model_that_has_not_seen_them(bag: BaggedMethod, tmp_path: Path) -> None:
    found = teacher_named(saved(bag, VIEW, tmp_path / "model"), VIEW, 0, 0.5, 2.0)
    train = VIEW.split.train
    torch.testing.assert_close(found.margins, bag.logits(VIEW, train))
    assert not torch.allclose(found.margins, bag.bag.expert.logits(VIEW, train)), "their mean has seen the rows"
    assert (found.weight, found.temperature) == (0.5, 2.0)


def test_one_that_is_fitted_now_is_out_of_fold_too() -> None:
    found, again = (teacher_named("lightgbm", VIEW, 5, 0.5, 2.0).margins for _ in range(2))
    assert torch.equal(found, again) and len(found) == len(VIEW.split.train)


def test_a_cell_gives_its_out_of_fold_margins_of_training_rows(tmp_path: Path) -> None:
    oof = torch.arange(len(bag_rows(VIEW)), dtype=torch.float32)
    found = teacher_named(cell(tmp_path, oof), VIEW, 0, 0.5, 2.0)
    assert torch.equal(found.margins, oof[: len(VIEW.split.train)])


def refusal(named: str, view: TaskView = VIEW, weight: float = 0.5) -> str:
    with pytest.raises(typer.BadParameter) as caught:
        teacher_named(named, view, 0, weight, 2.0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_teach_is_refused(bag: BaggedMethod, tmp_path: Path) -> None:
    assert "There is no teacher" in refusal(str(tmp_path))
    other = load_task("scm@300", split=1).view()
    model = saved(bag, VIEW, tmp_path / "model")
    assert "other rows" in refusal(model, other)
    save_model(bag.bag.expert.experts[0], VIEW, tmp_path / "one", method="lightgbm", origin={})
    assert "has seen the training rows" in refusal(str(tmp_path / "one"))
    assert "speaks of the same rows" in refusal(cell(tmp_path / "a", None, task_hash="another"))
    assert "keeps nothing of training rows" in refusal(cell(tmp_path / "b", None))
    assert "keeps nothing of training rows" in refusal(cell(tmp_path / "c", torch.zeros(3)))
    oof = torch.full((len(bag_rows(VIEW)),), float("nan"))
    assert "not finite" in refusal(cell(tmp_path / "d", oof))
