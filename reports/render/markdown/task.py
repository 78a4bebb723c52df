"""The part of ``leaderboard.md`` on one task."""

from __future__ import annotations

import math

from foundation.escaping import markdown
from reports.format import count_text, kib_text, seconds_text, value_text
from reports.names import HEADLINE, OUTCOME, PROCEDURAL, ROUTING
from reports.render.markdown.cells import metric_table, table
from reports.render.markdown.texts import texts_parts
from reports.render.sentences import in_a_sentence
from reports.routing import Gates, Routing
from reports.scenario import Scenario, Section
from reports.summary import Report


def task_text(report: Report, scenario: Scenario) -> str:
    """Everything about one task."""
    sizes = ", ".join(f"{markdown(g.name)} {g.count:.0f} ({g.positives:.0f} positive)" for g in scenario.groups)
    cap = f" At most {scenario.cap:,} rows, for all methods." if scenario.cap is not None else ""
    left = "".join(
        f" {count:,} rows of the data left the task: {markdown(why)}." for why, count in scenario.left.items()
    )
    parts = [
        f"## {markdown(scenario.name)}",
        f"Test rows per split: {sizes}.{cap}{left} Pareto front (validation): {_front(scenario)}.",
    ]
    parts += [_titled(scenario, s.title, metric_table(scenario, HEADLINE + OUTCOME, s.ids)) for s in scenario.sections]
    parts += texts_parts(report, scenario)
    parts += [_reasons(scenario, s) for s in scenario.sections]
    for gates in scenario.gates:
        ids = {r.method.id for r in gates.routing}
        parts.append("Routing of the mixtures:\n\n" + metric_table(scenario, tuple(ROUTING), ids))
        parts.append(_weights(report, gates))
    if scenario.has_text:
        parts.append(_costs(scenario))
    if scenario.reasons:
        parts.append("Not estimable (n/e): " + "; ".join(map(markdown, scenario.reasons)) + ".")
    if scenario.notes:
        parts.append("Note: " + "; ".join(map(markdown, scenario.notes)) + ".")
    return "\n\n".join(parts)


def _titled(scenario: Scenario, title: str, table: str) -> str:
    return f"### {markdown(title)}\n\n{table}" if len(scenario.sections) > 1 else table


def _reasons(scenario: Scenario, section: Section) -> str:
    which = f", {in_a_sentence(section.title)}" if len(scenario.sections) > 1 else ""
    return f"Fairness of reasons{which}:\n\n" + metric_table(scenario, PROCEDURAL, section.ids)


def _costs(scenario: Scenario) -> str:
    words = {"wall_s": seconds_text, "trainable_parameters": count_text}
    words |= {"adapter_kib": kib_text, "tokens_per_s": count_text}
    rows = [
        [m.label, *(show(scenario.cost.get(m.id, {}).get(key, math.nan)) for key, show in words.items())]
        for m in scenario.methods
    ]
    head = ["cost", "wall s", "trained params", "adapter KiB", "tokens/s"]
    return table(head, rows)


def _front(scenario: Scenario) -> str:
    return ", ".join(markdown(m.label) for m in scenario.methods if m.id in scenario.on_front) or "empty"


def _weights(report: Report, gates: Gates) -> str:
    rows = [
        [f"{r.method.label}, {group}", *(_share(r, i, e) for e in gates.experts)]
        for r in gates.routing
        for i, group in enumerate(r.groups)
    ]
    return table(["mean gate weight", *map(report.label, gates.experts)], rows)


def _share(routing: Routing, group: int, expert: str) -> str:
    share = routing.share(group, expert)
    return "–" if share is None else value_text(share[0])
