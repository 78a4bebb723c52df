"""Small tables and cards for the tests of this folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foundation.seeding import numpy_generator
from tasks.card import Card, load_card
from tasks.frame import RawData, assemble


def toy_card(**changes: Any) -> Card:
    """A card with columns of all kinds: age, sex, race, job, hours; label ``y``; attributes sex, race, age."""
    card = {
        "name": "toy",
        "title": "toy",
        "description": "toy.",
        "licence": "none",
        "citation": "none",
        "rows": 200,
        "column": [
            {"name": "age", "kind": "numeric", "text": "age", "unit": "years", "missing": [-9]},
            {"name": "sex", "kind": "binary", "text": "sex", "values": {"F": "female", "M": "male"}},
            {"name": "race", "kind": "categorical", "text": "race"},
            {"name": "job", "kind": "categorical", "text": "job"},
            {"name": "hours", "kind": "numeric", "text": "weekly hours", "log": True},
        ],
        "label": {"column": "y", "positive": {"equals": [1]}, "meaning": "one", "negative_meaning": "zero"},
        "sensitive": [
            {
                "name": "sex",
                "column": "sex",
                "groups": [{"name": "female", "equals": ["F"]}, {"name": "male", "equals": ["M"]}],
            },
            {
                "name": "race",
                "column": "race",
                "groups": [{"name": "Black", "equals": ["b"]}, {"name": "white", "equals": ["w"]}],
                "other": "other",
            },
            {
                "name": "age",
                "column": "age",
                "groups": [{"name": "young", "below": 40}, {"name": "old", "at_least": 40}],
                "missing": "leave",
            },
        ],
        "default_sensitive": "sex",
        "text": {"subject": "the person"},
    }
    return Card.model_validate({**card, **changes})


def toy_table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    """[n] rows that fit ``toy_card``; -9 and empty cells among the values."""
    random = numpy_generator(seed, "toy")
    return pd.DataFrame(
        {
            "age": np.where(random.random(n) < 0.05, -9, random.integers(18, 80, n)),
            "sex": random.choice(["F", "M"], n),
            "race": random.choice(["b", "w", "x", "z"], n, p=[0.3, 0.5, 0.1, 0.1]),
            "job": pd.Series(random.choice(["cook", "nurse", None], n, p=[0.5, 0.4, 0.1]), dtype="str"),
            "hours": random.integers(0, 10_000, n) / 10,
            "y": random.integers(0, 2, n),
        }
    )


def toy_raw(n: int = 200, seed: int = 0, attributes: tuple[str, ...] = ("sex",), **changes: Any) -> RawData:
    """The toy table as read by its card."""
    return assemble(toy_card(rows=n, **changes), attributes, toy_table(n, seed))


def own_card(folder: Path, table: str, **changes: Any) -> Card:
    """A toy card with its CSV beside it, as a user would have them."""
    import tomllib

    path = folder / "own.csv"
    path.write_bytes(table.encode())
    data = toy_card(**changes).model_dump(mode="json", exclude_defaults=True)
    data["file"] = [
        {"name": path.name, "sha256": hashlib.sha256(table.encode()).hexdigest(), "bytes": len(table.encode())}
    ]
    text = toml_of(data)
    tomllib.loads(text)
    (folder / "card.toml").write_text(text, encoding="utf-8")
    return load_card(folder / "card.toml")


def toml_of(data: dict[str, Any]) -> str:
    """A card as TOML, one key a line."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in data.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, (int, float)) else '"' + value.replace('"', '\\"') + '"'
