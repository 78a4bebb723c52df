"""Splits: disjoint, complete, stratified, and the same everywhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.card import DataError
from tasks.frame import RawData
from tasks.load import load_task
from tasks.split import hash_order, make_split, subsample
from tests.tasks.toys import toy_raw


def with_cells(cells: list[int], units: list[int] | None = None) -> RawData:
    """Data whose row i is in label x group cell ``cells[i]`` (label = cell mod 2)."""
    raw, array = toy_raw(), np.array(cells, dtype=np.int64)
    return dataclasses.replace(
        raw,
        labels=array % 2,
        groups=array // 2,
        rows=np.arange(len(cells)) * 3 + 5,
        units=None if units is None else np.array(units, dtype=np.int64),
    )


enough = st.lists(st.integers(0, 5), max_size=150).map(lambda more: [0, 1] * 4 + more)


@settings(max_examples=60, deadline=None)
@given(cells=enough, index=st.integers(0, 20), seed=st.integers(0, 9))
def test_robust_splits_are_disjoint_complete_and_stratified(cells: list[int], index: int, seed: int) -> None:
    raw = with_cells(cells)
    split = make_split(raw, "robust", index, seed)
    parts = [part.numpy() for part in (split.train, split.validation, split.test)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(cells)))
    for cell in set(cells):
        total = cells.count(cell)
        counts = [int((np.array(cells)[part] == cell).sum()) for part in parts]
        for count, share in zip(counts, (0.5, 0.25, 0.25), strict=True):
            assert abs(count - share * total) < 1
        assert counts[0] >= 1, "a cell with one row is for training"
        assert total < 2 or counts[2] >= 1, "with two, one is for the test"
        assert total < 3 or counts[1] >= 1, "with three, all parts have one"


@settings(max_examples=60, deadline=None)
@given(data=st.data(), index=st.integers(0, 5))
def test_rows_of_a_unit_stay_together(data: st.DataObject, index: int) -> None:
    cells = data.draw(enough)
    units = [*range(8), *data.draw(st.lists(st.integers(0, 30), min_size=len(cells) - 8, max_size=len(cells) - 8))]
    units = [unit * 7 for unit in units]
    raw = with_cells(cells, units)
    try:
        split = make_split(raw, "robust", index)
    except DataError as error:
        assert "no row of class" in str(error)
        return
    sets = [set(raw.units[part.numpy()].tolist()) for part in (split.train, split.validation, split.test)]  # type: ignore[index]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert set.union(*sets) == set(units)


def test_the_split_is_the_same_on_every_machine() -> None:
    """Golden values; if they change, every published number changes."""
    split = make_split(with_cells([0, 1, 2, 3] * 10), "robust", 3, 7)
    assert split.hash == GOLDEN_HASH
    assert split.test.tolist() == GOLDEN_TEST
    # the published sequence of SplitMix64 from seed 42
    assert hash_order(np.arange(3), 42).tolist() == [13679457532755275413, 2949826092126892291, 5139283748462763858]


def test_seed_and_index_change_the_split_and_nothing_else_does() -> None:
    raw = with_cells([0, 1, 2, 3] * 25)
    hashes = {make_split(raw, "robust", index, seed).hash for index in range(5) for seed in range(5)}
    assert len(hashes) == 25
    assert make_split(raw, "robust", 1, 1).hash == make_split(raw, "robust", 1, 1).hash


def test_a_part_without_a_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"no row of class 1 in its validation part.*only 2 such rows"):
        make_split(with_cells([0] * 30 + [1, 1]))


def test_unknown_protocols_numbers_and_cards_are_refused() -> None:
    raw = with_cells([0, 1] * 20)
    with pytest.raises(DataError, match="choose robust, large_test or nifty"):
        make_split(raw, "random")
    with pytest.raises(DataError, match="has no published nifty split"):
        make_split(raw, "nifty")
    with pytest.raises(DataError, match="0 or more"):
        make_split(raw, "robust", -1)


@settings(max_examples=40, deadline=None)
@given(cells=enough, size=st.integers(10, 100))
def test_subsamples_keep_the_shares(cells: list[int], size: int) -> None:
    raw = with_cells(cells)
    kept = subsample(raw, size, 0)
    assert np.array_equal(kept, np.unique(kept)) and np.array_equal(kept, subsample(raw, size, 0))
    for cell in set(cells):
        share = cells.count(cell) * min(size / len(cells), 1)
        assert max(share - 0.51, 1) <= (np.array(cells)[kept] == cell).sum() <= max(share + 0.51, 1)


def parts_of(raw: RawData, index: int = 0, seed: int = 0) -> list[np.ndarray]:
    split = make_split(raw, "large_test", index, seed)
    return [part.numpy() for part in (split.train, split.validation, split.test)]


@pytest.mark.parametrize(
    ("rows", "test"), [(6_001, 1_501), (9_000, 4_500), (14_500, 10_000), (14_501, 10_000), (40_000, 10_000)]
)
def test_large_test_parts_have_their_sizes_and_the_shares_of_the_data(rows: int, test: int) -> None:
    cells = np.random.default_rng(rows).choice(4, size=rows, p=[0.6, 0.25, 0.14, 0.01])
    parts = parts_of(with_cells(cells.tolist()), index=2, seed=3)
    assert [len(part) for part in parts] == [3_000, 1_500, test]
    assert len(np.unique(np.concatenate(parts))) == 4_500 + test, "no row is in two parts"
    share = np.bincount(cells) / rows
    for part in parts:
        assert (np.diff(part) > 0).all()
        assert np.abs(np.bincount(cells[part], minlength=4) - share * len(part)).max() < 3


@settings(max_examples=30, deadline=None)
@given(rare=st.lists(st.integers(1, 6), min_size=1, max_size=8), rows=st.integers(6_001, 16_000))
def test_the_rows_of_a_rare_cell_are_for_training_then_test_then_validation(rare: list[int], rows: int) -> None:
    cells = np.repeat(np.arange(len(rare) + 2), [rows // 2, rows - rows // 2, *rare])
    parts = parts_of(with_cells(cells.tolist()))
    for number, count in enumerate(rare, start=2):
        train, validation, test = (int((cells[part] == number).sum()) for part in parts)
        assert train >= 1 and test >= (count > 1) and validation >= (count > 2)


def test_large_test_splits_are_drawn_by_number_and_seed_alone() -> None:
    raw = with_cells([0, 1, 2, 3] * 4_000)
    hashes = {make_split(raw, "large_test", index, seed).hash for index in range(2) for seed in range(2)}
    assert len(hashes) == 4
    again = parts_of(with_cells([0, 1, 2, 3] * 4_000), 1, 1)
    assert all(np.array_equal(*pair) for pair in zip(parts_of(raw, 1, 1), again, strict=True))
    golden = make_split(raw, "large_test")
    assert golden.test[:6].tolist() == GOLDEN_LARGE_TEST, "if it changes, every published number changes"
    with pytest.raises(DataError, match="0 or more"):
        make_split(raw, "large_test", -1)


def test_large_test_leaves_out_other_rows_in_other_splits() -> None:
    raw = with_cells([0, 1] * 10_000)
    used = [set(np.concatenate(parts_of(raw, index)).tolist()) for index in range(4)]
    assert all(len(rows) == 14_500 for rows in used) and set.union(*used) > used[0]


@pytest.mark.parametrize("rows", [40, 6_000])
def test_small_data_are_cut_as_by_robust(rows: int) -> None:
    raw = with_cells(([0, 1, 2, 3] * rows)[:rows])
    large, robust = make_split(raw, "large_test", 3, 7), make_split(raw, "robust", 3, 7)
    for part in ("train", "validation", "test"):
        assert getattr(large, part).tolist() == getattr(robust, part).tolist()
    assert (large.protocol, large.seed) == ("large_test", 7)
    assert large.hash != robust.hash, "the protocol is part of the task"


def test_units_stay_together_in_large_test_and_cost_less_than_one_unit_a_cell() -> None:
    draw = np.random.default_rng(0)
    units = np.sort(draw.integers(0, 9_000, size=20_000))
    raw = with_cells(draw.integers(0, 4, size=20_000).tolist(), units.tolist())
    parts = parts_of(raw)
    sets = [set(units[part].tolist()) for part in parts]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    whole = np.bincount(units)
    for part, held, size in zip(parts, sets, (3_000, 1_500, 10_000), strict=True):
        assert sum(int(whole[unit]) for unit in held) == len(part), "all rows of a unit are in its part"
        assert abs(len(part) - size) < 4 * int(whole.max())


def test_a_large_test_task_is_scaled_by_its_training_rows() -> None:
    robust, large = load_task("scm"), load_task("scm", protocol="large_test")
    assert len(robust.labels) <= 6_000 and robust.features.equal(large.features) and robust.hash != large.hash


@pytest.mark.data
def test_large_test_of_a_real_table(mirror: None) -> None:
    task = load_task("adult:sex", protocol="large_test")
    parts = (task.split.train, task.split.validation, task.split.test)
    assert [len(part) for part in parts] == [3_000, 1_500, 10_000] and len(task.labels) == 48_842
    assert abs(float(task.features[task.split.train].mean(0)[0])) < 1e-5, "scaled by training rows"
    rates = [float(task.labels[part].float().mean()) for part in parts]
    assert max(rates) - min(rates) < 1e-3


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "train", "test", "sizes", "positives"),
    [
        ("german", [953, 963, 642], [127, 598, 120], (100, 250, 250), (50, 175)),
        ("bail", [17486, 531, 14714], [15776, 12910, 8167], (100, 4719, 4719), (50, 1776)),
        ("credit", [27473, 8948, 22699], [19880, 9375, 13861], (6000, 7500, 7500), (3000, 5841)),
    ],
)
def test_published_nifty_splits(
    mirror: None, name: str, train: list[int], test: list[int], sizes: tuple[int, ...], positives: tuple[int, int]
) -> None:
    task = load_task(name, protocol="nifty")
    split = task.split
    assert split.train[:3].tolist() == train and split.test[:3].tolist() == test
    assert (len(split.train), len(split.validation), len(split.test)) == sizes
    assert (int(task.labels[split.train].sum()), int(task.labels[split.test].sum())) == positives
    assert load_task(name, protocol="nifty", seed=5).split.hash == split.hash, "published: no seed changes it"
    with pytest.raises(DataError, match="one published split, number 0"):
        load_task(name, protocol="nifty", split=1)


GOLDEN_HASH = "20bc7ace33afa24f36e3f2f48cf1efa8d20b9e33ca2c6647fe2611d72b0fa92a"
GOLDEN_LARGE_TEST = [0, 1, 2, 3, 4, 7]
GOLDEN_TEST = [0, 2, 6, 11, 16, 17, 19, 22, 24, 25, 31, 33]


def test_the_first_robust_split_of_seed_0_is_the_default() -> None:
    raw = with_cells([0, 1, 2, 3] * 10)
    assert make_split(raw).hash == make_split(raw, "robust", 0, 0).hash


def test_a_unit_with_a_positive_row_is_dealt_among_the_positive_units() -> None:
    cells = [0, 1] * 8 + [0, 0] * 8  # eight units with a positive row, which comes second, and eight without
    units = [unit for unit in range(16) for _ in range(2)]
    for index in range(6):
        split = make_split(with_cells(cells, units), "robust", index)
        assert [int((part < 16).sum()) for part in (split.train, split.validation, split.test)] == [8, 4, 4]
