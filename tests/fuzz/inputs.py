"""Inputs that people and broken programs write: a corpus of good ones, and edits of them that Hypothesis chooses."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import strategies as st

from benchmarks.plan.suite import SUITES
from tests.fuzz.packages import MANIFESTS, PACKAGES

CELLS = (
    "", " ", "?", "NA", "None", "nan", "inf", "-inf", "1e200", "1e-320", "1.7976931348623157e+308", "0", "-0.0",
    "1.0", "True", "FALSE", "32.1%", "1.234,50", "1,5", "900719925474099301", "1" * 400, "1_000", "\u0661",
    "a\u2028b", "x\x85y", "\x00", "\ufeff", '"', '"a\nb"', "'", "\\", "[label]", "[/data/a.csv]", "<b>", "=1+1",
    "Male", "Male ", "male", "all others", "2021", "2021-02-30", "\U0001f600", "x" * 5000, "-9", ">50K.",
)  # fmt: skip
"""Cells that broke something somewhere."""
MARKS = (
    ",", ";", "\t", "|", "\n", "\r", "\r\n", '"', "'", " ", "=", "[", "]", "{", "}", "#", ".", "\\", "\x00",
    "\x1f", "",
)  # fmt: skip
NUMBERS = (
    "-1", "0", "1", "2", "1e999", "nan", "inf", "-inf", "1" + "0" * 30, "0.5", "true", "[]", "{}", '""', '"a"',
    "[[1]]", "1979-05-27",
)  # fmt: skip


def table(n: int = 40, separator: str = ",", header: bool = True) -> str:
    """A small table of people."""
    pick = random.Random(0)
    lines = [separator.join(("sex", "age", "job", "pay", "approved"))] if header else []
    for _ in range(n):
        person = (pick.choice("fm"), pick.randint(18, 80), pick.choice(("cook", "nurse", "")))
        lines.append(separator.join(map(str, (*person, round(pick.random() * 9e3, 2), pick.choice("01")))))
    return "\n".join(lines) + "\n"


CARD = """name = "people"
title = "people"
description = "d"
licence = "none"
citation = "none"
rows = 40
default_sensitive = "sex"
split_unit = ""
[[file]]
name = "people.csv"
sha256 = "{sha256}"
bytes = {size}
[read]
separator = ","
header = true
strip = true
strip_suffix = "."
skip_rows = [0]
missing = ["?", "inf"]
[label]
column = "approved"
positive = {{ equals = ["1"] }}
meaning = "yes"
negative_meaning = "no"
unlabelled = [""]
[text]
subject = "the person"
question = "Approved?"
[[sensitive]]
name = "sex"
column = "sex"
groups = [ {{ name = "f", equals = ["f"] }}, {{ name = "m", equals = ["m"] }} ]
missing = "leave"
[[sensitive]]
name = "age"
column = "age"
groups = [ {{ name = "young", below = 40 }}, {{ name = "old", at_least = 40 }} ]
[[keep]]
column = "age"
at_least = 10
why = "people"
[drop]
note = "free text"
[[column]]
name = "sex"
kind = "binary"
text = "sex"
values = {{ f = "female", m = "male" }}
[[column]]
name = "age"
kind = "numeric"
text = "age"
unit = "years"
log = true
missing = [-9]
[[column]]
name = "job"
kind = "categorical"
text = "job"
bins = [ {{ name = "kitchen", equals = ["cook"] }} ]
"""


def predictions(rows: int = 40) -> str:
    """A prediction of every row."""
    pick = random.Random(1)
    return "row,probability,note\n" + "".join(f"{row},{pick.random():.4f},x\n" for row in range(rows))


def _swap_cell(separators: str, values: tuple[str, ...]) -> Callable[[str, int, int], str]:
    """Put a value in place of what stands between two separators."""

    def edit(text: str, place: int, choice: int) -> str:
        ends = [i for i, char in enumerate(text) if char in separators]
        if not ends:
            return values[choice % len(values)]
        start = ends[place % len(ends)] + 1
        stop = next((end for end in ends if end >= start), len(text))
        return text[:start] + values[choice % len(values)] + text[stop:]

    return edit


def _insert(text: str, place: int, choice: int) -> str:
    at = place % (len(text) + 1)
    return text[:at] + MARKS[choice % len(MARKS)] + text[at:]


def _cut(text: str, place: int, choice: int) -> str:
    at = place % (len(text) + 1)
    return text[:at] + text[at + 1 + choice % 200 :]


def _lines(text: str, place: int, choice: int) -> str:
    """Leave out, repeat or move a line."""
    lines = text.split("\n")
    at = place % len(lines)
    line = lines.pop(at)
    where = choice % (len(lines) + 1)
    return "\n".join([*lines[:where], *[line] * (choice % 3), *lines[where:]])


def _everywhere(text: str, place: int, choice: int) -> str:
    old, new = MARKS[place % len(MARKS)], MARKS[choice % len(MARKS)]
    return text.replace(old, new) if old else text + new


def _number(text: str, place: int, choice: int) -> str:
    """Put another TOML value behind an equals sign."""
    return _swap_cell("=\n", tuple(f" {value}" for value in NUMBERS))(text, place, choice)


_CELL = _swap_cell(",;\t|\n", CELLS)
_WORD = _swap_cell('" \n', CELLS)
EDITS = (_CELL, _CELL, _CELL, _WORD, _insert, _cut, _lines, _everywhere)
TOML_EDITS = (_number, _number, _WORD, _insert, _cut, _lines, _everywhere)


def edited(corpus: tuple[str, ...], edits: tuple[Callable[[str, int, int], str], ...]) -> st.SearchStrategy[bytes]:
    """Bytes of a text of the corpus after up to six edits, now and then in another encoding."""
    places = st.integers(0, 1 << 16)
    steps = st.lists(st.tuples(st.sampled_from(edits), places, st.integers(0, 1 << 12)), max_size=6)
    encodings = st.sampled_from(("utf-8",) * 12 + ("utf-8-sig", "latin-1", "utf-16"))

    def make(text: str, chosen: list[tuple[Callable[[str, int, int], str], int, int]], encoding: str) -> bytes:
        for edit, place, choice in chosen:
            text = edit(text, place, choice)[:200_000]
        return text.encode(encoding, "replace")

    return st.builds(make, st.sampled_from(corpus), steps, encodings)


TABLES = (*(table(40, separator) for separator in ",;\t|"), table(40, header=False), table(21), table(5), "")
STRATEGIES: dict[str, st.SearchStrategy[bytes]] = {
    "tables": edited(TABLES, EDITS) | st.binary(max_size=300),
    "cards": edited((CARD,), TOML_EDITS) | st.binary(max_size=100),
    "rows": edited((table(),), (_CELL,)) | edited((table(),), EDITS),
    "predictions": edited((predictions(), predictions(5), predictions(60)), EDITS) | st.binary(max_size=300),
    "suites": edited(tuple(path.read_text(encoding="utf-8") for path in sorted(SUITES.glob("*.toml"))), TOML_EDITS)
    | st.binary(max_size=100),
    "manifests": MANIFESTS,
    "packages": PACKAGES,
}
"""What is tried, by kind."""
