"""Raw rows that a model cannot be asked about are named, and the others are read as the file's rows were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods.baselines import load_baseline
from benchmarks.models import RowsError, SavedModel, load_model, save_model
from benchmarks.models.error import (
    MissingColumnError,
    NoRowsError,
    UnknownCategoryError,
    UnknownGroupError,
    WrongTypeError,
)  # fmt: skip
from benchmarks.run.failure import explain
from tasks.frame import group_numbers
from tasks.task import Task
from tests.benchmarks.models.conftest import assert_same, load
from tests.tasks.toys import toy_card, toy_raw, toy_table

Toy = tuple[Task, pd.DataFrame]
LIMITS = {"constraint": "demographic_parity", "limit": 0.02, "objective": "accuracy"}


@pytest.fixture(scope="module")
def plain(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """A model that is not told the group."""
    return saved(toy, "logistic_regression", {"C": 1.0}, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def told(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """A model that is told the group."""
    return saved(toy, "oxonfair", LIMITS, tmp_path_factory.mktemp("told"))


def saved(toy: Toy, method: str, params: dict[str, object], folder: Path) -> SavedModel:
    view = toy[0].view()
    save_model(load_baseline(method).fit(view, params, 0), view, folder / "m", method=method, origin={"suite": "test"})
    return load_model(folder / "m")


def rows() -> pd.DataFrame:
    return pd.DataFrame({
        "age": [30, -9, 51], "sex": ["F", "M", "F"], "race": ["b", "w", "w"], "job": ["cook", None, "nurse"],
        "hours": [10.5, 900.0, 0.0],
    })  # fmt: skip


def test_it_says_what_it_is(plain: SavedModel, told: SavedModel) -> None:
    assert plain.columns_needed == told.columns_needed == ("age", "sex", "race", "job", "hours")
    assert (plain.needs_group, told.needs_group) == (False, True)
    assert plain.group_names == ("female", "male") and plain.group_columns == ("sex",)
    facts = plain.facts
    assert facts["format"] == "fairmoe-model/1" and facts["positive"] == "one" and facts["negative"] == "zero"
    assert facts["method"] == "logistic_regression" and facts["origin"] == {"suite": "test"}
    assert set(facts["versions"]) >= {"torch", "pandas", "lightgbm"}


def test_missing_columns_are_all_named(plain: SavedModel) -> None:
    with pytest.raises(MissingColumnError, match=r"lack the column\(s\) sex, job that") as caught:
        plain.predict(rows().drop(columns=["job", "sex"]))
    assert "they have age, race, hours" in str(caught.value) and explain(caught.value)


def test_extra_columns_are_ignored_and_named(plain: SavedModel) -> None:
    more = rows().assign(y=1, note="x")
    assert plain.ignored(more) == ("y", "note")
    assert_same(plain.predict_proba(more), plain.predict_proba(rows()))


def test_two_columns_of_one_name(plain: SavedModel) -> None:
    frame = pd.concat([rows(), rows()[["age"]]], axis=1)
    with pytest.raises(RowsError, match="Two columns of the rows are called 'age'"):
        plain.predict(frame)


@pytest.mark.parametrize(("cell", "said"), [("forty", "'forty', which is not a number"), ("1e300", "too large")])
def test_text_among_numbers(plain: SavedModel, cell: str, said: str) -> None:
    frame = rows().astype({"hours": object})
    frame.loc[1, "hours"] = cell
    with pytest.raises(WrongTypeError, match=f"Column 'hours' holds numbers, but row 2 has .*{said}"):
        plain.predict(frame)


def test_numbers_as_text_are_numbers(plain: SavedModel) -> None:
    frame = rows().astype({"age": str, "hours": str})
    assert_same(plain.predict_proba(frame), plain.predict_proba(rows()))


def test_unknown_categories_are_listed_with_rows(plain: SavedModel) -> None:
    frame = pd.concat([rows(), rows()], ignore_index=True)
    frame.loc[[2, 4], "job"] = "pilot"
    frame.loc[5, "race"] = "q"
    with pytest.raises(UnknownCategoryError) as caught:
        plain.predict(frame)
    said = str(caught.value)
    assert "race: 'q' in row 6; job: 'pilot' in row 3 and 1 more" in said and 'unknown="missing"' in said
    empty = frame.copy()
    empty.loc[[2, 4], "job"] = None
    empty.loc[5, "race"] = None
    assert_same(plain.predict_proba(frame, unknown="missing"), plain.predict_proba(empty))
    with pytest.raises(RowsError, match='"error" or "missing", not \'drop\''):
        plain.predict(frame, unknown="drop")  # type: ignore[arg-type]


def test_missing_values_are_the_card_s_codes_and_empty_cells(plain: SavedModel) -> None:
    frame = rows()
    frame["age"] = [30, np.nan, 51]
    assert_same(plain.predict_proba(frame), plain.predict_proba(rows()))


def test_no_rows(plain: SavedModel) -> None:
    with pytest.raises(NoRowsError, match="columns but no rows"):
        plain.predict(rows().iloc[:0])
    with pytest.raises(RowsError, match=r"DataFrame .* not list"):
        plain.predict([1, 2])  # type: ignore[arg-type]


def test_a_group_that_must_be_known(told: SavedModel, plain: SavedModel) -> None:
    frame = rows()
    frame.loc[1, "sex"] = None
    with pytest.raises(UnknownGroupError, match=r"row 2 is in none of its groups .*female, male"):
        told.predict(frame)
    assert told.groups(rows()).tolist() == [0, 1, 0]  # type: ignore[union-attr]
    assert plain.groups(frame).tolist() == [0, -1, 0] and len(plain.predict(frame)) == 3  # type: ignore[union-attr]
    assert plain.groups(frame.drop(columns="sex")) is None


def test_the_index_of_the_rows_does_not_matter(plain: SavedModel) -> None:
    shuffled = rows().set_axis([7, 7, 3])
    assert_same(plain.predict_proba(shuffled), plain.predict_proba(rows()))


def test_without_the_sensitive_columns_among_the_features(tmp_path: Path) -> None:
    task, raw = load(tmp_path, use_sensitive="drop")
    view = task.view()
    for method, params in (("logistic_regression", {"C": 1.0}), ("oxonfair", LIMITS)):
        save_model(load_baseline(method).fit(view, params, 0), view, tmp_path / method, method=method, origin={})
    plain, told = (load_model(tmp_path / name) for name in ("logistic_regression", "oxonfair"))
    assert "sex" not in plain.columns_needed and "sex" in told.columns_needed
    assert len(plain.predict(raw.drop(columns="sex"), unknown="missing")) == len(raw)
    with pytest.raises(MissingColumnError, match="sex"):
        told.predict(raw.drop(columns="sex"), unknown="missing")


@pytest.mark.parametrize("attributes", [("sex",), ("race",), ("age",), ("sex", "race"), ("sex", "age")])
def test_groups_of_rows_are_those_of_the_task(attributes: tuple[str, ...]) -> None:
    raw = toy_raw(200, attributes=attributes)
    table = toy_table(200)
    found = group_numbers(toy_card(rows=200), attributes, table, raw.group_names)
    assert found[raw.rows].tolist() == raw.groups.tolist()
    gone = np.setdiff1d(np.arange(200), raw.rows)
    assert (found[gone] == -1).all() and len(gone) == (("age" in attributes) and int((table["age"] == -9).sum()))


def test_intersections_of_an_own_card(tmp_path: Path) -> None:
    task, raw = load(tmp_path, ":sex+race")
    view = task.view()
    save_model(load_baseline("oxonfair").fit(view, LIMITS, 0), view, tmp_path / "m", method="oxonfair", origin={})
    model = load_model(tmp_path / "m")
    assert model.facts["sensitive"] == ["sex", "race"] and model.group_names == task.group_names
    assert torch.equal(model.groups(raw), task.groups)  # type: ignore[arg-type]
