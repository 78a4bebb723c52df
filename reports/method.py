"""A method of the page: its record, its number, and the words of every method that the tables name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reports.methods import MethodRow
from reports.names import INK, KINDS, PALETTE, READS, section_of
from reports.table import ReportError, Tables, suite_methods

KIND_OF_ROLE = {"mixture": "gate", "baseline": "baseline", "": "baseline"}
"""Kind of a method that no record names, by the role in its rows; all other roles are those of experts."""


@dataclass(frozen=True)
class Method:
    """A method in the order of the suite; ``number`` is its mark in every figure."""

    row: MethodRow
    number: int
    role: str
    family: str

    @property
    def id(self) -> str:
        """Name in tables."""
        return self.row.id

    @property
    def label(self) -> str:
        """Short name for people."""
        return self.row.label

    @property
    def about(self) -> str:
        """One line without a full stop."""
        return self.row.about

    @property
    def reference(self) -> str:
        """Where it comes from."""
        return self.row.reference

    @property
    def kind(self) -> str:
        """A key of :data:`reports.names.KINDS`."""
        return self.row.kind

    @property
    def colour(self) -> str:
        """Colour of its mark."""
        return colour_of(self.row)

    @property
    def reads(self) -> str:
        """What it reads a row as: a key of :data:`reports.names.READS`."""
        return self.row.reads

    @property
    def section(self) -> str:
        """Part of the tables and figures that it stands in: see :data:`reports.names.SECTIONS`."""
        return section_of(self.row.kind, self.row.reads)

    @property
    def secondary(self) -> bool:
        """Whether tables of many methods fold it."""
        return self.row.secondary


KNOWS_GROUP = " (G)"
"""Behind the name of a method that must know the group of a row, in every table, figure and file."""

KNOWS_GROUP_WORDS = (
    "(G): must know the group of a row in order to decide about it, whether or not the group is among the features. "
    "That may not be allowed where you work."
)


ONLY_DECISIONS = " †"
"""Behind the name of a method whose scores only encode decisions."""

ONLY_DECISIONS_WORDS = (
    "†: its scores only encode decisions (shares of votes, or the decision itself), so the AUC in its utility is not "
    "that of a score: compare its accuracy, F1 and gaps."
)


def marked(row: MethodRow) -> MethodRow:
    """The record with marks in its name: that its scores only encode decisions, that it must know the group."""
    label = row.label.removesuffix(KNOWS_GROUP).removesuffix(ONLY_DECISIONS)
    label += ONLY_DECISIONS if row.scores_decisions else ""
    return replace(row, label=label + (KNOWS_GROUP if row.sensitive_at_prediction else ""))


def colour_of(row: MethodRow) -> str:
    """Colour of a method or an expert; ink for a word that the palette does not have."""
    return PALETTE.get(row.colour, INK)


def methods_of(tables: Tables) -> tuple[Method, ...]:
    """Methods that have rows, in the order of the suite; those that no record names are called by their ids."""
    results = tables.results
    facts = results[results["role"] != ""].groupby("method")[["role", "family"]].first()
    known = {str(method): (str(role), str(family)) for method, role, family in facts.itertuples(name=None)}
    infos = tables.suite.get("infos", {})
    found = []
    for number, method in enumerate(_in_suite_order(tables), start=1):
        role, family = known.get(method, ("", ""))
        row = marked(tables.methods.get(method) or _unnamed(method, role, family, infos.get(method, {})))
        found.append(Method(row, number, role, family))
    return tuple(found)


def _in_suite_order(tables: Tables) -> list[str]:
    present, asked = list(tables.results["method"].unique()), suite_methods(tables.suite)
    return [m for m in asked if m in present] + sorted(set(present) - set(asked))


def _unnamed(method: str, role: str, family: str, info: Mapping[str, str]) -> MethodRow:
    """Record of a method of a run that wrote none: what its suite and its rows say of it."""
    return MethodRow(
        id=method,
        label=info.get("label", method),
        about=info.get("about", ""),
        kind=info.get("kind", KIND_OF_ROLE.get(role, "expert")),
        family=family,
        reads=info.get("reads", "text" if family == "llm" else "tabular"),
        reference=info.get("reference", ""),
    )


def rows_of(tables: Tables, methods: Iterable[Method]) -> dict[str, MethodRow]:
    """Records of all methods, and of the members that no method is: those of the run, in its order.

    Raises
    ------
    ReportError
        If a record names a kind, or a way of reading rows, that pages do not know.
    """
    rows = {**{id: marked(row) for id, row in tables.methods.items()}, **{method.id: method.row for method in methods}}
    for row in rows.values():
        for what, word, known in (("kind", row.kind, KINDS), ("reads", row.reads, READS)):
            if word not in known:
                raise ReportError(f"The record of {row.id} has {what} = {word!r}. Use one of {', '.join(known)}.")
    return rows


def row_in(rows: Mapping[str, MethodRow], id: str) -> MethodRow:
    """Record of a method or an expert; one that nothing names is called by its id."""
    return rows.get(id) or MethodRow(id, id, kind="expert")


def in_order(experts: Iterable[str], rows: Mapping[str, MethodRow]) -> tuple[str, ...]:
    """Experts by what they read, then as the records stand; those without one last."""
    place, reads = {id: i for i, id in enumerate(rows)}, list(READS)

    def key(expert: str) -> tuple[int, int, str]:
        row = rows.get(expert)
        return (len(reads), 0, expert) if row is None else (reads.index(row.reads), place[expert], expert)

    return tuple(sorted(experts, key=key))


def by_reading(methods: Sequence[Method]) -> list[Method]:
    """Methods by what they read, in the order of :data:`reports.names.READS`; else as they stand."""
    reads = list(READS)
    return sorted(methods, key=lambda m: reads.index(m.reads))
