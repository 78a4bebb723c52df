"""``leaderboard.md``: the numbers of the page as compact tables."""

from __future__ import annotations

from reports.format import estimate_text, half_text, interval_text, signed, value_text
from reports.names import HEADLINE, OUTCOME, PROCEDURAL, ROUTING, method_name, metric_symbol
from reports.sentences import answers
from reports.summary import Report, Scenario
from reports.winners import DISPARITY, UTILITY, Winner


def render_markdown(report: Report) -> str:
    """Text of ``leaderboard.md``: header, pooled comparisons, winners, tables per task."""
    parts = [_header(report), _pooled(report), _levels(report), *(_task(s) for s in report.scenarios), _reading()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _header(report: Report) -> str:
    suite = report.suite
    lines = [
        f"# Leaderboard: {suite['name']} v{suite['version']}",
        suite["description"],
        f"{len(report.scenarios)} tasks, {len(report.methods)} methods, {suite['splits']} splits × "
        f"{suite['seeds']} seeds, protocol {suite['protocol']}, {suite['trials']} trials per role, "
        f"suite seed {suite['seed']}, suite hash `{suite['hash'][:12]}`, code `{suite['code_version']}`.",
    ]
    lines += [f"> **UNAVAILABLE: {gap['task']}**: {' '.join(gap['reason'].split())}" for gap in report.unavailable]
    lines += [f"> **FAILED: {f['job']}**: {f['error'].strip().splitlines()[-1]}" for f in report.failures]
    if report.missing:
        lines.append("> **MISSING CELLS**: " + "; ".join(report.missing))
    return "\n\n".join(lines)


def _pooled(report: Report) -> str:
    rows = []
    for a, b in report.pairs:
        row = [f"{method_name(a).label} − {method_name(b).label}"]
        for metric in HEADLINE:
            p = report.pooled.get((a, b, metric))
            if p is None or p.tasks == 0:
                row.append("–")
                continue
            tally = f"{p.better}▲ {p.worse}▼ {p.tasks - p.better - p.worse}○"
            interval = interval_text(p.interval.low, p.interval.high, 3)
            row.append(f"{signed(p.interval.mean)} {interval} **{p.verdict}** ({tally})")
        rows.append(row)
    lead = "\n".join(f"- **{metric}**: {sentence}" for metric, sentence in answers(report))
    text = (
        "Pooled paired differences with 95 % intervals; in brackets the tasks on which the first is surely better ▲, "
        "surely worse ▼, not separable ○."
    )
    lead = f"Over all tasks together, the mixture is, in terms of\n\n{lead}\n\n" if lead else ""
    return f"## What the mixture achieves\n\n{lead}{text}\n\n" + _table(
        ["comparison", *map(metric_symbol, HEADLINE)], rows
    )


def _levels(report: Report) -> str:
    rows = [_winner(s, w) for s in report.scenarios for w in s.winners]
    head = [
        "task",
        "allowed gap (validation)",
        "winner",
        "utility (test)",
        "result gap (test)",
        "kept",
        "not separable from it",
    ]
    return "## Who wins at which fairness level\n\n" + _table(head, rows)


def _winner(scenario: Scenario, winner: Winner) -> list[str]:
    level = "any" if winner.level is None else f"≤ {winner.level:.2f}"
    if winner.method is None:
        return [scenario.name, level, "none but a constant answer", "–", "–", "–", "–"]
    tied = ": " + ", ".join(m.name.label for m in winner.tied) if 0 < len(winner.tied) <= 4 else ""
    kept = "" if winner.level is None else f"{winner.kept}/{winner.splits}"
    values = [_cell(scenario, winner.method.id, metric) for metric in (UTILITY, DISPARITY)]
    return [
        scenario.name,
        level,
        winner.method.name.label,
        *values,
        kept,
        f"{len(winner.tied)} of {len(winner.eligible) - 1}{tied}",
    ]


def _cell(scenario: Scenario, method: str, metric: str) -> str:
    e = scenario.estimate(method, metric)
    if e is None:
        return "–"
    if not e.known:
        return "n/e"
    spread = half_text(e.mean, e.half) if e.known > 1 else interval_text(e.inner_low, e.inner_high)
    return f"{estimate_text(e.mean, e.half)} {spread}".strip() + (" ○" if e.within_null else "")


def _task(scenario: Scenario) -> str:
    sizes = ", ".join(f"{g.name} {g.count:.0f} ({g.positives:.0f} positive)" for g in scenario.groups)
    parts = [f"## {scenario.name}", f"Test rows per split: {sizes}. Pareto front (validation): {_front(scenario)}."]
    parts.append(_metric_table(scenario, HEADLINE + OUTCOME))
    parts.append("Fairness of reasons:\n\n" + _metric_table(scenario, PROCEDURAL))
    if scenario.routing:
        parts.append(
            "Routing of the mixtures:\n\n"
            + _metric_table(scenario, tuple(ROUTING), {r.method.id for r in scenario.routing})
        )
        parts.append(_weights(scenario))
    if scenario.reasons:
        parts.append("Not estimable (n/e): " + "; ".join(scenario.reasons) + ".")
    if scenario.notes:
        parts.append("Note: " + "; ".join(scenario.notes) + ".")
    return "\n\n".join(parts)


def _front(scenario: Scenario) -> str:
    return ", ".join(m.name.label for m in scenario.methods if m.id in scenario.on_front) or "empty"


def _metric_table(scenario: Scenario, metrics: tuple[str, ...], only: set[str] | None = None) -> str:
    shown = [metric for metric in metrics if metric in scenario.metrics]
    rows = [
        [
            m.name.label + (" (constant)" if scenario.degenerate(m.id) else ""),
            *(_cell(scenario, m.id, metric) for metric in shown),
        ]
        for m in scenario.methods
        if only is None or m.id in only
    ]
    return _table(["method", *map(metric_symbol, shown)], rows)


def _weights(scenario: Scenario) -> str:
    experts = scenario.routing[0].experts
    rows = [
        [f"{r.method.name.label}, {group}", *(value_text(w) for w in r.weight[i])]
        for r in scenario.routing
        for i, group in enumerate(r.groups)
    ]
    return _table(["mean gate weight", *(method_name(e).label for e in experts)], rows)


def _reading() -> str:
    return (
        "## How to read this\n\nEstimate ± 95 % interval over splits (Nadeau & Bengio 2003), test rows only. ○: within "
        "what shuffled groups give, not distinguishable from 0. n/e: not estimable, never 0. A constant predictor has "
        "no gaps and no use. Verdicts are Holm-corrected paired tests. The page `leaderboard.html` has nulls, figures, "
        "costs and provenance."
    )
