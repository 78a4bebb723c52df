"""Encoding: training rows only, 0 means unknown, and the same from JSON."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.card import DataError
from tasks.encode import MOST_CATEGORIES, RARE, Encoder, make_flip, signed_log
from tasks.frame import assemble
from tests.tasks.toys import toy_card, toy_raw, toy_table

TRAIN = np.arange(0, 200, 2)


def feature(encoder: Encoder, encoded: torch.Tensor, name: str) -> np.ndarray:
    return encoded[:, encoder.feature_names.index(name)].numpy()


def test_numbers_are_standardised_with_training_rows_and_clipped() -> None:
    raw = toy_raw()
    encoder = Encoder.fit(raw, TRAIN)
    ages = raw.frame["age"].to_numpy()
    train = ages[TRAIN][~np.isnan(ages[TRAIN])]
    wanted = np.nan_to_num((ages - train.mean()) / train.std(), nan=0.0)
    assert np.allclose(feature(encoder, encoder.encode(raw.frame), "age"), wanted, atol=1e-6)
    wild = encoder.encode(raw.frame.iloc[:2].assign(age=[1e9, -1e9]))
    assert feature(encoder, wild, "age").tolist() == [5.0, -5.0]


def test_heavy_tails_are_logged_first() -> None:
    raw = toy_raw()
    encoder = Encoder.fit(raw, TRAIN)
    logs = np.log1p(raw.frame["hours"].to_numpy())
    wanted = (logs - logs[TRAIN].mean()) / logs[TRAIN].std()
    assert np.allclose(feature(encoder, encoder.encode(raw.frame), "hours"), wanted.clip(-5, 5), atol=1e-5)
    assert signed_log(np.array([-3.0, 0.0, 3.0])).tolist() == [-np.log(4), 0.0, np.log(4)]


def test_words_become_signs_and_indicators() -> None:
    raw = toy_raw()
    encoder = Encoder.fit(raw, TRAIN)
    encoded = encoder.encode(raw.frame)
    assert (feature(encoder, encoded, "sex") == np.where(raw.frame["sex"] == "F", -1, 1)).all()
    for job in ("cook", "nurse"):
        assert (feature(encoder, encoded, f"job={job}") == (raw.frame["job"] == job)).all()
    assert encoder.feature_names == (
        "age",
        "sex",
        "race=b",
        "race=w",
        "race=x",
        "race=z",
        "job=cook",
        "job=nurse",
        "hours",
    )
    assert encoded.dtype == torch.float32


def test_missing_and_unseen_values_are_zero() -> None:
    raw = toy_raw()
    encoder = Encoder.fit(raw, TRAIN)
    row = pd.DataFrame({"age": [-9], "sex": ["?"], "race": ["new"], "job": [None], "hours": [np.nan]})
    assert (encoder.encode(row) == 0).all()


def test_constant_columns_are_zero() -> None:
    raw = assemble(toy_card(), ("race",), toy_table().assign(hours=3.0, sex="F"))
    encoded = Encoder.fit(raw, TRAIN).encode(raw.frame.assign(hours=np.arange(200.0)))
    assert (encoded[:, [1, -1]] == 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(1, 1000), protocol=st.sampled_from(["robust", "nifty"]))
def test_nothing_outside_the_training_rows_changes_the_encoding(seed: int, protocol: str) -> None:
    raw, other = toy_raw(), toy_raw(seed=seed)
    frame = pd.DataFrame(
        {
            name: pd.Series(
                np.where(
                    np.isin(np.arange(200), TRAIN), raw.frame[name].astype(object), other.frame[name].astype(object)
                )
            )
            for name in raw.frame
        }
    )
    table = frame.assign(y=np.where(np.isin(np.arange(200), TRAIN), raw.labels, other.labels))
    table = table.astype({"age": float, "hours": float}).assign(age=lambda t: t["age"].fillna(-9))
    mixed = assemble(toy_card(), ("sex",), table)
    one, two = (Encoder.fit(r, TRAIN, protocol=protocol) for r in (raw, mixed))
    assert one == two and one.to_json() == two.to_json()
    assert torch.equal(one.encode(raw.frame)[TRAIN], two.encode(mixed.frame)[TRAIN])
    flips = [make_flip(encoder, r, TRAIN) for encoder, r in ((one, raw), (two, mixed))]
    assert flips[0] is not None and flips[1] is not None and torch.equal(flips[0].values, flips[1].values)


@pytest.mark.parametrize("protocol", ["robust", "nifty"])
def test_json_gives_the_same_encoder(protocol: str) -> None:
    raw = toy_raw()
    encoder = Encoder.fit(raw, TRAIN, protocol=protocol)
    again = Encoder.from_json(encoder.to_json())
    assert again == encoder and again.to_json() == encoder.to_json()
    assert torch.equal(again.encode(raw.frame), encoder.encode(raw.frame))


def test_raw_cells_of_a_file_encode_as_the_frame_does() -> None:
    raw, table = toy_raw(), toy_table()
    encoder = Encoder.fit(raw, TRAIN)
    assert torch.equal(encoder.encode(table), encoder.encode(raw.frame))
    text = table.assign(age=table["age"].astype(str), hours=table["hours"].astype(str))
    assert torch.equal(encoder.encode(text), encoder.encode(raw.frame)), "numbers written as text"
    with pytest.raises(DataError, match="no column 'job'"):
        encoder.encode(table.drop(columns="job"))


def test_binned_codes_encode_raw_and_binned() -> None:
    bins = [{"name": "low", "below": 300}, {"name": "high", "at_least": 300}]
    columns = [
        {"name": "hours", "kind": "categorical", "text": "h", "bins": bins},
        {"name": "sex", "kind": "binary", "text": "s"},
    ]
    table = toy_table()
    raw = assemble(toy_card(column=columns), ("sex",), table)
    encoder = Encoder.fit(raw, TRAIN)
    assert set(encoder.feature_names) == {"hours=low", "hours=high", "sex"}
    assert torch.equal(Encoder.from_json(encoder.to_json()).encode(table), encoder.encode(raw.frame))


def test_rare_categories_share_a_feature() -> None:
    table = toy_table(400)
    table["job"] = [f"job {min(i, 99) if i % 2 else 0:02d}" for i in range(400)]
    raw = assemble(toy_card(rows=400), ("sex",), table)
    encoder = Encoder.fit(raw, np.arange(400))
    jobs = [name for name in encoder.feature_names if name.startswith("job=")]
    distinct = table["job"].nunique()
    assert len(jobs) == min(distinct, MOST_CATEGORIES + 1)
    table["job"] = [f"job {i % 100:02d}" for i in range(400)]
    raw = assemble(toy_card(rows=400), ("sex",), table)
    encoder = Encoder.fit(raw, np.arange(400))
    encoded = encoder.encode(raw.frame)
    jobs = [name for name in encoder.feature_names if name.startswith("job=")]
    assert len(jobs) == MOST_CATEGORIES + 1 and jobs[-1] == f"job={RARE}"
    assert feature(encoder, encoded, f"job={RARE}").sum() == 4 * (100 - MOST_CATEGORIES)
    assert (encoder.encode(raw.frame.assign(job="new"))[:, [encoder.feature_names.index(j) for j in jobs]] == 0).all()


def test_nifty_scales_the_range_of_training_rows_to_one() -> None:
    raw = toy_raw(nifty={"label_number": 50})
    encoded = Encoder.fit(raw, TRAIN, protocol="nifty").encode(raw.frame)
    train = encoded[TRAIN]
    ages = ~np.isnan(raw.frame["age"].to_numpy()[TRAIN])
    for column, rows in ((0, ages), (-1, np.ones(100, dtype=bool))):
        assert train[rows, column].min() == -1 and train[rows, column].max() == 1


def test_nifty_without_scaling_keeps_raw_numbers() -> None:
    raw = toy_raw(nifty={"label_number": 50, "scale": False})
    encoder = Encoder.fit(raw, TRAIN, protocol="nifty")
    encoded = encoder.encode(raw.frame)
    assert np.allclose(feature(encoder, encoded, "hours"), raw.frame["hours"])
    assert set(feature(encoder, encoded, "sex").tolist()) == {-1.0, 1.0}


def test_dropping_removes_all_sensitive_columns_of_the_task() -> None:
    raw = toy_raw(attributes=("sex", "race"))
    encoder = Encoder.fit(raw, TRAIN, use_sensitive="drop")
    assert [column.name for column in encoder.columns] == ["age", "job", "hours"]
    assert make_flip(encoder, raw, TRAIN) is None
    kept = Encoder.fit(raw, TRAIN)
    assert [column.name for column in kept.columns if column.sensitive] == ["sex", "race"]
    with pytest.raises(DataError, match="keep or drop"):
        Encoder.fit(raw, TRAIN, use_sensitive="hide")


def test_columns_own_their_features() -> None:
    encoder = Encoder.fit(toy_raw(), TRAIN)
    assert [index for column in encoder.columns for index in column.features] == list(range(len(encoder.feature_names)))
    for column in encoder.columns:
        assert {encoder.feature_names[i].split("=")[0] for i in column.features} == {column.name}


def test_flip_moves_rows_to_the_typical_values_of_a_group() -> None:
    raw = toy_raw(attributes=("sex", "race"))
    encoder = Encoder.fit(raw, TRAIN)
    flip = make_flip(encoder, raw, TRAIN)
    assert flip is not None
    assert [n for n, m in zip(encoder.feature_names, flip.mask.tolist(), strict=True) if m] == [
        "sex", "race=b", "race=w", "race=x", "race=z",
    ]  # fmt: skip
    assert (flip.values[:, ~flip.mask] == 0).all()
    moved = {name: flip.values[k, flip.mask].tolist() for k, name in enumerate(raw.group_names)}
    assert moved["female & Black"] == [-1, 1, 0, 0, 0] and moved["male & white"] == [1, 0, 1, 0, 0]
    assert moved["male & other"] in ([1, 0, 0, 1, 0], [1, 0, 0, 0, 1])


def test_flip_of_ranges_takes_the_training_median() -> None:
    raw = toy_raw(attributes=("age",))
    ids = np.arange(0, len(raw.rows), 2)
    encoder = Encoder.fit(raw, ids)
    flip = make_flip(encoder, raw, ids)
    assert flip is not None and raw.group_names == ("young", "old")
    for group in (0, 1):
        ages = np.sort(raw.frame["age"].to_numpy()[ids][raw.groups[ids] == group])
        median = encoder.encode(raw.frame.iloc[:1].assign(age=ages[(len(ages) - 1) // 2]))
        assert flip.values[group, 0] == median[0, 0]


def test_a_group_without_training_rows_is_unknown() -> None:
    raw = toy_raw()
    women = np.flatnonzero(raw.groups == 0)
    flip = make_flip(Encoder.fit(raw, TRAIN), raw, women)
    assert flip is not None and flip.values[1].abs().sum() == 0 and flip.values[0, 1] == -1


def test_statistics_do_not_depend_on_the_order_of_addition() -> None:
    raw = toy_raw()
    flipped = dataclasses.replace(raw, frame=raw.frame.iloc[::-1].reset_index(drop=True))
    assert Encoder.fit(raw, np.arange(200)) == Encoder.fit(flipped, np.arange(200))


def test_numbers_whose_squares_vanish_are_standardised_all_the_same() -> None:
    table = toy_table()
    tiny = assemble(toy_card(), ("sex",), table.assign(hours=(table["hours"] + 1) * 1e-300))
    usual = assemble(toy_card(), ("sex",), table.assign(hours=table["hours"] + 1))
    plain = [column.model_copy(update={"log": False}) for column in toy_card().column]
    features = []
    for raw in (tiny, usual):
        raw = dataclasses.replace(raw, card=toy_card(column=[column.model_dump() for column in plain]))
        encoder = Encoder.fit(raw, TRAIN)
        features.append(feature(encoder, encoder.encode(raw.frame), "hours"))
    assert np.allclose(features[0], features[1], atol=1e-5) and features[0].std() > 0.5


def flagged(flags: list[str], **changes: object) -> tuple[Encoder, torch.Tensor]:
    """A table with a binary column ``flag``, encoded by the nifty protocol; its feature of all rows."""
    columns = [
        {"name": "flag", "kind": "binary", "text": "f"},
        {"name": "sex", "kind": "binary", "text": "s"},
    ]
    table = toy_table(len(flags)).assign(flag=flags)
    raw = assemble(toy_card(rows=len(flags), column=columns, **changes), ("sex",), table)
    encoder = Encoder.fit(raw, np.arange(len(flags)), protocol="nifty")
    return encoder, encoder.encode(raw.frame)[:, 0]


def test_a_binary_column_keeps_raw_numbers_only_where_nothing_is_scaled() -> None:
    kept = {"nifty": {"label_number": 50, "scale": False}}
    assert set(flagged(["2", "5"] * 20, **kept)[1].tolist()) == {2.0, 5.0}
    assert set(flagged(["2", "5"] * 20, nifty={"label_number": 50})[1].tolist()) == {-1.0, 1.0}
    assert set(flagged(["2", "5"] * 20)[1].tolist()) == {-1.0, 1.0}, "a card without [nifty] scales"
    assert set(flagged(["no", "5"] * 20, **kept)[1].tolist()) == {-1.0, 1.0}, "a word is no number"
    assert set(flagged(["5"] * 40, **kept)[1].tolist()) == {0.0}, "one level says nothing"
    encoder, _ = flagged(["2", "5"] * 20, **kept)
    unseen = pd.DataFrame({"flag": ["7", None, "5"], "sex": ["F", "F", "F"]})
    assert encoder.encode(unseen)[:, 0].tolist() == [0.0, 0.0, 5.0]


def test_a_column_without_training_values_is_unknown_everywhere() -> None:
    raw = assemble(toy_card(), ("race",), toy_table().assign(hours=np.where(np.arange(200) % 2 == 0, np.nan, 7.0)))
    encoder = Encoder.fit(raw, TRAIN)
    hours = next(e for e in encoder.encoders if e.name == "hours")
    assert (hours.shift, hours.scale) == (0.0, 0.0)
    assert (feature(encoder, encoder.encode(raw.frame), "hours") == 0).all()


def test_without_features_there_is_nothing_to_fit() -> None:
    only = [{"name": "sex", "kind": "binary", "text": "s"}]
    raw = assemble(toy_card(column=only), ("sex",), toy_table())
    with pytest.raises(DataError, match="no feature left"):
        Encoder.fit(raw, TRAIN, use_sensitive="drop")


def test_the_typical_value_is_the_most_frequent_and_ties_take_the_smallest() -> None:
    raw = toy_raw(attributes=("race",))
    rows = [np.flatnonzero((raw.frame["race"] == word).to_numpy()) for word in ("b", "w", "x", "z")]
    encoder = Encoder.fit(raw, np.arange(200))
    for x, z, wanted in ((3, 3, "x"), (3, 4, "z"), (4, 3, "x")):
        train = np.concatenate([rows[0][:5], rows[1][:5], rows[2][:x], rows[3][:z]])
        flip = make_flip(encoder, raw, train)
        assert flip is not None
        other = flip.values[raw.group_names.index("other")]
        assert encoder.feature_names[int(other.argmax())] == f"race={wanted}"


@pytest.mark.parametrize("places", [[1, 4, 6, 9], [1, 4, 6, 9, 10]])
def test_the_median_is_a_value_that_occurs_of_two_the_lower(places: list[int]) -> None:
    raw = toy_raw(attributes=("age",))
    young = np.flatnonzero(raw.groups == raw.group_names.index("young"))
    old = np.flatnonzero(raw.groups == raw.group_names.index("old"))
    ages = raw.frame["age"].to_numpy()
    few = young[np.unique(ages[young], return_index=True)[1]][places]  # different ages
    encoder = Encoder.fit(raw, np.arange(len(raw.rows)))
    flip = make_flip(encoder, raw, np.concatenate((few, old)))
    assert flip is not None
    lower = encoder.encode(raw.frame.iloc[:1].assign(age=np.sort(ages[few])[(len(few) - 1) // 2]))
    assert flip.values[raw.group_names.index("young"), 0] == lower[0, 0]


def test_of_equally_frequent_categories_the_first_keep_a_feature() -> None:
    table = toy_table(400)
    table["job"] = [f"job {i % 80:02d}" for i in range(400)]  # five rows of each
    encoder = Encoder.fit(assemble(toy_card(rows=400), ("sex",), table), np.arange(400))
    jobs = next(e for e in encoder.encoders if e.name == "job")
    assert jobs.categories == tuple(f"job {i:02d}" for i in range(MOST_CATEGORIES))
    assert jobs.rare == tuple(f"job {i:02d}" for i in range(MOST_CATEGORIES, 80))
    assert jobs.width == len(jobs.feature_names) == MOST_CATEGORIES + 1


def test_statistics_have_nine_digits() -> None:
    raw = assemble(toy_card(), ("sex",), toy_table().assign(hours=np.where(np.arange(200) % 3 == 0, 1.0, 0.0)))
    hours = next(e for e in Encoder.fit(raw, np.arange(200), protocol="robust").encoders if e.name == "hours")
    share = 67 / 200 * np.log(2)
    assert hours.shift == float(f"{share:.9g}")


def test_the_text_of_an_encoder_is_canonical_and_says_no_defaults() -> None:
    text = Encoder.fit(toy_raw(), TRAIN).to_json()
    data = json.loads(text)
    assert text == json.dumps(data, sort_keys=True)
    (job,) = (column for column in data["encoders"] if column["spec"]["name"] == "job")
    assert job["spec"] == {"name": "job", "kind": "categorical", "text": "job"}


def test_the_most_frequent_categories_keep_a_feature() -> None:
    table = toy_table(400)
    words = [f"job {i:02d}" for i in range(80) for _ in range(9 if i >= 30 else 1)]  # the last fifty are common
    table["job"] = (words * 2)[:400]
    encoder = Encoder.fit(assemble(toy_card(rows=400), ("sex",), table), np.arange(400))
    jobs = next(e for e in encoder.encoders if e.name == "job")
    seen = table["job"].value_counts()
    assert {word for word, count in seen.items() if count > 1} <= set(jobs.categories)
    assert len(jobs.categories) == MOST_CATEGORIES or not jobs.rare


def test_a_single_training_value_is_a_constant() -> None:
    raw = assemble(toy_card(), ("race",), toy_table().assign(hours=np.where(np.arange(200) == 4, 7.0, np.nan)))
    hours = next(e for e in Encoder.fit(raw, TRAIN).encoders if e.name == "hours")
    assert (hours.shift, hours.scale) == (float(np.log1p(7.0)), 0.0)
