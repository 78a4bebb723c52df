"""The part of ``leaderboard.md`` that only tasks with text experts have."""

from __future__ import annotations

import math

from foundation.escaping import markdown
from reports.format import half_text, interval_text, value_text
from reports.names import HEADLINE, metric_symbol
from reports.render.markdown.cells import difference, table
from reports.render.markdown.cells import pair as pair_words
from reports.render.objectives import objectives
from reports.scenario import Scenario
from reports.summary import Report
from reports.text.bias import Bias
from reports.text.fronts import Member, MixtureFront
from reports.text.wording import WordingSpread


def texts_parts(report: Report, scenario: Scenario) -> list[str]:
    """What the objectives bought, how far the wording moves numbers, searches, language bias."""
    parts = [part for part in (_objectives(report, scenario), _wording(scenario)) if part]
    parts += [_search(front) for front in scenario.fronts]
    return parts if scenario.bias is None else [*parts, _bias(scenario.bias)]


def _objectives(report: Report, scenario: Scenario) -> str:
    pairs = [(answer.question.title, pair) for answer in objectives(report, scenario) for pair in answer.pairs]
    if not pairs:
        return ""
    rows = [
        [title, pair_words(report, *pair), *(difference(scenario.contrasts.get((*pair, m))) for m in HEADLINE)]
        for title, pair in pairs
    ]
    head = ["question", "comparison", *map(metric_symbol, HEADLINE)]
    return "### What each objective of the text experts bought and cost\n\n" + table(head, rows)


def _wording(scenario: Scenario) -> str:
    found = scenario.wording
    if found is None:
        return ""
    rows = [[m.label, *(_spread(found.get(m.id, metric)) for metric in found.metrics)] for m in found.methods]
    order = markdown(", ".join(found.templates))
    text = f"Spread within a split, mean over splits, {found.part} rows; in brackets the value with {order}."
    return f"### Prompt sensitivity\n\n{text}\n\n" + table(["method", *map(metric_symbol, found.metrics)], rows)


def _spread(spread: WordingSpread | None) -> str:
    if spread is None or not spread.spread.n:
        return "–"
    values = ", ".join(value_text(v) for v in spread.values.values())
    return f"{value_text(spread.spread.mean)} {half_text(spread.spread.mean, spread.spread.half)} ({values})"


def _search(front: MixtureFront) -> str:
    """The front of a search; in brackets what the surrogate had said."""
    rows = [
        [
            str(m.number),
            m.word,
            *(value_text(m.weights.get(e, math.nan), 2) for e in front.experts),
            *(_true_and_said(m, metric) for metric in front.metrics),
            m.remark,
        ]
        for m in front.named
    ]
    text = f"Search rows of split {front.split}; in brackets what the surrogate had said."
    head = ["mixture", "is", *(f"α {e}" for e in front.experts), *map(metric_symbol, front.metrics), "remark"]
    return f"### Mixture search: {markdown(front.method.label)}\n\n{text}\n\n" + table(head, rows)


def _true_and_said(member: Member, metric: str) -> str:
    said = member.surrogate.get(metric, math.nan)
    return value_text(member.true.get(metric, math.nan)) + ("" if math.isnan(said) else f" ({value_text(said)})")


def _bias(bias: Bias) -> str:
    head = [f"{bias.label(c[0])} {bias.head(*c).symbol} ({bias.head(*c).ideal})" for c in bias.columns]
    rows = [[m.label, *(_bias_cell(bias, m.id, c) for c in bias.columns)] for m in bias.methods]
    items = ", ".join(f"{bias.label(s)} {_items(bias, s)}" for s, _ in bias.sets)
    text = (
        f"Whole sets; items: {items}. “Vacuous”: the answers do not depend on what is asked; ○ within what items "
        "dealt to groups at random give."
    )
    why = "\n\nNot estimable or vacuous: " + "; ".join(map(markdown, bias.reasons)) + "." if bias.reasons else ""
    return f"### Language bias\n\n{text}\n\n" + table(["method", *head], rows) + why


def _items(bias: Bias, name: str) -> str:
    fewest, most = bias.items(name)
    return f"{fewest:.0f}" if fewest == most else f"{fewest:.0f} to {most:.0f}"


def _bias_cell(bias: Bias, method: str, column: tuple[str, str]) -> str:
    v, digits = bias.get(method, column), bias.head(*column).digits
    if v is None:
        return "–"
    if not v.known:
        return "n/e"
    text = f"{value_text(v.estimate, digits)} {interval_text(v.low, v.high, digits)}"
    return text + (" ○" if v.within_null else "") + (" vacuous" if v.vacuous else "")
