"""What a model card says: use, limits, data, decision rule, results, choice, and how to make and load the model."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.models.cards.document import Bar, Bars, Block, Bullets, Code, Document, Paragraph, Section, Table
from benchmarks.models.cards.facts import ModelFacts
from benchmarks.models.promise import Promise
from metrics.counts.rates import ACCURACY, SELECTION_RATE, TRUE_POSITIVE_RATE
from metrics.registry import METRICS
from metrics.spec import MIN_GROUP_ROWS
from metrics.value import Value
from reports.format import NONE, interval_text, value_text
from tasks.card import Rule

RATES = {
    SELECTION_RATE.name: "share decided as class 1",
    TRUE_POSITIVE_RATE.name: "true positive rate",
    "fpr": "false positive rate",
    ACCURACY.name: "accuracy",
}
AS_SCORED = "as it is"
"""Variant of a model that is a run's method as it was scored: whoever picked it may have seen its test numbers."""
DRAWN = (SELECTION_RATE.name, TRUE_POSITIVE_RATE.name, ACCURACY.name)
"""Rates that the page draws."""
KEPT = {
    True: "The test rows keep it.",
    False: "The test rows break it.",
    None: "On test rows it cannot be estimated.",
}


def contents(facts: ModelFacts) -> Document:
    """The card of a saved model."""
    label = facts.card.label
    lead = (
        f"Says of a row of “{facts.card.title}” whether it is “{label.meaning}” (class 1) or "
        f"“{label.negative_meaning}” (class 0). Method: {facts.method}. Fairness is measured between the groups "
        f"{_listed(facts.groups)}."
    )
    sections = (
        Section("Intended use", tuple(_use(facts))),
        Section("Limits of use", (Bullets(tuple(_limits(facts))),)),
        Section("Data", tuple(_data(facts))),
        Section("Decision rule", tuple(_rule(facts))),
        Section("Results on test rows", tuple(_results(facts))),
        Section("Results by group", tuple(_by_group(facts.promise))),
        Section("What was chosen, and why", tuple(_choice(facts))),
        Section("How to make it again", tuple(_again(facts))),
        Section("How to load it", tuple(_load(facts))),
    )
    return Document(f"{facts.method} for {facts.model.get('task', facts.card.name)}", lead, sections)


def _use(facts: ModelFacts) -> Iterator[Block]:
    label = facts.card.label
    yield Paragraph(
        f"To estimate the probability of “{label.meaning}” for rows with the columns of “{facts.card.title}” that come "
        "from the same population and were recorded in the same way. A person who is decided about should be able to "
        "ask for the reasons and for another decision; the model is an aid to whoever decides."
    )


def _limits(facts: ModelFacts) -> Iterator[str]:
    promise = facts.promise
    if promise is None:
        yield "Nobody has measured this model on test rows yet: there is no promise to keep."
    else:
        yield (
            f"Measured on {promise.rows:,} test rows of one data set, nowhere else. What holds there need not hold for "
            "other places, times or ways of recording; 'fairmoe monitor' says whether it does."
        )
        if promise.degenerate:
            yield "Nearly all rows are decided alike: gaps are small because the model does not tell rows apart."
        if promise.kept is False and promise.limit is not None:
            metric, limit = promise.limit
            value = promise.metrics[metric]
            told = f"{value_text(value.estimate)} {interval_text(value.low, value.high)}".strip()
            yield f"The demanded limit is broken on test rows: {metric} is {told}, not {_bound(metric, limit)}."
        few = [name for name, size in promise.groups.items() if min(size.values()) < MIN_GROUP_ROWS]
        if few:
            yield (
                f"Fewer than {MIN_GROUP_ROWS} test rows of one class in {_listed(tuple(few))}: their rates are hardly "
                "known, and gaps may leave them out."
            )
    if facts.model.get("needs_group"):
        yield (
            f"Needs the group of every row ({_listed(facts.attributes)}) to decide. Deciding by group may be unlawful "
            "where you use it; 'fairmoe choose --without-group' gives a model that does not."
        )
    elif facts.model.get("use_sensitive") == "keep":
        yield f"The sensitive columns ({_listed(facts.attributes)}) are among its features."
    yield "Fairness between the groups above says nothing of other groups, nor of one person against another."
    yield from facts.card.defects


def _data(facts: ModelFacts) -> Iterator[Block]:
    card = facts.card
    told = {
        "data set": f"{card.title} ({card.name}, version {card.version})",
        "rows": f"{card.rows:,} published",
        "class 1": f"{card.label.meaning} (column {card.label.column}, {_ruled(card.label.positive)})",
        "class 0": card.label.negative_meaning,
        "sensitive attributes": _listed(facts.attributes),
        "source": card.homepage,
        "licence of the data": card.licence,
        "citation": card.citation,
    }
    yield Paragraph(" ".join(card.description.split()))
    yield Table(("fact", ""), tuple((key, value) for key, value in told.items() if value), numbers=False)
    if facts.promise is not None:
        facts_of = facts.promise.facts
        yield Paragraph(
            f"Test rows ({facts_of.get('protocol', 'split')} split {facts_of.get('split', NONE)}) by group and label:"
        )
        yield Table(
            ("group", "rows", "class 1", "class 0"),
            tuple(
                (name, f"{sum(size.values()):,}", f"{size['positives']:,}", f"{size['negatives']:,}")
                for name, size in facts.promise.groups.items()
            ),
        )


def _rule(facts: ModelFacts) -> Iterator[Block]:
    if not facts.cuts or not any(facts.cuts.values()):
        yield Paragraph("A row is decided as class 1 if its probability is above 0.5, whatever its group.")
        return
    yield Paragraph(
        "Every group has a threshold on the probability of the model below the decision. The probabilities that the "
        "saved model gives are moved by it already: above 0.5 is class 1."
    )
    yield Table(
        ("group", "threshold as probability", "as margin (log odds)"),
        tuple(
            (group, value_text(1 / (1 + math.exp(-cut)), 4) if abs(cut) < 700 else NONE, value_text(cut, 4))
            for group, cut in facts.cuts.items()
        ),
    )


def _results(facts: ModelFacts) -> Iterator[Block]:
    promise = facts.promise
    if promise is None:
        yield Paragraph("Not measured.")
        return
    scored = facts.origin.get("variant") == AS_SCORED
    when = "scored by the run before this model was picked" if scored else "looked at once, after the model was chosen"
    yield Paragraph(
        f"{promise.rows:,} test rows, {when}. Intervals are 95 %; “null p95” is "
        "the 95th percentile of the metric when groups are shuffled: a gap below it may be chance."
    )
    yield Table(
        ("metric", "estimate", "95 % interval", "null p95", "better", "status"),
        tuple(_metric(id, value) for id, value in promise.metrics.items() if value.status != "not_estimable"),
    )
    absent: dict[str, list[str]] = {}
    for id, value in promise.metrics.items():
        if value.status == "not_estimable":
            absent.setdefault(value.reason, []).append(id)
    if absent:
        yield Bullets(tuple(f"Not estimable: {', '.join(ids)} ({reason})." for reason, ids in absent.items()))


def _metric(id: str, value: Value) -> tuple[str, ...]:
    direction = METRICS[id].direction if id in METRICS else ""
    interval = interval_text(value.low, value.high, 3) or NONE
    return (id, value_text(value.estimate, 3), interval, value_text(value.null_p95, 3), direction, value.status)


def _by_group(promise: Promise | None) -> Iterator[Block]:
    if promise is None or not promise.rates:
        yield Paragraph("Not measured.")
        return
    found = {(row["group"], row["statistic"]): row for row in promise.rates}
    cells = []
    for group, size in promise.groups.items():
        shown = [_rate(found.get((group, rate))) for rate in RATES]
        cells.append((group, f"{sum(size.values()):,}", *shown))
    yield Table(("group", "rows", *RATES.values()), tuple(cells))
    for rate in DRAWN:
        bars = tuple(_bar(found[group, rate], size) for group, size in promise.groups.items() if (group, rate) in found)
        if bars:
            yield Bars(RATES[rate], bars)


def _rate(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return NONE
    return f"{value_text(row['estimate'], 3)} {interval_text(row['low'], row['high'], 3)}".strip()


def _bar(row: Mapping[str, Any], size: Mapping[str, int]) -> Bar:
    rows = size["positives"] if row["statistic"] == TRUE_POSITIVE_RATE.name else sum(size.values())
    return Bar(row["group"], row["estimate"], row["low"], row["high"], rows)


def _choice(facts: ModelFacts) -> Iterator[Block]:
    promise = facts.promise
    if promise is not None and promise.limit is not None:
        metric, limit = promise.limit
        kept = KEPT[promise.kept]
        told = ""
        if promise.probability_kept is not None:
            told = (
                f" Said before they were looked at: new rows keep it with probability {promise.probability_kept:.2f}."
            )
        yield Paragraph(f"Demanded: {metric} {_bound(metric, limit)}. {kept}{told}")
    said = facts.choice.get("said") or facts.choice.get("sentences") or ()
    if isinstance(said, str):
        said = (said,)
    if said:
        yield Bullets(tuple(map(str, said)))
    if promise is not None and promise.note:
        yield Paragraph(promise.note)
    if not said and (promise is None or (promise.limit is None and not promise.note)):
        yield Paragraph("The folder does not say who chose this model, nor by what.")


def _again(facts: ModelFacts) -> Iterator[Block]:
    origin = {str(key): str(value) for key, value in facts.origin.items() if value not in (None, "")}
    command = origin.pop("command", "")
    if command:
        yield Code(command, "sh")
    versions = facts.model.get("versions")
    known = versions.items() if isinstance(versions, dict) else ()
    held = {**origin, **{f"version of {name}": str(version) for name, version in known}}
    if held:
        yield Table(("fact", ""), tuple(held.items()), numbers=False)
    if not command and not held:
        yield Paragraph("The folder does not say how it was made.")


def _load(facts: ModelFacts) -> Iterator[Block]:
    yield Code(
        "import pandas as pd\nfrom benchmarks.models import load_model\n\n"
        f"model = load_model({facts.name!r})\n"
        'model.predict_proba(pd.read_csv("rows.csv"))  # raw columns in; second column out: class 1',
        "python",
    )
    folder, label = shlex.quote(facts.name), shlex.quote(facts.card.label.column)
    yield Code(
        f"fairmoe predict {folder} rows.csv --output predictions.csv\n"
        f"fairmoe monitor {folder} rows.csv --labels {label}",
        "sh",
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or NONE


def _bound(metric: str, limit: float) -> str:
    word = "at least" if metric in METRICS and METRICS[metric].direction == "higher" else "at most"
    return f"{word} {limit:g}"


def _ruled(rule: Rule) -> str:
    if rule.equals:
        return "equals " + " or ".join(map(str, rule.equals))
    bounds = {"at least": rule.at_least, "below": rule.below, "above": rule.above, "at most": rule.at_most}
    return " and ".join(f"{word} {value:g}" for word, value in bounds.items() if value is not None)
