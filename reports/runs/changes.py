"""What differs between two runs before any number is looked at: settings, versions, data, cells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reports.table import CELL, LOST, Tables, missing_cells

Cell = tuple[Any, ...]
"""Values of the columns ``CELL``."""

OUTCOME = frozenset(
    {
        "unavailable", "failures", "tracking_error", "asked", "bias_sets", "infos", "left", "lost", "sources",
        "description",
    }
)  # fmt: skip
"""Parts of suite.json that say how a run went, or that follow from its settings and code."""

VERSIONS = frozenset({"hash", "code_version", "environment_hash", "libraries", "python", "llm_base"})
LISTS = ("tasks", "methods")


@dataclass(frozen=True)
class Change:
    """One fact that the two runs do not share."""

    what: str
    first: str
    second: str


@dataclass(frozen=True)
class CellChanges:
    """Names of the cells that only one run has a number for.

    Attributes
    ----------
    both : int
        Cells that both runs finished.
    only_first, only_second : tuple of str
        Cells that the other run was not asked for or has not reached.
    broken, mended : tuple of str
        Cells that failed in the second run only; in the first run only.
    missing_first, missing_second : tuple of str
        Cells that a run's own suite asks for and that have no row.
    """

    both: int
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    broken: tuple[str, ...]
    mended: tuple[str, ...]
    missing_first: tuple[str, ...]
    missing_second: tuple[str, ...]


def changes(first: Tables, second: Tables) -> list[Change]:
    """Settings and versions that differ, in the order of suite.json: settings, then code and environment."""
    found = [*_settings(first.suite, second.suite), *_versions(first.suite, second.suite)]
    code = [", ".join(sorted(set(tables.provenance["code_version"]))) for tables in (first, second)]
    if code[0] != code[1]:
        found.append(Change("code of the cells", *code))
    if anew := _anew(first, second):
        found.append(Change("cells with another key", "", anew))
    return found


def _anew(first: Tables, second: Tables) -> str:
    """Methods whose cells have other keys: what determines them changed, if only the file of an own method."""
    columns = ["task", "method", "use_sensitive", "split", "seed"]
    both = first.provenance.merge(second.provenance, on=columns, suffixes=("_first", "_second"))
    counts = both.loc[both["cell_first"] != both["cell_second"], "method"].value_counts(sort=False)
    return ", ".join(f"{method} ({count})" for method, count in counts.items())


def _settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*first, *second]):
        if name in OUTCOME | VERSIONS or first.get(name) == second.get(name):
            continue
        if name in LISTS:
            yield Change(name, *_one_sided(first.get(name, []), second.get(name, [])))
        elif isinstance(first.get(name), dict) or isinstance(second.get(name), dict):
            yield from _nested(name, first.get(name) or {}, second.get(name) or {})
        else:
            yield Change(name, _text(first.get(name)), _text(second.get(name)))


def _nested(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key):
            yield Change(f"{name}.{key}", _text(first.get(key)), _text(second.get(key)))


def _one_sided(first: list[str], second: list[str]) -> tuple[str, str]:
    """What only one of two lists has; in words where there is nothing."""
    only = [x for x in first if x not in second], [x for x in second if x not in first]
    if not any(only):
        return "in another order", "in another order"
    return tuple(("only " + ", ".join(names)) if names else "nothing more" for names in only)  # type: ignore[return-value]


def _versions(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Change]:
    words = {
        "hash": "suite hash", "code_version": "code version", "environment_hash": "environment hash",
        "python": "Python", "llm_base": "base of the text experts",
    }  # fmt: skip
    for key, word in words.items():
        if first.get(key) != second.get(key):
            yield Change(word, _text(first.get(key))[:40], _text(second.get(key))[:40])
    yield from _nested("library", first.get("libraries") or {}, second.get("libraries") or {})


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cell_changes(first: Tables, second: Tables) -> CellChanges:
    """Which cells both runs finished, and which only one did."""
    (done_a, failed_a), (done_b, failed_b) = _states(first), _states(second)
    return CellChanges(
        both=len(done_a & done_b),
        only_first=_names(done_a - done_b - failed_b),
        only_second=_names(done_b - done_a - failed_a),
        broken=_names(done_a & failed_b),
        mended=_names(failed_a & done_b),
        missing_first=_missing(first),
        missing_second=_missing(second),
    )


def _missing(tables: Tables) -> tuple[str, ...]:
    """Cells that a run's own suite asks for and that have no row; earlier versions did not record what was asked."""
    return tuple(missing_cells(tables)) if "asked" in tables.suite else ()


def _states(tables: Tables) -> tuple[set[Cell], set[Cell]]:
    """Finished and failed cells."""
    rows = tables.results
    failed = set(rows.loc[rows["status"].isin(LOST), list(CELL)].itertuples(index=False, name=None))
    return set(rows[list(CELL)].itertuples(index=False, name=None)) - failed, failed


def _names(cells: set[Cell]) -> tuple[str, ...]:
    return tuple(
        f"{task} · {method} · split {split} · seed {seed} · sensitive {use}"
        for task, _, use, split, seed, method in sorted(cells)
    )
