"""What is measured and tested on tables that no memory holds: a made Parquet file with a card, one pass of lanes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from experts.networks.stored_rows import StoredNetwork
from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from foundation.hashing import hash_file
from foundation.seeding import numpy_generator
from tasks.stored.table import StoredTable

BATCH, HIDDEN = 1024, 16


def made_table(
    folder: Path, rows: int, numbers: int = 6, words: int = 4, *, groups: int = 2, chunk: int = 1 << 17, seed: int = 0
) -> Path:
    """Write ``big.parquet`` and its card; the path of the card.

    The label depends on the first numbers, the first words and the group; a fiftieth of the numbers is empty.
    """
    names = ("F", "M", *(f"X{number}" for number in range(2, groups)))
    import pyarrow.parquet as pq
    from pyarrow import Table  # type: ignore[attr-defined]

    path = folder / "big.parquet"
    writer = None
    for start in range(0, rows, chunk):
        part = Table.from_pandas(
            _part(min(chunk, rows - start), numbers, words, names, seed, start), preserve_index=False
        )
        writer = writer or pq.ParquetWriter(path, part.schema)  # type: ignore[no-untyped-call]
        writer.write_table(part)  # type: ignore[no-untyped-call]
    if writer is not None:
        writer.close()  # type: ignore[no-untyped-call]
    card = folder / "big.toml"
    card.write_text(_card(path, rows, numbers, words, names), encoding="utf-8")
    return card


def one_pass(table: StoredTable, lanes: int) -> LaneResult:
    """Networks of the utility role after one pass over the training rows."""
    steps = len(table.rows_of("train")) // BATCH
    budget = Budget(steps=steps, eval_every=steps, rungs=(), hidden=HIDDEN, batch_rows=BATCH)
    configs = [LaneConfig(1e-3, 0.0, {}, seed) for seed in range(lanes)]
    return train_lanes(table.sample.view(), "utility", configs, budget, seed=0, network=StoredNetwork(table))


def _part(rows: int, numbers: int, words: int, names: Sequence[str], seed: int, start: int) -> pd.DataFrame:
    random = numpy_generator(seed, "made", start)
    group = random.integers(0, len(names), rows)
    values = random.standard_normal((numbers, rows), dtype=np.float32) * 3 + 10
    codes = random.integers(0, 5, (words, rows))
    margin = (values[0] - 10) / 3 + 0.5 * (codes[0] == 1) + 0.4 * (group % 2) - 0.5
    label = (random.random(rows) < 1 / (1 + np.exp(-1.5 * margin))).astype(np.int64)
    columns = {f"n{j}": np.where(random.random(rows) < 0.02, np.float32(np.nan), values[j]) for j in range(numbers)}
    named = {f"w{j}": np.array(list("abcde"))[codes[j]] for j in range(words)}
    return pd.DataFrame({**columns, **named, "sex": np.array(names)[group], "y": label})


def _card(path: Path, rows: int, numbers: int, words: int, names: Sequence[str]) -> str:
    columns = [("numeric", f"n{j}") for j in range(numbers)] + [("categorical", f"w{j}") for j in range(words)]
    blocks = "".join(
        f'[[column]]\nname = "{name}"\nkind = "{kind}"\ntext = "{name}"\n'
        for kind, name in [*columns, ("binary" if len(names) == 2 else "categorical", "sex")]
    )
    told = {"F": "female", "M": "male"}
    groups = (f'{{name = "{told.get(name, name)}", equals = ["{name}"]}}' for name in names)
    return f"""name = "big"
title = "A made table"
description = "Made."
licence = "none"
citation = "none"
rows = {rows}
default_sensitive = "sex"

[[file]]
name = {json.dumps(path.name)}
sha256 = "{hash_file(path)}"
bytes = {path.stat().st_size}

[read]
format = "parquet"

{blocks}
[label]
column = "y"
positive = {{equals = [1]}}
meaning = "one"
negative_meaning = "zero"

[[sensitive]]
name = "sex"
column = "sex"
groups = [{", ".join(groups)}]
"""
