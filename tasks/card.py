"""Data cards: everything that is known about a data set, as data.

A card is one TOML file, ``datasets/<name>/card.toml``. It says where the published bytes are, how to
check them, how to read them, what each column means, what is predicted, for whom fairness is measured
and what is wrong with the data. It holds no code: see :mod:`tasks.fetch` and :mod:`tasks.frame` for
the parts that act on it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from foundation.hashing import hash_json
from foundation.refusals import faults_of


class CardError(ValueError):
    """A card that cannot be read, or that contradicts itself."""


class DataError(ValueError):
    """Data that do not fit their card, or that a task cannot be made of."""


_LATER = {"encoding": "utf-8", "decimal": ".", "thousands": "", "sheet": ""}
"""Fields of :class:`Read` that came later: as long as they say nothing, tasks keep the hash that they had."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(_Strict):
    """One published file: where it is and how its bytes are checked."""

    name: str = Field(description="file name in the cache")
    role: Literal["table", "edges", "documentation"] = "table"
    url: str = Field(default="", description="canonical address; empty: only by hand or from the mirror")
    member: str = Field(default="", description="path inside the archive at url; '!' separates nested archives")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the published, uncompressed bytes")
    bytes: int = Field(gt=0, description="size of the published, uncompressed bytes")
    mirror: str = Field(default="", description="path in the mirror folder; may end in .gz")


class Read(_Strict):
    """How the tables are read; several files are stacked in the order of the card."""

    format: Literal["csv", "parquet", "xlsx", "arff", "feather"] = "csv"
    separator: str = ","
    encoding: str = Field(default="utf-8", description="of text files, with or without a byte order mark")
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "\u00a0", "\u202f", "'"] = Field(
        default="", description="sign between thousands in the numbers of text files: 25.983,54 has '.'"
    )
    sheet: str = Field(default="", description="of a workbook; empty: it has one")
    header: bool = True
    names: tuple[str, ...] = ()
    skip_rows: tuple[int, ...] = Field(default=(), description="skip_rows[i]: leading lines to skip in the i-th table")
    strip: bool = Field(default=False, description="strip blanks around values")
    strip_suffix: str = Field(default="", description="suffix to cut from label strings, such as '.' in adult.test")
    missing: tuple[str, ...] = ()


class Rule(_Strict):
    """A test on one column's raw value; exactly one kind of test, bounds may be combined."""

    equals: tuple[str | int | float, ...] = ()
    at_least: float | None = None
    below: float | None = None
    above: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        bounds = (self.at_least, self.below, self.above, self.at_most)
        if bool(self.equals) == any(b is not None for b in bounds):
            raise ValueError("a rule is either equals = [...] or bounds (at_least, below, above, at_most)")
        return self


class Bin(Rule):
    """One class of raw codes that are too many to keep apart; several bins may share a name."""

    name: str


class ColumnSpec(_Strict):
    """A column that may become features."""

    name: str
    kind: Literal["numeric", "binary", "categorical"]
    text: str = Field(description="human-readable name, as in 'the applicant's {text} is ...'")
    unit: str = Field(default="", description="unit for text, such as 'years'")
    values: dict[str, str] = Field(default_factory=dict, description="raw value -> words")
    log: bool = Field(default=False, description="numeric: sign(v) log(1 + |v|) before scaling (heavy tails)")
    missing: tuple[str | int | float, ...] = Field(default=(), description="codes that mean missing, such as -9")
    bins: tuple[Bin, ...] = Field(
        default=(),
        description="categorical: on reading, a code becomes the name of the first bin whose rule it meets (bounds "
        "look at codes that are numbers), a code in no bin becomes 'other', a missing one stays missing",
    )

    @model_validator(mode="after")
    def _bins_are_categories(self) -> ColumnSpec:
        if self.bins and self.kind != "categorical":
            raise ValueError(f"bins need kind = 'categorical', {self.name!r} is {self.kind}")
        return self


class Label(_Strict):
    """The target: which column, which values are class 1, and what class 1 means."""

    column: str
    positive: Rule
    meaning: str
    negative_meaning: str
    unlabelled: tuple[str | int | float, ...] = Field(
        default=(), description="values whose rows have no label and leave the task; '' means an empty cell"
    )


class Group(Rule):
    """One group of a sensitive attribute."""

    name: str


class Sensitive(_Strict):
    """A sensitive attribute: a column and disjoint groups of its values."""

    name: str = Field(description="short name used in task names, as in adult:sex")
    column: str
    groups: tuple[Group, ...] = Field(min_length=1)
    other: str = Field(default="", description="group of values in no rule; empty: such rows leave the task")
    missing: Literal["error", "leave", "other"] = Field(
        default="error", description="rows without a value: refuse the data, leave the task, or join the group 'other'"
    )
    note: str = ""

    @model_validator(mode="after")
    def _two_groups(self) -> Sensitive:
        if len(self.groups) + bool(self.other) < 2:
            raise ValueError(f"sensitive attribute {self.name!r} needs two groups, or one group and other")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Sensitive:
        names = [" ".join(name.split()) for name in (*(group.name for group in self.groups), self.other) if name]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two groups of {self.name!r} print alike: {', '.join(map(repr, twice))}")
        return self

    @model_validator(mode="after")
    def _other_has_a_name(self) -> Sensitive:
        if self.missing == "other" and not self.other:
            raise ValueError('missing = "other" needs the name of that group in other')
        return self


class Keep(Rule):
    """A row filter: rows that fail it leave the task."""

    column: str
    why: str


class Edges(_Strict):
    """Edges of a graph data set (undirected; self-loops are dropped)."""

    file: str
    separator: str = " "
    key: str = Field(default="", description="column that the file names nodes by; empty: row number")
    meaning: str


class Nifty(_Strict):
    """Parameters of the NIFTY split of this data set."""

    label_number: int
    seed: int = 20
    scale: bool = True


class TextStyle(_Strict):
    """Words around the rows when they are written as text."""

    subject: str = "the person"
    question: str = ""
    positive: str = "yes"
    negative: str = "no"


class Card(_Strict):
    """All that is known about one data set before anything is computed."""

    name: str = Field(pattern="^[a-z][a-z0-9_]*$")
    version: int = 1
    title: str
    description: str
    modality: Literal["tabular", "graph", "simulated"] = "tabular"
    homepage: str = ""
    licence: str
    citation: str
    rows: int = Field(gt=0, description="rows of the published table(s)")
    source: str = Field(
        default="",
        pattern="^([a-z][a-z0-9_]*)?$",
        description="card of the same rows, people or survey: both count as one source in pooled intervals",
    )
    defects: tuple[str, ...] = ()
    file: tuple[SourceFile, ...] = ()
    read: Read = Read()
    column: tuple[ColumnSpec, ...]
    drop: dict[str, str] = Field(default_factory=dict, description="column -> why it is not a feature")
    keep: tuple[Keep, ...] = ()
    label: Label
    sensitive: tuple[Sensitive, ...] = Field(min_length=1)
    default_sensitive: str
    split_unit: str = Field(default="", description="column whose equal values stay in one part (patients)")
    edges: Edges | None = None
    nifty: Nifty | None = None
    text: TextStyle = TextStyle()
    generator: dict[str, Any] = Field(default_factory=dict, description="parameters of a simulated data set")
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        names = [c.name for c in self.column]
        if len(set(names)) != len(names):
            raise ValueError("a column is listed twice")
        both = set(names) & set(self.drop)
        if both:
            raise ValueError(f"columns both kept and dropped: {sorted(both)}")
        if self.label.column in names:
            raise ValueError(f"the label {self.label.column!r} is listed as a feature")
        attributes = [s.name for s in self.sensitive]
        if twice := sorted({name for name in attributes if attributes.count(name) > 1}):
            raise ValueError(f"two sensitive attributes have the name {', '.join(map(repr, twice))}")
        missing = [a for a in self.default_sensitive.split("+") if a not in attributes]
        if missing:
            raise ValueError(f"default_sensitive names {missing}, known are {attributes}")
        return self

    @property
    def folder(self) -> Path | None:
        """Folder of the card's file (files without a url are looked up there), None for a card made in memory."""
        return self._folder

    @property
    def hash(self) -> str:
        """sha256 of the card's canonical JSON without ``source``, which changes no task: part of every task hash."""
        data = self.model_dump(mode="json", exclude={"source"})
        data["read"] = {k: v for k, v in data["read"].items() if _LATER.get(k) != v}
        return hash_json(data)

    @property
    def origin(self) -> str:
        """The source that the rows come from: tasks of one source are not independent."""
        return self.source or self.name


def load_card(path: Path) -> Card:
    """Read and validate one card.

    Raises
    ------
    CardError
        If the file is missing, is not TOML, or breaks the schema; the text names the field.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CardError(f"no card at {path}; write one with 'fairmoe data card my.csv'") from None
    except OSError as error:
        raise CardError(f"{path} cannot be read as a card: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of thousands of digits
        raise CardError(f"{path} is not valid TOML: {' '.join(str(error).split())}") from error
    try:
        card = Card.model_validate(data)
    except ValidationError as error:
        faults = faults_of(error, Card.model_fields)
        raise CardError(f"{path} is not a valid card: {faults}") from error
    card._folder = path.resolve().parent
    return card
