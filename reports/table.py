"""The result table and its twins: columns, order, bytes, and which cells are missing.

Everything a report says is read from the files of one output folder:

===================== =========================================================================================
``results.parquet``    one row per cell × part × metric (and ``results.csv``, the same rows)
``groups.csv``         one row per cell × part × group × statistic
``routing.csv``        one row per mixture cell × part × group × expert
``templates.csv``      one row per text expert × part × way of writing rows as text × metric
``bias.csv``           one row per base, adapter or mixture × language bias set × metric × category
``fronts.csv``         one row per searched mixture × member of its front × quantity
``levels.csv``         one row per cell × variant × kind of gap × allowed gap × metric
``thresholds.csv``     one row per cell × variant × kind of gap × allowed gap × group
``trials.csv``         one row per cell × trained configuration
``provenance.csv``     one row per cell: where it came from and what it cost; never deterministic
``suite.json``         what was to be compared, and the tasks that could not be had
``methods.json``       what pages must know of the methods (:mod:`reports.methods`); earlier versions wrote none
===================== =========================================================================================

All tables but provenance hold deterministic columns only and are sorted by all their key columns, so the same numbers
are the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foundation.files import atomic_path, write_text
from reports.methods import MethodRow, read_methods
from reports.saved import Saved, saved_models

Row = Mapping[str, Any]

HEAD = (
    "suite", "task", "task_hash", "protocol", "split", "split_hash", "use_sensitive", "seed",
    "method", "role", "family",
)  # fmt: skip
"""Columns that say which cell a row belongs to; shared by the deterministic tables."""

CELL = ("task", "protocol", "use_sensitive", "split", "seed", "method")
"""The part of ``HEAD`` that tells the cells of one suite apart."""


@dataclass(frozen=True)
class Schema:
    """Columns of one table: keys (unique together, sort order), then values.

    Numbers that are ``optional`` may be absent, in rows and in the files of earlier versions; they are nan then. A
    column of ``meant`` is absent in the files of earlier versions, which meant its one value. Columns of ``texts`` hold
    texts, whatever their names mean elsewhere. ``younger`` tables are absent in the output of earlier versions.
    """

    keys: tuple[str, ...]
    values: tuple[str, ...]
    optional: tuple[str, ...] = ()
    meant: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    younger: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in file order."""
        return self.keys + self.values


NULL = ("null_mean", "null_sd")
"""Moments of a metric under shuffled groups, beside their 95th percentile."""
RESULTS = Schema(
    (*HEAD, "part", "metric"), ("estimate", "low", "high", "null_p95", *NULL, "status", "reason"), optional=NULL
)
GROUPS = Schema((*HEAD, "part", "group", "statistic"), ("estimate", "low", "high"))
ROUTING = Schema((*HEAD, "part", "group", "expert"), ("weight", "top1", "expert_rate"))
FURTHER = {
    "templates": Schema((*HEAD, "part", "template", "metric"), ("estimate",)),
    "bias": Schema(
        (*HEAD, "set", "metric", "category"),
        ("estimate", "low", "high", "null_p95", "items", "status", "reason"),
        optional=("null_p95",),
    ),
    "fronts": Schema((*HEAD, "member", "quantity"), ("estimate", "surrogate", "status")),
    "levels": Schema(
        (*HEAD, "variant", "gap", "level", "procedural", "metric"),
        ("estimate", "validation", "status", "trial"),
        meant=(("gap", "fair_res@1"), ("procedural", ""), ("trial", "")),
        texts=("trial",),
    ),
    "thresholds": Schema((*HEAD, "variant", "gap", "level", "procedural", "group"), ("cut", "shares"), younger=True),
    "trials": Schema(
        (*HEAD, "trial"),
        ("params", "utility_validation", "fair_res_validation", "utility_test", "fair_res_test", "state"),
        meant=(("params", ""),),
    ),
}
"""Tables that only some methods have rows in.

``levels`` holds, per cell of seed 0, what a method reaches when a result gap may be at most a level on the rows that
choose. ``gap`` is the metric that is bounded: "fair_res@1", whose ``level`` is "any" (no bound), "0.01", "0.02",
"0.05", "0.10", "half" or "quarter" (of the utility expert's validation gap), or "dp@1" with "0.02", "0.05", "0.10".
``variant`` says how it gets there:

- "plain": the best of the method's own trained configurations, as it is.
- "thresholds": the method's chosen model with group thresholds from validation rows and their labels
  (:mod:`metrics.thresholds`).
- "oof", "oof80", "oof60": the chosen configuration refitted on folds of training and validation rows, with group
  thresholds from out-of-fold rows and their expected labels (:mod:`metrics.expected_labels`); the gap may be κ = 1,
  .8 or .6 times the level there. A method that cannot be refitted has none.
- "decision": the method's own decision layer, where it has one, told the group.

``procedural`` is "" where reasons are not bounded, else the bound, such as "fair_proc@1<=half": the metric may be at
most that share of the value of the tuned boosted trees (the chosen expert "gbdt_utility") on explained validation rows.
Only "decision" of a mixture that searches for such models has these rows, for fair_res@1 at "any" and "0.05". Of other
methods the rows without a bound tell ``fair_proc@1`` and ``att_jsd@1`` at these levels, where the reasons of the very
model are known ("thresholds"; "oof" of what is bagged itself): a method's cell does not know what else its job holds,
and whether it keeps a bound is read off these (:mod:`reports.levels.procedural`).

``estimate`` is the value on test rows, ``validation`` on the rows that chose (for "oof" variants and "decision":
out-of-fold training and validation rows; for procedural metrics: the explained ones among the validation rows);
``metric`` is one of utility@1, acc@1, f1@1, auc@1, dp@1, eopp@1, fair_res@1, worst_acc@1, ``limit`` (the allowed gap
itself; inf for "any"), fair_proc@1, att_jsd@1 and ``bound`` (largest value of the bounded procedural metric).
``status`` is the same for all rows of a (variant, gap, level, procedural): "ok", or "imputed" where nothing reaches the
level (and keeps the bound) on the rows that choose and the constant predictor stands in. A cell whose validation rows
cannot tell any gap has no rows here. ``trial`` is the number in the study of the trained configuration whose values
these are (a row of ``trials``; of a mixture with a trained gate, the place of the gate among those that were trained to
the end). It is empty for the method's chosen model, whose number is the parameter ``best_trial`` of its cell where it
was tuned, and for the constant predictor that stands in.

``thresholds`` holds the thresholds of those rows of ``levels`` that are decided by thresholds: per group the ``cut``, a
margin (logit): a row of the group is predicted 1 iff its margin exceeds the cut, and 0 is the model's own cut.
``shares`` of "decision" is a list (JSON): the shares of the members whose probabilities are averaged before the cut;
the first member is the mixture itself, members of fair roles follow, then those that only bounds on reasons ask for.
Elsewhere it is empty: "thresholds" moves the chosen model, "oof" variants the mean of its models on folds.

``trials`` holds, per cell of seed 0 of a tuned method, every started configuration under its number in the study;
``params`` are its hyperparameters (JSON with sorted keys; empty in runs of earlier versions). ``state`` is "ok",
"pruned" (stopped by halving: its numbers are those of the best checkpoint that it had), "constant" (a nearly constant
prediction) or "failed", and numbers of a failed one are nan.

``category`` of ``bias`` is "macro" or "all" for a whole set. ``quantity`` of ``fronts`` is a metric (with its value on
the search rows, and what the surrogate had said) or ``alpha.<expert>``; ``status`` is the same for all rows of a
member: "winner", "front" or "rejected", each with more words after ": " where there is more to say.
"""

PROVENANCE = Schema(
    ("cell", "suite", "task", "method", "use_sensitive", "split", "seed"),
    (
        "mlflow_run_id",
        "wall_s",
        "trainable_parameters",
        "adapter_kib",
        "tokens_per_s",
        "explained_rows",
        "code_version",
        "environment_hash",
        "finished",
        "reproduce",
        "order",
    ),
    optional=("explained_rows",),
    meant=(("order", ""),),
)
"""``explained_rows``: test rows whose reasons were asked for; procedural metrics but counterfactuals speak of these.
``order``: empty, or that trials were asked by several drivers, so that the same command may come to other ones.
"""

LOST = ("failed", "timeout")
"""Statuses of cells that were not computed; the one row of such a cell stands for all metrics."""

INTEGERS = frozenset({"split", "seed", "member", "trial"})
NUMBERS = frozenset(
    {
        "estimate",
        "cut",
        "low",
        "high",
        "null_p95",
        *NULL,
        "weight",
        "top1",
        "expert_rate",
        "wall_s",
        "trainable_parameters",
        "adapter_kib",
        "tokens_per_s",
        "explained_rows",
        "surrogate",
        "items",
        "validation",
        "utility_validation",
        "fair_res_validation",
        "utility_test",
        "fair_res_test",
    }
)


class ReportError(ValueError):
    """An output folder whose tables are absent, incomplete or contradict their schema."""


@dataclass(frozen=True)
class Tables:
    """Everything that a report reads.

    Attributes
    ----------
    results, groups, routing, provenance : DataFrame
        See ``RESULTS``, ``GROUPS``, ``ROUTING``, ``PROVENANCE``; numbers are float64, absent ones nan.
    further : dict of DataFrame
        See ``FURTHER``.
    suite : dict
        Content of ``suite.json``.
    methods : dict
        Records of the methods and of the members that mixtures name, by id, in the order of the run; empty for a run
        that was written before there were any.
    saved : tuple of Saved
        Models of the run that were saved below its folder.
    """

    results: pd.DataFrame
    groups: pd.DataFrame
    routing: pd.DataFrame
    provenance: pd.DataFrame
    suite: dict[str, Any]
    further: dict[str, pd.DataFrame] = field(default_factory=dict)
    methods: dict[str, MethodRow] = field(default_factory=dict)
    saved: tuple[Saved, ...] = ()


def frame(rows: Iterable[Row], schema: Schema, what: str) -> pd.DataFrame:
    """Rows as a frame in the schema's column order, typed, sorted by all keys.

    Raises
    ------
    ReportError
        If a column is missing or unknown, or if two rows share all keys.
    """
    records = [{**dict.fromkeys(schema.optional, math.nan), **row} for row in rows]
    known = set(schema.columns)
    for record in records:
        if record.keys() != known:
            missing, extra = sorted(known - record.keys()), sorted(record.keys() - known)
            raise ReportError(
                f"A row of {what} lacks the columns {missing} and has the unknown columns {extra}: {dict(record)}."
            )
    table = _typed(pd.DataFrame(records, columns=list(schema.columns)), schema)
    twice = table[table.duplicated(list(schema.keys), keep=False)]
    if len(twice):
        raise ReportError(f"{what} has {len(twice)} rows that share all key columns, first: {twice.iloc[0].to_dict()}.")
    return table.sort_values(list(schema.keys), kind="stable", ignore_index=True)


def _typed(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    return table.astype({column: _kind(column, schema) for column in table.columns})


def _kind(column: str, schema: Schema) -> str:
    if column in schema.texts:
        return "object"
    return "int64" if column in INTEGERS else "float64" if column in NUMBERS else "object"


def write_results(
    folder: Path,
    *,
    results: Iterable[Row],
    groups: Iterable[Row],
    routing: Iterable[Row],
    provenance: Iterable[Row],
    further: Mapping[str, Iterable[Row]] | None = None,
) -> list[Path]:
    """Write the tables of a run; the deterministic ones are byte-identical for the same content.

    Parameters
    ----------
    folder : Path
        Output folder; made if absent.
    results, groups, routing, provenance : iterable of mappings
        Rows with exactly the columns of the schema, in any order.
    further : mapping of str to iterable of mappings, optional
        Rows of the tables in ``FURTHER``; a table that is not given is written empty.

    Returns
    -------
    list of Path
        ``results.parquet``, ``results.csv``, ``groups.csv``, ``routing.csv``, ``provenance.csv`` and the further ones.

    Raises
    ------
    ReportError
        See :func:`frame`.
    """
    table = frame(results, RESULTS, "results")
    paths = [folder / "results.parquet", folder / "results.csv"]
    _write_parquet(table, paths[0])
    write_csv(table, paths[1])
    for name, rows, schema in (
        ("groups", groups, GROUPS),
        ("routing", routing, ROUTING),
        ("provenance", provenance, PROVENANCE),
        *((name, (further or {}).get(name, ()), schema) for name, schema in FURTHER.items()),
    ):
        path = folder / f"{name}.csv"
        write_csv(frame(rows, schema, name), path)
        paths.append(path)
    return paths


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; the file is whole or absent."""
    # without float_format pandas writes the shortest decimal that reads back as the same double
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, engine="pyarrow", compression="zstd", index=False)


def read_results(folder: Path) -> Tables:
    """Read the tables of a run.

    Raises
    ------
    ReportError
        If a file is missing or its columns differ from the schema.
    """
    return replace(
        read_core(folder),
        groups=_read_csv(folder / "groups.csv", GROUPS),
        routing=_read_csv(folder / "routing.csv", ROUTING),
        further={name: _read_csv(folder / f"{name}.csv", schema) for name, schema in FURTHER.items()},
        saved=saved_models(folder),
    )


def read_core(folder: Path) -> Tables:
    """Read what the runs of every version have: results, provenance and suite; the other tables are empty.

    Raises
    ------
    ReportError
        If a file is missing or its columns differ from the schema.
    """
    return Tables(
        results=_read_parquet(folder / "results.parquet"),
        groups=frame([], GROUPS, "groups"),
        routing=frame([], ROUTING, "routing"),
        provenance=_read_csv(folder / "provenance.csv", PROVENANCE),
        suite=json.loads(_present(folder / "suite.json").read_text(encoding="utf-8")),
        methods=read_methods(folder),
    )


def _present(path: Path) -> Path:
    if not path.is_file():
        raise ReportError(
            f"There is no {path.name} in {path.parent}. Give the output folder of a bench run, such as results/quick, "
            "or of a discovery (fairmoe discover), such as results/discover/first."
        )
    return path


def _check_columns(columns: Sequence[str], schema: Schema, path: Path) -> None:
    younger = {*schema.optional, *dict(schema.meant)}
    known = tuple(c for c in schema.columns if c in columns or c not in younger)
    if tuple(columns) != known:
        raise ReportError(
            f"{path} has the columns {list(columns)}; expected {list(schema.columns)}. "
            "It was written by another version: run the bench again with the same command, finished cells are kept."
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(_present(path), engine="pyarrow")
    _check_columns(list(table.columns), RESULTS, path)
    return _typed(table.reindex(columns=list(RESULTS.columns)), RESULTS)


def _read_csv(path: Path, schema: Schema) -> pd.DataFrame:
    if schema.younger and not path.exists():
        return frame([], schema, path.stem)
    table = pd.read_csv(_present(path), dtype=str, keep_default_na=False)
    _check_columns(list(table.columns), schema, path)
    for column, value in schema.meant:
        table[column] = table.get(column, value)
    table = table[[column for column in schema.columns if column in table]]
    for column in NUMBERS & set(table.columns):
        table[column] = table[column].replace("", "nan")
    return _typed(table.reindex(columns=list(schema.columns)), schema)


def further_table(tables: Tables, name: str) -> pd.DataFrame:
    """A table that only some runs have; without it, an empty one."""
    return tables.further[name] if name in tables.further else pd.DataFrame(columns=list(FURTHER[name].columns))


def select(table: pd.DataFrame, **equal: str) -> pd.DataFrame:
    """Rows whose columns have these values."""
    keep = np.ones(len(table), dtype=bool)
    for column, value in equal.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def missing_cells(tables: Tables) -> list[str]:
    """Name every cell that the suite asks for and the result table does not hold.

    A cell is there when it has at least one row, even a row that says it failed. Tasks listed as unavailable are not
    asked for: they are reported with their reason instead.
    """
    suite = tables.suite
    gone = {entry["task"] for entry in suite.get("unavailable", ())}
    have = set(tables.results[list(CELL)].itertuples(index=False, name=None))
    return [_cell_name(cell) for cell in _asked(suite) if cell[0] not in gone and cell not in have]


def _asked(suite: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Every cell of a suite, from the record of its jobs."""
    for job in suite["asked"]:
        for seed, methods in job["cells"].items():
            for method in methods:
                yield job["task"], job["protocol"], job["use_sensitive"], job["split"], int(seed), method


def suite_tasks(suite: Mapping[str, Any]) -> list[str]:
    """Tasks of a suite in its order: the tabular ones, then those that are there for the text experts alone."""
    return list(dict.fromkeys([*suite["tasks"], *((suite.get("llm") or {}).get("tasks", ()))]))


def suite_methods(suite: Mapping[str, Any]) -> list[str]:
    """Methods of a suite in its order: the tabular ones, then the text experts and mixtures with them."""
    return [*suite["methods"], *((suite.get("llm") or {}).get("methods", ()))]


def _cell_name(cell: tuple[Any, ...]) -> str:
    task, _, use_sensitive, split, seed, method = cell
    return f"{task} · {method} · split {split} · seed {seed} · sensitive {use_sensitive}"
