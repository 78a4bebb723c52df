"""The shipped cards: complete, readable, equal to the published bytes and to the counts known about them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foundation.hashing import hash_file
from tasks.card import Card, CardError, SourceFile, load_card
from tasks.fetch import fetch
from tasks.frame import read_frame, read_tables
from tasks.registry import CARDS
from tasks.values import matches
from tests.tasks.toys import toy_card

MIRROR = "FAIRMOE_DATA_MIRROR"


@dataclass(frozen=True)
class Known:
    """What is known about a data set from its publisher or counted by hand.

    ``positives`` are of all published rows; ``groups`` of the rows that the card keeps, by attribute; ``rows`` and
    ``kept_positives`` of those rows where the card drops some whatever the attribute.
    """

    published: int
    positives: int
    groups: dict[str, list[int]]
    rows: int = 0
    kept_positives: int = 0
    features: int = 0
    left: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return self.rows or self.published


CREDIT_AGE = [27_315, 2_685]
BAIL = {"race": [9_317, 9_559], "sex": [17_777, 1_099]}
KNOWN = {
    "german": Known(1_000, 700, {"gender": [690, 310], "age": [810, 190]}, features=27),
    "bail": Known(18_876, 7_104, BAIL, features=18),
    "bail_clean": Known(18_876, 7_104, BAIL, features=15),
    "credit": Known(30_000, 23_364, {"age": CREDIT_AGE}, features=13),
    "nba": Known(403, 159, {"country": [230, 83]}, rows=313),
    "adult": Known(
        48_842,
        7_841 + 3_846,
        {
            "sex": [21_790 + 10_860, 10_771 + 5_421],
            "race": [27_816 + 13_946, 3_124 + 1_561, 1_039 + 480, 311 + 159, 271 + 135],
            "white": [41_762, 7_080],
            "age": [36_804, 8_432, 3_606],
        },
    ),
    "compas": Known(
        7_214,
        3_251,
        {"race": [3_175, 2_103, 894], "sex": [4_997, 1_175], "age_cat": [3_532, 1_347, 1_293]},
        rows=6_172,
        kept_positives=2_809,
    ),
    "german_credit": Known(1_000, 700, {"sex": [690, 310], "age": [810, 190]}, features=20),
    "default_credit": Known(
        30_000,
        6_636,
        {
            "sex": [11_888, 18_112],
            "age": CREDIT_AGE,
            "education": [10_585, 14_030, 4_917, 280 + 123 + 51 + 14],
            "marriage": [13_659, 15_964, 323 + 54],
        },
        features=23,
    ),
    "bank_marketing": Known(
        41_188, 4_640, {"age": [39_210, 1_978], "marital": [24_928, 11_568, 4_612]}, left={"marital": 80}, features=19
    ),
    "law_school": Known(
        22_407,
        21_238,
        {"race": [18_716, 1_343, 1_027, 897, 408], "sex": [12_576, 9_826]},
        left={"race": 16, "sex": 5},
    ),
    "student_performance": Known(649, 549, {"sex": [266, 383], "age": [468, 181]}, features=30),
    "communities_crime": Known(1_994, 608, {"race": [1_024, 970]}),
    "diabetes130": Known(
        101_766,
        11_357,
        {"race": [74_220, 18_772, 4_116], "sex": [53_454, 45_886], "age": [32_930, 66_410]},
        rows=101_766 - 2_423 - 3,
        kept_positives=11_314,
        left={"race": 2_232},
    ),
    "kdd_census_income": Known(99_762, 6_186, {"sex": [47_971, 51_791], "race": [83_613, 10_124, 2_913, 1_209, 1_903]}),
    "acs_income": Known(
        665_800,
        122_651 + 122_863,
        {
            "sex": [173_575 + 173_263, 159_325 + 159_637],
            "race": [259_392 + 259_625, 29_642 + 29_482, 19_232 + 19_242, 49_185],
            "age": [476_164, 88_979, 100_657],
        },
        features=10,
    ),
    "acs_hours": Known(
        665_800,
        176_112,
        {
            "sex": [173_575 + 173_263, 159_325 + 159_637],
            "race": [259_392 + 259_625, 29_642 + 29_482, 19_232 + 19_242, 49_185],
            "age": [476_164, 88_979, 100_657],
        },
        features=9,
    ),
    "compas_violent": Known(
        4_743,
        775,
        {"race": [1_918, 1_459, 643], "sex": [3_179, 841], "age_cat": [2_300, 766, 954]},
        rows=4_020,
        kept_positives=652,
    ),
    "diabetes130_any": Known(
        101_766,
        11_357 + 35_545,
        {"race": [74_220, 18_772, 4_116], "sex": [53_454, 45_886], "age": [32_930, 66_410]},
        rows=101_766 - 2_423 - 3,
        kept_positives=46_816,
        left={"race": 2_232},
    ),
    "law_first_year": Known(
        21_791,
        11_623,
        {"race": [18_285, 1_282, 488 + 389 + 110, 845, 293 + 99], "sex": [12_254, 9_537]},
        features=5,
    ),
    "student_mathematics": Known(395, 265, {"sex": [187, 208], "age": [284, 111]}, features=30),
}
EVERY = pytest.mark.parametrize("name", sorted(KNOWN))
NIFTY = {"german": (100, False), "bail": (100, True), "bail_clean": (100, True), "credit": (6_000, True)}


def card_of(name: str) -> Card:
    return load_card(CARDS / name / "card.toml")


@cache
def manifest() -> dict[str, dict[str, Any]]:
    entries = json.loads((Path(os.environ[MIRROR]) / "MANIFEST.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in entries}


def manifest_entry(card: Card) -> dict[str, Any]:
    return manifest()[card.file[0].mirror.split("/")[0]]


def published_columns(card: Card, path: Path, skip: int) -> list[str]:
    """All column names of a published table, as the reader of frames names them."""
    if card.read.format == "parquet":
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)  # type: ignore[no-untyped-call]
    header = 0 if card.read.header else None
    first = pd.read_csv(path, sep=card.read.separator, header=header, nrows=1, skiprows=skip)
    if card.read.names:
        assert len(card.read.names) == first.shape[1]
        return list(card.read.names)
    return [str(name) for name in first.columns]


@EVERY
def test_says_where_it_is_from_and_what_is_wrong_with_it(name: str) -> None:
    card = card_of(name)
    assert card.name == name
    assert len(card.licence) > 5 and len(card.citation) > 20 and card.homepage.startswith("https://")
    assert card.title and card.description.endswith(("?", ".")) and card.defects
    assert all(len(reason) > 5 for reason in card.drop.values())
    assert all(len(rule.why) > 5 for rule in card.keep)
    assert card.text.question.endswith("?")
    for file in card.file:
        assert file.url.startswith("https://") and file.mirror


@EVERY
def test_names_and_words_can_be_read_in_a_sentence(name: str) -> None:
    card = card_of(name)
    texts = [column.text for column in card.column]
    assert len(set(texts)) == len(texts), "two columns read the same"
    words = [word for column in card.column for word in column.values.values()]
    bins = [each.name for column in card.column for each in column.bins]
    groups = [group.name for sensitive in card.sensitive for group in sensitive.groups]
    for text in [*texts, *words, *bins, *groups, card.label.meaning, card.label.negative_meaning]:
        assert text and text == text.strip() and "_" not in text, text


@pytest.mark.parametrize("name", sorted(NIFTY))
def test_parameters_of_the_nifty_split(name: str) -> None:
    card = card_of(name)
    assert card.nifty is not None and card.edges is not None and card.modality == "graph"
    assert (card.nifty.label_number, card.nifty.scale, card.nifty.seed) == (*NIFTY[name], 20)
    assert not any(column.log or column.kind == "categorical" for column in card.column), "raw numbers, as in the paper"


def test_only_graphs_have_edges() -> None:
    with_edges = {name for name in KNOWN if card_of(name).edges}
    assert with_edges == {*NIFTY, "nba"} == {name for name in KNOWN if card_of(name).modality == "graph"}
    for name in with_edges:
        card = card_of(name)
        assert card.edges is not None and card.edges.file in {f.name for f in card.file if f.role == "edges"}


def test_bail_clean_is_bail_without_the_leak() -> None:
    bail, clean = card_of("bail"), card_of("bail_clean")
    assert clean.file == bail.file and clean.label == bail.label and clean.sensitive == bail.sensitive
    assert (
        {c.name for c in bail.column} - {c.name for c in clean.column} == {"TIME", "FOLLOW", "FILE"} == set(clean.drop)
    )


def test_columns_known_only_afterwards_are_no_features() -> None:
    leaks = {
        "bail_clean": {"TIME"},
        "bank_marketing": {"duration"},
        "student_performance": {"G1", "G2"},
        "student_mathematics": {"G1", "G2"},
        "law_first_year": {"first_pf"},
        "acs_hours": {"PINCP"},
        "law_school": {"bar", "bar1", "bar1_yr", "bar2", "bar2_yr", "dnn_bar_pass_prediction"},
        "compas": {"name", "first", "last", "dob", "decile_score", "score_text", "is_recid", "r_charge_desc", "event"},
        "adult": {"fnlwgt"},
        "kdd_census_income": {"instance_weight"},
        "diabetes130": {"encounter_id", "patient_nbr"},
    }
    for name, columns in leaks.items():
        assert columns <= set(card_of(name).drop), name


@pytest.mark.data
@EVERY
def test_files_are_those_of_the_manifest(name: str) -> None:
    card = card_of(name)
    entry = manifest_entry(card)
    assert (card.licence, card.citation, card.homepage) == (entry["licence"], entry["citation"], entry["homepage"])
    known = {file["path"]: file for file in entry["files"]}
    for file in card.file:
        assert_same_bytes(file, known[file.mirror])


def assert_same_bytes(file: SourceFile, known: dict[str, Any]) -> None:
    assert file.sha256 == known.get("sha256_original", known["sha256"])
    assert file.bytes == known.get("bytes_original", known["bytes"])
    assert known["url_bytes_identical"] and file.url == known["url"]
    assert file.member == known.get("url_member", "")
    assert file.name == known.get("original_name", Path(known["path"]).name)


@pytest.mark.data
@EVERY
def test_bytes_and_columns_are_those_of_the_card(name: str) -> None:
    card = card_of(name)
    paths = fetch(card, progress=False)
    skips = (*card.read.skip_rows, 0, 0)
    for file, skip in zip([file for file in card.file if file.role == "table"], skips, strict=False):
        assert hash_file(paths[file.name]) == file.sha256
        columns = set(published_columns(card, paths[file.name], skip))
        assert columns == {c.name for c in card.column} | {card.label.column} | set(card.drop)


@pytest.mark.data
@EVERY
def test_counts_are_the_known_ones(name: str) -> None:
    card, known = card_of(name), KNOWN[name]
    paths = fetch(card, progress=False)
    table = read_tables(card, paths)
    assert len(table) == card.rows == known.published
    assert int(matches(table[card.label.column], card.label.positive).sum()) == known.positives
    assert {sensitive.name for sensitive in card.sensitive} == set(known.groups)
    for sensitive in card.sensitive:
        raw = read_frame(card, paths, (sensitive.name,))
        assert np.bincount(raw.groups).tolist() == known.groups[sensitive.name]
        assert len(raw.labels) == known.kept - known.left.get(sensitive.name, 0)
        assert raw.unseen_groups == ()
        if not known.left.get(sensitive.name):
            assert raw.labels.sum() == (known.kept_positives or known.positives)
    assert not known.features or len(card.column) == known.features
    assert_words_fit(card, raw.frame)


def assert_words_fit(card: Card, frame: pd.DataFrame) -> None:
    """Words explain codes that occur, columns vary, and codes of letters and digits are all explained."""
    for column in card.column:
        values = frame[column.name]
        assert values.nunique() > 1, f"{column.name} is constant"
        if column.kind == "numeric":
            continue
        seen = set(values.cat.categories)
        unused = set(column.values) - seen
        assert unused <= {"A95"}, f"{column.name}: no row has {sorted(unused)}"
        opaque = {text for text in seen - set(column.values) if "_" in text or text.isdigit()}
        assert not opaque, f"{column.name}: no words for {sorted(opaque)}"


@pytest.mark.data
def test_the_leak_of_bail_is_as_described() -> None:
    card = card_of("bail")
    table = read_tables(card, fetch(card, progress=False))
    agree = ((table["TIME"] > 0) == (table["RECID"] == 1)).mean()
    assert round(float(agree), 3) == 0.994
    assert int((table["PRIORS"] == -9).sum()) == 1_347
    assert set(table["FILE"][table["PRIORS"] == -9]) == {3}


@pytest.mark.data
def test_age_groups_of_compas_are_the_published_ones() -> None:
    card = card_of("compas")
    table = pd.read_csv(fetch(card, progress=False)["compas-scores-two-years.csv"])
    published = ["25 - 45", "Less than 25", "Greater than 45"]
    age = next(sensitive for sensitive in card.sensitive if sensitive.name == "age_cat")
    for group, value in zip(age.groups, published, strict=True):
        assert (matches(table["age"], group) == (table["age_cat"] == value)).all()


@pytest.mark.data
def test_credit_and_german_are_rows_of_the_tables() -> None:
    """Row i of the two graphs is row i of the UCI tables, as the cards say."""
    credit, table = card_of("credit"), card_of("default_credit")
    left, right = (read_tables(card, fetch(card, progress=False)) for card in (credit, table))
    assert (left["NoDefaultNextMonth"] == 1 - right["default.payment.next.month"]).all()
    assert ((left["Age"] == 1) == (right["AGE"] < 25)).all()
    german, statlog = (
        read_tables(card, fetch(card, progress=False)) for card in (card_of("german"), card_of("german_credit"))
    )
    assert (german["LoanAmount"] == statlog["amount"]).all()
    assert ((german["MissedPayments"] == 0) == (statlog["credit_history"] == "A33")).all()


@pytest.mark.data
def test_patients_of_diabetes_have_several_stays() -> None:
    card = card_of("diabetes130")
    raw = read_frame(card, fetch(card, progress=False), ("sex",))
    assert raw.units is not None and len(np.unique(raw.units)) < len(raw.units)


SOURCES = [
    {"german", "german_credit"},
    {"credit", "default_credit"},
    {"bail", "bail_clean"},
    {"adult", "kdd_census_income"},
    {"acs_income", "acs_hours"},
    {"compas", "compas_violent"},
    {"diabetes130", "diabetes130_any"},
    {"law_school", "law_first_year"},
    {"student_performance", "student_mathematics"},
]


def test_cards_of_the_same_rows_or_survey_are_one_source() -> None:
    origins = {name: card_of(name).origin for name in KNOWN}
    groups = [{name for name in origins if origins[name] == origin} for origin in set(origins.values())]
    assert {frozenset(group) for group in groups if len(group) > 1} == {frozenset(group) for group in SOURCES}
    assert set(origins.values()) <= set(KNOWN), "a source is named by a card"


def test_cards_that_share_bytes_share_a_source() -> None:
    by_file: dict[str, set[str]] = {}
    for name in KNOWN:
        for file in card_of(name).file:
            by_file.setdefault(file.sha256, set()).add(card_of(name).origin)
    assert all(len(origins) == 1 for origins in by_file.values())


def test_the_source_changes_no_task() -> None:
    card = card_of("german_credit")
    assert card.source == "german" and card.hash == card.model_copy(update={"source": ""}).hash


def test_card_hash_follows_its_content() -> None:
    card = card_of("german")
    assert card.hash == card_of("german").hash != card_of("credit").hash
    assert card.model_copy(update={"rows": 999}).hash != card.hash


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"name = \xff", "is not valid TOML: 'utf-8' codec"),
        (b"rows = 1" + b"0" * 5000, "is not valid TOML: Exceeds the limit"),
        (b"a = " + b"[" * 5000, "is not valid TOML"),
        (None, "cannot be read as a card: Is a directory"),
    ],
)
def test_what_is_no_card_is_refused_in_one_paragraph(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(data) if data is not None else path.mkdir()
    with pytest.raises(CardError, match=reason) as error:
        load_card(path)
    assert "\n" not in str(error.value)


def test_names_that_could_not_be_told_apart_are_refused() -> None:
    sensitive = [s.model_dump() for s in toy_card().sensitive]
    with pytest.raises(ValueError, match="two sensitive attributes have the name 'sex'"):
        toy_card(sensitive=[*sensitive, {**sensitive[1], "name": "sex"}])
    groups = [{"name": "Male", "equals": ["M"]}, {"name": "Male ", "equals": ["M "]}, {"name": "f", "equals": ["F"]}]
    with pytest.raises(ValueError, match="two groups of 'sex' print alike: 'Male'"):
        toy_card(sensitive=[{**sensitive[0], "groups": groups}])
    with pytest.raises(ValueError, match="two groups of 'race' print alike: 'white'"):
        toy_card(sensitive=[sensitive[0], {**sensitive[1], "other": "white"}])
