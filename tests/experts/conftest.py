from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pandas as pd
import pytest
import torch

from tasks.card import Card, ColumnSpec, Group, Label, Rule, Sensitive
from tasks.columns import Column, Flip
from tasks.task import HIDDEN, Split, TaskView


def _card(rows: int, columns: list[str], n_groups: int) -> Card:
    return Card(
        name="synthetic",
        title="Synthetic",
        description="Made by a test.",
        licence="none",
        citation="none",
        rows=rows,
        column=tuple(ColumnSpec(name=name, kind="numeric", text=name) for name in columns),
        label=Label(column="y", positive=Rule(equals=(1,)), meaning="1", negative_meaning="0"),
        sensitive=(
            Sensitive(name="s", column="s", groups=tuple(Group(name=f"g{k}", equals=(k,)) for k in range(n_groups))),
        ),
        default_sensitive="s",
    )


def build_view(rows: int = 400, numeric: int = 4, levels: int = 3, n_groups: int = 2, seed: int = 0) -> TaskView:
    """A biased task: the sensitive column (±1 or one-hot), a categorical column of ``levels``, numeric columns."""
    g = torch.Generator().manual_seed(seed)
    groups = torch.randint(n_groups, (rows,), generator=g)
    sensitive = (2.0 * groups - 1)[:, None] if n_groups == 2 else torch.eye(n_groups)[groups]
    category = torch.eye(levels)[torch.randint(levels, (rows,), generator=g)]
    numbers = torch.randn(rows, numeric, generator=g)
    numbers[:, 0] += 0.8 * (groups == 1)
    score = numbers[:, 0] + 0.7 * numbers[:, 1] + 0.8 * (groups == 1) - 0.5 * category[:, 0]
    labels = (score + 0.5 * torch.randn(rows, generator=g) > 0.6).long()
    features = torch.cat([sensitive, category, numbers], 1)
    wide = sensitive.shape[1]
    columns = [
        Column("s", "binary" if wide == 1 else "categorical", tuple(range(wide)), "s", "", True),
        Column("c", "categorical", tuple(range(wide, wide + levels)), "c", "", False),
        *(Column(f"x{j}", "numeric", (wide + levels + j,), f"x{j}", "", False) for j in range(numeric)),
    ]
    order = torch.randperm(rows, generator=g)
    cut = (rows // 2, 3 * rows // 4)
    split = Split("robust", 0, order[: cut[0]], order[cut[0] : cut[1]], order[cut[1] :])
    labels[split.test] = HIDDEN
    values = torch.zeros(n_groups, features.shape[1])
    values[:, :wide] = torch.tensor([[-1.0], [1.0]]) if n_groups == 2 else torch.eye(n_groups)
    return TaskView(
        name="synthetic",
        features=features,
        labels=labels,
        groups=groups,
        group_names=tuple(f"g{k}" for k in range(n_groups)),
        split=split,
        feature_names=tuple(f"f{j}" for j in range(features.shape[1])),
        columns=tuple(columns),
        rows=torch.arange(rows),
        edges=None,
        card=_card(rows, [column.name for column in columns], n_groups),
        encoder=cast(Any, None),
        frame=pd.DataFrame(index=range(rows)),
        use_sensitive="keep",
        flip=Flip(torch.arange(features.shape[1]) < wide, values, ({},) * n_groups),
        hash=f"synthetic-{rows}-{seed}",
    )


def build_graph_view(rows: int = 240, degree: int = 6, **settings: Any) -> TaskView:
    """The same task with random edges, more of them between rows of a group; the last three nodes have none."""
    view = build_view(rows, **settings)
    g = torch.Generator().manual_seed(settings.get("seed", 0) + 1)
    ends = torch.randint(rows - 3, (2, rows * degree), generator=g)
    alike = view.groups[ends[0]] == view.groups[ends[1]]
    kept = (ends[0] != ends[1]) & (alike | (torch.rand(len(alike), generator=g) < 0.3))
    edges = torch.unique(torch.sort(ends[:, kept], dim=0).values, dim=1)
    return dataclasses.replace(view, edges=edges, hash=f"{view.hash}-graph")


@pytest.fixture
def make_view() -> Callable[..., TaskView]:
    return build_view


@pytest.fixture
def make_graph_view() -> Callable[..., TaskView]:
    return build_graph_view
