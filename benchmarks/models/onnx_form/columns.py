"""Raw columns to features within the graph, as :mod:`tasks.encode` does it.

A number that is missing is NaN, a word that is missing is empty. A graph cannot refuse a row, so a category that no
training row had counts as an empty cell, and such cells are counted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.models.onnx_form.graph import ML, Graph, Value
from tasks.bins import OTHER
from tasks.card import Bin, Card
from tasks.encode import ColumnEncoder, Encoder
from tasks.values import word

NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
RULE = -1
"""Code of a word that the bounds of bins are asked about."""


def features(graph: Graph, encoder: Encoder, card: Card) -> tuple[Value, Value]:
    """Encoded features [r, d] float32 and the number of cells [r] with a category that no training row had."""
    parts, strange = list[Value](), list[Value]()
    for column in encoder.encoders:
        if column.kind == "numeric":
            parts.append(_numbers(graph, column, card))
            continue
        codes = _codes(graph, column, card)
        parts.append(graph.op("Gather", graph.number(_table(column)), codes, axis=0))
        unknown = graph.op("Equal", codes, graph.number(np.int64(_Places.of(column).unknown)))
        strange.append(graph.column(graph.cast(unknown, "int64")))
    if not strange:
        first = graph.column(next(iter(graph.inputs)))
        strange = [graph.op("Mul", graph.cast(graph.op("IsNaN", first), "int64"), graph.number(np.int64(0)))]
    counted = graph.op("Concat", *strange, axis=1)
    count = graph.op("ReduceSum", counted, graph.number(np.array([1])), keepdims=1)
    return graph.op("Concat", *parts, axis=1), count


def _numbers(graph: Graph, column: ColumnEncoder, card: Card) -> Value:
    """[r, 1] float32; 0 where nothing is known."""
    raw = graph.input(column.name, "double")
    if column.scale == 0:
        zero = graph.op("Mul", graph.cast(graph.op("IsNaN", raw), "float"), graph.number(np.float32(0)))
        return graph.column(zero)
    absent = graph.op("IsNaN", raw)
    for code in sorted(_number_codes((*column.spec.missing, *card.read.missing))):
        absent = graph.op("Or", absent, graph.op("Equal", raw, graph.number(np.float64(code))))
    value = _signed_log(graph, raw) if column.log else raw
    scaled = graph.op(
        "Div", graph.op("Sub", value, graph.number(np.float64(column.shift))), graph.number(np.float64(column.scale))
    )
    if column.clip is not None:
        bounds = (graph.number(np.float64(-column.clip)), graph.number(np.float64(column.clip)))
        scaled = graph.op("Clip", scaled, *bounds)
    return graph.column(graph.cast(graph.op("Where", absent, graph.number(np.float64(0)), scaled), "float"))


def _signed_log(graph: Graph, value: Value) -> Value:
    grown = graph.op("Add", graph.op("Abs", value), graph.number(np.float64(1)))
    return graph.op("Mul", graph.op("Sign", value), graph.op("Log", grown))


def _number_codes(missing: tuple[object, ...]) -> set[float]:
    found = set[float]()
    for code in missing:
        try:
            found.add(float(str(code)))
        except ValueError:
            continue
    return {code for code in found if code == code}


class _Places:
    """Codes of the words of a column: categories, the rare ones, unknown, missing."""

    def __init__(self, known: Mapping[str, int], unknown: int) -> None:
        self.known, self.unknown, self.missing = known, unknown, unknown + 1

    @classmethod
    def of(cls, column: ColumnEncoder) -> _Places:
        known = {category: code for code, category in enumerate(column.categories)}
        known |= dict.fromkeys(column.rare, len(column.categories))
        return cls(known, len(column.categories) + bool(column.rare))


def _table(column: ColumnEncoder) -> np.ndarray:
    """[codes, width] float32 features of each code; 0 for unknown and missing."""
    places = _Places.of(column)
    table = np.zeros((places.missing + 1, column.width), dtype=np.float32)
    if column.kind == "categorical":
        np.fill_diagonal(table, 1)
        table[places.unknown :] = 0
    elif len(column.categories) == 2:
        table[:2, 0] = column.levels
    return table


def _codes(graph: Graph, column: ColumnEncoder, card: Card) -> Value:
    """[r] int64 code of each word."""
    raw, places = graph.input(column.name, "string"), _Places.of(column)
    absent = {"", *map(str, card.read.missing), *(word(code) for code in column.spec.missing)}
    if not column.spec.bins:
        return _looked_up(graph, raw, {**places.known, **dict.fromkeys(absent, places.missing)}, places.unknown)
    named = {each.name: places.known.get(each.name, places.unknown) for each in column.spec.bins}
    direct = _looked_up(graph, raw, {**named, **dict.fromkeys(absent, places.missing)}, RULE)
    found = graph.number(np.int64(places.known.get(OTHER, places.unknown)))
    number = _number(graph, raw)
    for each in reversed(column.spec.bins):
        found = graph.op("Where", _fits(graph, raw, number, each), graph.number(np.int64(named[each.name])), found)
    by_rule = graph.op("Equal", direct, graph.number(np.int64(RULE)))
    return graph.op("Where", by_rule, found, direct)


def _looked_up(graph: Graph, words: Value, codes: Mapping[str, int], otherwise: int) -> Value:
    keys = sorted(codes)
    return graph.op(
        "LabelEncoder", words, domain=ML, keys_strings=keys, values_int64s=[codes[key] for key in keys],
        default_int64=otherwise,
    )  # fmt: skip


def _number(graph: Graph, words: Value) -> tuple[Value, Value]:
    """Which words [r] are numbers, and these numbers (0 for others)."""
    numeric = graph.op("RegexFullMatch", words, pattern=NUMBER)
    text = graph.op("Where", numeric, words, graph.number(np.array("0", dtype=object)))
    return numeric, graph.cast(text, "double")


def _fits(graph: Graph, words: Value, number: tuple[Value, Value], each: Bin) -> Value:
    """[r] bool: which words are in a bin, as :func:`tasks.bins.binned` has it."""
    if each.equals:
        codes = _looked_up(graph, words, {word(value): 1 for value in each.equals}, 0)
        return graph.op("Equal", codes, graph.number(np.int64(1)))
    inside, value = number
    for bound, operator in (
        (each.at_least, "GreaterOrEqual"), (each.below, "Less"), (each.above, "Greater"), (each.at_most, "LessOrEqual"),
    ):  # fmt: skip
        if bound is not None:
            inside = graph.op("And", inside, graph.op(operator, value, graph.number(np.float64(bound))))
    return inside
