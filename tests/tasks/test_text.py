"""Rows as text: templates, spans, and rows that are moved to another group."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.card import DataError
from tasks.load import load_task
from tasks.task import Task
from tasks.templates import FORMATS, TEMPLATES, UNKNOWN
from tasks.text import render, sentences
from tests.tasks.toys import own_card, toy_table

SCM = load_task("scm", rows=400)


@pytest.fixture
def toy(tmp_path: Path) -> Task:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    return load_task(str(tmp_path / "card.toml"), progress=False)


def value_of(task: Task, row: int, column: str) -> str:
    """The words of a cell, written the slow way."""
    spec = next(c for c in task.card.column if c.name == column)
    cell = task.frame[column].iloc[row]
    if pd.isna(cell):
        return UNKNOWN
    text = cell if isinstance(cell, str) else f"{cell:.10g}"
    return spec.values.get(text, text + (f" {spec.unit}" if spec.unit else ""))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("sentence", "The person's age is 23 years. The person's sex is female. The person's race is unknown."),
        ("list", "- age: 23 years\n- sex: female\n- race: unknown"),
        ("record", "age = 23 years; sex = female; race = unknown."),
    ],
)
def test_templates_read_as_shown(toy: Task, template: str, text: str) -> None:
    frame = toy.frame.copy()
    frame.loc[0, ["age", "sex", "race"]] = [23.0, "F", np.nan]
    view = dataclasses.replace(toy, frame=frame, columns=toy.columns[:3])
    assert render(view, torch.tensor([0]), template=template)[0].text == text


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.integers(0, 399), max_size=9), seed=st.integers(0, 2**30))
def test_spans_are_the_phrases_of_the_columns(template: str, rows: list[int], seed: int) -> None:
    keep = torch.rand(len(rows), len(SCM.columns), generator=torch.Generator().manual_seed(seed)) > 0.3
    style = FORMATS[template]
    written = render(SCM, torch.tensor(rows, dtype=torch.int64), keep, template)
    assert len(written) == len(rows)
    for i, (text, spans) in enumerate(written):
        phrases = [text[start:stop] for start, stop in spans]
        assert text == style.between.join(phrases) + style.end
        for c, (phrase, column) in enumerate(zip(phrases, SCM.columns, strict=True)):
            value = value_of(SCM, rows[i], column.name) if keep[i, c] else UNKNOWN
            assert phrase == value.join(style.around("the applicant", column.text)) and column.text in phrase


def test_missing_and_masked_read_the_same(toy: Task) -> None:
    row = int(np.flatnonzero(toy.frame["job"].isna())[0])
    keep = torch.ones(1, len(toy.columns), dtype=torch.bool)
    keep[0, [c.name for c in toy.columns].index("job")] = False
    for template in TEMPLATES:
        whole, masked = (render(toy, torch.tensor([row]), k, template) for k in (None, keep))
        assert whole == masked and UNKNOWN in whole[0].text


def test_sentences_are_the_first_template() -> None:
    rows = torch.arange(20)
    assert sentences(SCM, rows) == SCM.text(rows) == [w.text for w in render(SCM, rows, None, TEMPLATES[0])]


@pytest.mark.parametrize("template", TEMPLATES)
def test_dropped_columns_are_not_mentioned(template: str) -> None:
    dropped = load_task("scm", rows=400, use_sensitive="drop")
    written = render(dropped, torch.arange(5), template=template)
    assert all(len(w.spans) == len(SCM.columns) - 1 and "sex" not in w.text for w in written)


def test_an_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"no text template 'poem'.*sentence, list, record"):
        render(SCM, torch.tensor([0]), template="poem")


def check_moved(task: Task, group: int) -> None:
    """Every raw column and feature after a move; text differs in the sensitive columns alone."""
    assert task.flip is not None
    before, moved = task.frame.copy(), task.moved_to(group)
    expected = torch.where(task.flip.mask, task.flip.values[group], task.features)
    assert torch.equal(moved.features, expected)
    assert torch.equal(moved.encoder.encode(moved.frame), expected)
    assert moved.frame.dtypes.equals(task.frame.dtypes)
    pd.testing.assert_frame_equal(task.frame, before)
    sensitive = {task.columns[index].name for index in task.sensitive_columns}
    for name in task.frame:
        if name in sensitive:
            assert moved.frame[name].nunique() <= 1
        else:
            assert moved.frame[name].equals(task.frame[name])
    rows = torch.arange(0, len(task.labels), max(1, len(task.labels) // 50))
    for here, there in zip(render(task, rows), render(moved, rows), strict=True):
        for column, a, b in zip(task.columns, here.spans, there.spans, strict=True):
            assert column.sensitive or here.text[slice(*a)] == there.text[slice(*b)]


@pytest.mark.parametrize("attributes", ["", ":race", ":age", ":sex+race", ":sex+age"])
def test_moving_moves_features_and_raw_columns_alike(tmp_path: Path, attributes: str) -> None:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    task = load_task(f"{tmp_path / 'card.toml'}{attributes}", progress=False)
    for group in range(len(task.group_names)):
        check_moved(task, group)


@pytest.mark.data
@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("name", ["german", "adult:sex+race@4000", "compas:age_cat"])
def test_moving_real_rows(name: str) -> None:
    task = load_task(name)
    for group in range(len(task.group_names)):
        check_moved(task, group)
    with_nifty = load_task(name, protocol="nifty") if task.card.nifty else task
    check_moved(with_nifty, 0)


def test_moved_rows_read_as_the_other_group() -> None:
    woman = int((SCM.groups == SCM.group_names.index("female")).nonzero()[0])
    moved = SCM.moved_to(SCM.group_names.index("male"))
    assert isinstance(moved, Task), "the class of the view stays"
    here, there = (view.text(torch.tensor([woman]))[0] for view in (SCM, moved))
    assert here.replace("sex is female.", "sex is male.") == there != here


def test_a_group_without_training_rows_reads_unknown(toy: Task) -> None:
    assert toy.flip is not None
    unknown = tuple({name: float("nan") for name in typical} for typical in toy.flip.typical)
    view = dataclasses.replace(toy, flip=dataclasses.replace(toy.flip, typical=unknown))
    moved = view.moved_to(1)
    assert moved.frame["sex"].isna().all() and moved.frame["sex"].dtype == toy.frame["sex"].dtype
    assert "The person's sex is unknown." in moved.text(torch.tensor([0]))[0]


def test_tables_of_users_are_moved_in_their_own_type(toy: Task) -> None:
    for dtype in ("str", "object"):
        view = dataclasses.replace(toy, frame=toy.frame.astype({"sex": dtype}))
        moved = view.moved_to(0)
        assert moved.frame["sex"].dtype == view.frame["sex"].dtype
        assert torch.equal(moved.encoder.encode(moved.frame), toy.moved_to(0).features)
    few = toy.frame.copy()
    few["sex"] = pd.Categorical(["M"] * len(few))
    moved = dataclasses.replace(toy, frame=few).moved_to(0)
    assert moved.frame["sex"].unique().tolist() == ["F"], "a word that the table did not hold becomes a category"


def test_without_sensitive_features_rows_cannot_be_moved() -> None:
    with pytest.raises(DataError, match=r"cannot be moved.*use_sensitive = keep"):
        load_task("scm", rows=400, use_sensitive="drop").moved_to(0)


def test_the_words_of_truth_values_are_found(tmp_path: Path) -> None:
    columns = [
        {"name": "member", "kind": "binary", "text": "state", "values": {"True": "a member", "False": "no member"}},
        {"name": "sex", "kind": "binary", "text": "sex"},
    ]
    table = toy_table(200)
    table["member"] = table["age"] > 40
    own_card(tmp_path, table.to_csv(index=False), column=columns)
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    texts = sentences(task, torch.arange(200))
    assert all(
        ("is a member" if old else "is no member") in text for old, text in zip(table["age"] > 40, texts, strict=True)
    )
