"""From names to tasks, on real data and on cards of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tasks.card import CardError, DataError
from tasks.load import load_task
from tasks.registry import names, resolve, row_cap, task_name
from tasks.task import HIDDEN
from tests.tasks.toys import own_card, toy_table


def test_names_stand_for_cards_and_attributes() -> None:
    assert resolve("adult:sex+race").attributes == ("sex", "race")
    assert resolve("adult").attributes == tuple(resolve("adult").card.default_sensitive.split("+"))
    assert {"german", "bail", "bail_clean", "credit", "adult", "compas", "scm"} <= set(names())
    for name in names():
        assert resolve(name).card.name == name


def test_unknown_names_list_what_is_close() -> None:
    with pytest.raises(CardError, match=r"no data set 'germn'\. Did you mean 'german'.*path/to/card\.toml"):
        resolve("germn")
    with pytest.raises(CardError, match=r"no sensitive attribute 'sexx'\. Did you mean 'adult:sex'.*race"):
        resolve("adult:sexx")
    with pytest.raises(CardError, match="twice"):
        resolve("adult:sex+sex")
    with pytest.raises(CardError, match="no card at"):
        resolve("nowhere/card.toml")


def test_cards_of_ones_own_by_path(tmp_path: Path) -> None:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    path = str(tmp_path / "card.toml")
    assert task_name(path) == "toy" and task_name(f"{path}:sex+race") == "toy:sex+race"
    task = load_task(f"{path}:sex+race", progress=False)
    assert task.name == "toy:sex+race" and len(task.group_names) == 6
    assert len(task.labels) == 200 and abs(len(task.split.train) - 100) <= 6
    (tmp_path / "own.csv").write_text("forged")
    with pytest.raises(DataError, match=r"own\.csv is not the file that the card describes.*draft the card again"):
        load_task(path, progress=False)


def test_labels_of_test_rows_are_hidden_from_views() -> None:
    task = load_task("scm")
    view = task.view()
    assert (view.labels[task.split.test] == HIDDEN).all()
    for part in (task.split.train, task.split.validation):
        assert torch.equal(view.labels[part], task.labels[part])
    assert (task.labels >= 0).all() and type(view) is not type(task)
    assert "hired" not in view.frame.columns and view.hash == task.hash


def test_the_hash_changes_with_everything_that_decides_the_task() -> None:
    ways = [{}, {"seed": 1}, {"split": 1}, {"use_sensitive": "drop"}, {"rows": 1000}]
    assert len({load_task("scm", **way).hash for way in ways}) == len(ways)  # type: ignore[arg-type]
    assert load_task("scm").hash == load_task("scm:sex").hash == load_task("scm").hash


def test_two_seeds_give_two_splits() -> None:
    assert load_task("scm", seed=1).split.hash != load_task("scm", seed=2).split.hash


def test_fewer_rows_keep_their_published_numbers() -> None:
    task, small = load_task("scm"), load_task("scm", rows=500)
    assert abs(len(small.rows) - 500) <= 4 and len(small.features) == len(small.labels) == len(small.frame)
    assert torch.equal(small.labels, task.labels[small.rows])
    assert abs(float(small.labels.float().mean() - task.labels.float().mean())) < 0.01
    with pytest.raises(DataError, match="needs all rows"):
        load_task("scm", rows=500, protocol="nifty")


def test_edges_of_tables_are_refused() -> None:
    with pytest.raises(DataError, match="has no edges"):
        load_task("scm", with_edges=True)


def test_text_of_rows() -> None:
    task = load_task("scm")
    keep = torch.ones(2, len(task.columns), dtype=torch.bool)
    keep[1, 0] = keep[1, 1] = False
    whole, masked = task.text(torch.tensor([0, 0]), keep)
    row = task.frame.iloc[0]
    assert whole.startswith(
        f"The applicant's sex is {row['sex']}. The applicant's work experience is {row['experience']:.10g} years."
    )
    assert masked.startswith("The applicant's sex is unknown. The applicant's work experience is unknown.")
    assert whole.count(".  ") == 0 and whole.split(". ")[2:] == masked.split(". ")[2:]
    dropped = load_task("scm", use_sensitive="drop").text(torch.tensor([0]))[0]
    assert " sex " not in dropped and dropped in whole
    with pytest.raises(DataError, match="keep is"):
        task.text(torch.tensor([0]), keep)


def test_missing_cells_read_as_unknown_and_codes_as_words(tmp_path: Path) -> None:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    row = int(np.flatnonzero(task.frame["job"].isna())[0])
    text = task.text(torch.tensor([row]))[0]
    assert "The person's job is unknown." in text and ("is female." in text or "is male." in text)


@pytest.mark.parametrize(
    ("name", "cap", "attributes"),
    [
        ("adult:sex@1000", 1000, ("sex",)),
        ("adult@50", 50, None),
        ("adult:sex+race", None, ("sex", "race")),
        ("adult", None, None),
    ],
)
def test_a_row_cap_is_part_of_the_name(name: str, cap: int | None, attributes: tuple[str, ...] | None) -> None:
    assert row_cap(name) == cap and task_name(name) == name
    card, found = resolve(name)
    assert card.name == "adult" and found == (attributes or tuple(card.default_sensitive.split("+")))


def test_a_row_cap_behind_the_path_of_a_card(tmp_path: Path) -> None:
    home = tmp_path / "me@home:here.toml"
    home.mkdir()
    own_card(home, toy_table(200).to_csv(index=False))
    path = str(home / "card.toml")
    (home / "card.toml").rename(home / "my.card.toml")
    path = str(home / "my.card.toml")
    assert row_cap(path) is None and row_cap(f"{path}:sex") is None
    assert row_cap(f"{path}:sex@50") == row_cap(f"{path}@50") == 50
    assert task_name(f"{path}:sex+race@50") == "toy:sex+race@50" and task_name(f"{path}@50") == "toy@50"
    task = load_task(f"{path}:sex@50", progress=False)
    assert task.name == "toy:sex@50" and 48 <= len(task.labels) <= 52


@pytest.mark.parametrize("name", ["adult@0", "adult:sex@x", "adult@", "adult:sex@-5", "adult@1.5", "adult@1e3"])
def test_a_row_cap_is_a_whole_number_above_zero(name: str) -> None:
    for use in (resolve, task_name, row_cap, load_task):
        with pytest.raises(CardError, match=r"row cap of 'adult.*whole number above 0.*adult:sex@1000"):
            use(name)


def test_a_row_cap_draws_the_rows_of_the_argument() -> None:
    named, given = load_task("scm@500", seed=3), load_task("scm", rows=500, seed=3)
    assert named.hash == given.hash and torch.equal(named.rows, given.rows)
    assert (named.name, given.name) == ("scm@500", "scm")
    assert not torch.equal(load_task("scm@500", seed=4).rows, named.rows), "drawn by the suite seed"
    assert load_task("scm@500", rows=500, seed=3).hash == named.hash
    assert load_task("scm@1000000").hash == load_task("scm").hash, "a cap that does not bind changes nothing"
    with pytest.raises(DataError, match=r"has 500 rows by its name, and rows = 400"):
        load_task("scm@500", rows=400)
    with pytest.raises(DataError, match="nifty split needs all rows"):
        load_task("scm@500", protocol="nifty")


@pytest.mark.data
@pytest.mark.parametrize(("name", "edges"), [("german", 21_742), ("credit", 137_377), ("nba", None)])
def test_edges_are_undirected_unique_and_between_rows(mirror: None, name: str, edges: int | None) -> None:
    task = load_task(name, with_edges=True)
    assert task.edges is not None and task.edges.dtype == torch.int64
    first, second = task.edges
    assert (first < second).all() and int(second.max()) < len(task.rows)
    assert len(torch.unique(task.edges, dim=1).T) == task.edges.shape[1] == (edges or task.edges.shape[1])


@pytest.mark.data
def test_nba_edges_follow_the_key_column(mirror: None) -> None:
    task = load_task("nba", with_edges=True)
    folder = Path(os.environ["FAIRMOE_DATA_MIRROR"]) / "nba"
    users = pd.read_csv(folder / "nba.csv")["user_id"].to_numpy()[task.rows.numpy()]
    pairs = pd.read_csv(folder / "nba_relationship.txt", sep="\t", header=None).to_numpy().tolist()
    wanted = {frozenset(pair) for pair in pairs if pair[0] != pair[1] and set(pair) <= set(users.tolist())}
    assert task.edges is not None
    assert {frozenset(pair) for pair in users[task.edges.T.numpy()].tolist()} == wanted


@pytest.mark.data
def test_real_tables_load_with_the_known_counts(mirror: None) -> None:
    compas = load_task("compas:race")
    assert len(compas.labels) == 6_172 and int(compas.labels.sum()) == 2_809
    adult = load_task("adult:sex+race")
    assert len(adult.labels) == 32_561 + 16_281 and int(adult.labels.sum()) == 7_841 + 3_846
    assert int(adult.labels[adult.rows >= 32_561].sum()) == 3_846, "labels of adult.test end in a full stop"
    assert len(adult.group_names) == 10 and torch.isfinite(adult.features).all()


@pytest.mark.data
def test_rows_of_one_patient_stay_together(mirror: None) -> None:
    task = load_task("diabetes130", rows=20_000)
    folder = Path(os.environ["FAIRMOE_DATA_MIRROR"]) / "diabetes130"
    patients = pd.read_csv(folder / "diabetic_data.csv.gz", usecols=["patient_nbr"])["patient_nbr"].to_numpy()
    ids = [
        set(patients[task.rows[part].numpy()].tolist())
        for part in (task.split.train, task.split.validation, task.split.test)
    ]
    assert not (ids[0] & ids[1] or ids[0] & ids[2] or ids[1] & ids[2])


def test_features_lie_where_torch_would_put_them() -> None:
    """Products of matrices may differ in the last bit with the place of their memory, NumPy's with every process."""
    assert load_task("scm").features.data_ptr() % 64 == torch.empty(100).data_ptr() % 64 == 0
