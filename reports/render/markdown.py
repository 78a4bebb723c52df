"""``leaderboard.md``: the numbers of the page as compact tables."""

from __future__ import annotations

import math
from collections.abc import Collection

from reports.names import (
    BIAS_SETS,
    HEADLINE,
    OUTCOME,
    PROCEDURAL,
    ROUTING,
    Block,
    bias_name,
    method_name,
    metric_symbol,
)
from reports.render.format import (
    count_text,
    estimate_text,
    half_text,
    interval_text,
    kib_text,
    seconds_text,
    signed,
    value_text,
)
from reports.render.levels_markdown import NO_ROWS, levels_text, winner_row
from reports.render.ranking_words import few_tasks, markdown_table, notes, seeds_words
from reports.render.sentences import answers, first_layer, in_a_sentence
from reports.stats.comparison import Comparison
from reports.stats.critical_difference import sentence
from reports.stats.published import MARKS, Board, Finding, ours_text
from reports.stats.published import METRICS as PUBLISHED_METRICS
from reports.stats.winners import DISPARITY, UTILITY, Winner
from reports.summary import Gates, Report, Routing, Scenario, Section
from reports.text.bias import Bias
from reports.text.fronts import Member, MixtureFront
from reports.text.objectives import objectives
from reports.text.prompts import PromptSpread


def render_markdown(report: Report) -> str:
    """Text of ``leaderboard.md``: header, pooled comparisons, winners, tables per task."""
    parts = [
        _header(report),
        _pooled(report),
        _levels(report),
        _ranking(report),
        _published(report),
        *(_task(s) for s in report.scenarios),
        _reading(),
    ]
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
    if report.text:
        lines.append(_text_settings(report))
    lines += [f"> **UNAVAILABLE: {gap['task']}**: {' '.join(gap['reason'].split())}" for gap in report.unavailable]
    lines += [
        f"> **FAILED: {f['job']}, {f['method']}** (seed {f['seed']}): {f['error'].strip().splitlines()[-1]}"
        for f in report.failures
    ]
    if report.missing:
        lines.append("> **MISSING CELLS**: " + "; ".join(report.missing))
    return "\n\n".join(lines)


def _text_settings(report: Report) -> str:
    text = report.text
    weights = f" (weights `{report.base_hash[:12]}`)" if report.base_hash else ""
    caps = [f"{s.name}: at most {s.cap:,} rows" for s in report.scenarios if s.cap is not None]
    return (
        f"Text experts on {', '.join(text['tasks'])}: base {text['base']}{weights}, template “{text['template']}”, "
        f"first adapted layer {first_layer(text['start'])}, {text['kind']}, {text['trials']} trials per role. "
        + "".join(f"{cap}. " for cap in caps)
    ).strip()


def _pooled(report: Report) -> str:
    text = (
        "Pooled paired differences with 95 % intervals; in brackets the tasks on which the first is surely better ▲, "
        "surely worse ▼, not separable ○."
    )
    blocks = [_block(report, block, pairs) for block, pairs in report.blocks]
    return "\n\n".join(["## What the mixture achieves", text, *blocks])


def _block(report: Report, block: Block, pairs: list[tuple[str, str]]) -> str:
    parts = [f"### {block.title}"] if len(report.blocks) > 1 else []
    said = answers(report, block.mixture) if block.mixture else []
    if said:
        lead = "\n".join(f"- **{metric}**: {sentence}" for metric, sentence in said)
        name = in_a_sentence(method_name(block.mixture).label)
        parts.append(f"Over all tasks together, the {name} is, in terms of\n\n{lead}")
    rows = [[_pair(a, b), *(_pooled_cell(report, a, b, metric) for metric in HEADLINE)] for a, b in pairs]
    parts.append(_table(["comparison", *map(metric_symbol, HEADLINE)], rows))
    return "\n\n".join(parts)


def _pair(method: str, reference: str) -> str:
    return f"{method_name(method).label} − {method_name(reference).label}"


def _pooled_cell(report: Report, a: str, b: str, metric: str) -> str:
    p = report.pooled.get((a, b, metric))
    if p is None or p.tasks == 0:
        return "–"
    tally = f"{p.better}▲ {p.worse}▼ {p.tasks - p.better - p.worse}○"
    interval = interval_text(p.interval.low, p.interval.high, 3)
    return f"{signed(p.interval.mean)} {interval} **{p.verdict}** ({tally})"


def _levels(report: Report) -> str:
    found = report.levels
    rows = []
    for s in report.scenarios:
        best = () if found is None else found.best.get(s.name, ())
        rows += [winner_row(s.name, b) for b in best]
        rows += [_winner(s, w) for w in s.winners if w.level is None or not best]
    head = [
        "task",
        "allowed gap (validation)",
        "winner",
        "utility (test)",
        "result gap (test)",
        "kept",
        "not separable from it",
    ]
    more = [NO_ROWS]
    if found is not None and report.transfer is not None:
        more = levels_text(found, report.transfer, report.budget, _table)
    return "\n\n".join(["## Who wins at which fairness level", _table(head, rows), *more])


def _ranking(report: Report) -> str:
    text = (
        "Mean rank over scenarios (one split of one task; seeds are averaged) with its 95 % interval, the middle 95 % "
        "of the places taken in the bootstrap, and the tie group: methods of one group are not separable (Holm)."
    )
    parts = ["## Ranks over all tasks, and who ties", text]
    for pool in report.ranking.pools:
        parts.append(f"### {len(pool.lines)} methods on {len(pool.tasks)} tasks, {pool.scenarios} scenarios")
        parts.append(f"Tasks: {', '.join(pool.tasks)}. {few_tasks(pool)}".strip())
        parts.append(_table(*markdown_table(pool)))
        said = [*notes(pool), *(f"{m}: {sentence(tests)}" for m, tests in pool.tests.items())]
        parts.append("\n".join(f"- {line}" for line in said))
    return "\n\n".join(part for part in [*parts, seeds_words(report.ranking)] if part)


def _published(report: Report) -> str:
    found = report.published
    if found is None:
        return ""
    how = (
        "settings of the papers" if report.suite.get("settings") == "published" else "tuned here, not as in the papers"
    )
    text = (
        f"×100, test rows, {how}; ours: mean ± standard deviation over seeds. {found.count('inside')} "
        f"of {len(found.cells)} cells are inside, {found.count('outside')} outside, {len(found.unexplained)} of these "
        "not explained. ✓ within the published mean ± 2·std, or, of one run, within ±2·std of our seeds; ✗ outside; "
        "· no interval. "
        "Brackets: from memory, unchecked, decides nothing."
    )
    return "\n\n".join(["## Published numbers beside ours", text, *map(_board, found.boards)])


def _board(board: Board) -> str:
    rows = []
    for method in board.methods:
        name = method_name(method).label
        cells = [board.cells.get((method, metric)) for metric in PUBLISHED_METRICS]
        rows.append([name, *("–" if c is None else f"{ours_text(c.ours)} {MARKS[c.verdict]}" for c in cells)])
        for s in board.sources_of(method):
            said = [None if c is None else c.finding(s.id) for c in cells]
            rows.append([f"{name}: {s.paper} [{board.number(s)}]", *map(_printed, said)])
    for row in board.reference:
        values = (
            _bracketed(row.values[m].text, row.source.checked) if m in row.values else "–" for m in PUBLISHED_METRICS
        )
        rows.append([f"{method_name(row.method).label}, not in this run [{board.number(row.source)}]", *values])
    parts = [f"### Published: {board.dataset}", "\n".join(f"- {text}" for text in board.caveats)]
    parts.append(_table(["method", *map(metric_symbol, PUBLISHED_METRICS)], rows))
    parts.append(
        "\n".join(f"- outside: {name}, {which}: {why or 'NOT EXPLAINED'}" for name, which, why in board.explained)
    )
    parts.append("\n".join(f"{i}. {s.paper}: {s.where}. Read: {s.read}." for i, s in enumerate(board.sources, start=1)))
    return "\n\n".join(part for part in parts if part)


def _printed(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    return f"{_bracketed(finding.printed.text, finding.source.checked)} {MARKS[finding.verdict]}"


def _bracketed(text: str, checked: bool) -> str:
    return text if checked else f"({text})"


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
    cap = f" At most {scenario.cap:,} rows, for all methods." if scenario.cap is not None else ""
    parts = [
        f"## {scenario.name}",
        f"Test rows per split: {sizes}.{cap} Pareto front (validation): {_front(scenario)}.",
    ]
    parts += [_titled(scenario, s.title, _metric_table(scenario, HEADLINE + OUTCOME, s.ids)) for s in scenario.sections]
    parts += [part for part in (_objectives(scenario), _prompts(scenario)) if part]
    parts += [_search(front) for front in scenario.fronts]
    if scenario.bias is not None:
        parts.append(_bias(scenario.bias))
    parts += [_reasons(scenario, s) for s in scenario.sections]
    for gates in scenario.gates:
        ids = {r.method.id for r in gates.routing}
        parts.append("Routing of the mixtures:\n\n" + _metric_table(scenario, tuple(ROUTING), ids))
        parts.append(_weights(gates))
    if scenario.has_text:
        parts.append(_costs(scenario))
    if scenario.reasons:
        parts.append("Not estimable (n/e): " + "; ".join(scenario.reasons) + ".")
    if scenario.notes:
        parts.append("Note: " + "; ".join(scenario.notes) + ".")
    return "\n\n".join(parts)


def _titled(scenario: Scenario, title: str, table: str) -> str:
    return f"### {title}\n\n{table}" if len(scenario.sections) > 1 else table


def _reasons(scenario: Scenario, section: Section) -> str:
    which = f", {in_a_sentence(section.title)}" if len(scenario.sections) > 1 else ""
    return f"Fairness of reasons{which}:\n\n" + _metric_table(scenario, PROCEDURAL, section.ids)


def _objectives(scenario: Scenario) -> str:
    pairs = [(answer.question.title, pair) for answer in objectives(scenario) for pair in answer.pairs]
    if not pairs:
        return ""
    rows = [
        [title, _pair(*pair), *(_difference(scenario.comparisons.get((*pair, m))) for m in HEADLINE)]
        for title, pair in pairs
    ]
    head = ["question", "comparison", *map(metric_symbol, HEADLINE)]
    return "### What each objective of the text experts bought and cost\n\n" + _table(head, rows)


def _difference(c: Comparison | None) -> str:
    if c is None or c.interval.n == 0:
        return "–"
    return f"{signed(c.interval.mean)} {half_text(c.interval.mean, c.interval.half)} **{c.verdict}**"


def _prompts(scenario: Scenario) -> str:
    found = scenario.prompts
    if found is None:
        return ""
    rows = [[m.name.label, *(_spread(found.get(m.id, metric)) for metric in found.metrics)] for m in found.methods]
    order = ", ".join(found.templates)
    text = f"Spread within a split, mean over splits, {found.part} rows; in brackets the value with {order}."
    return f"### Prompt sensitivity\n\n{text}\n\n" + _table(["method", *map(metric_symbol, found.metrics)], rows)


def _spread(spread: PromptSpread | None) -> str:
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
    return f"### Mixture search: {front.method.name.label}\n\n{text}\n\n" + _table(head, rows)


def _true_and_said(member: Member, metric: str) -> str:
    said = member.surrogate.get(metric, math.nan)
    return value_text(member.true.get(metric, math.nan)) + ("" if math.isnan(said) else f" ({value_text(said)})")


def _bias(bias: Bias) -> str:
    head = [f"{BIAS_SETS.get(c[0], c[0])} {bias_name(*c).symbol} ({bias_name(*c).ideal})" for c in bias.columns]
    rows = [[m.name.label, *(_bias_cell(bias, m.id, c) for c in bias.columns)] for m in bias.methods]
    items = ", ".join(f"{BIAS_SETS.get(s, s)} {_items(bias, s)}" for s, _ in bias.sets)
    text = f"Whole sets; items: {items}. “Vacuous”: the answers do not depend on what is asked."
    why = "\n\nNot estimable or vacuous: " + "; ".join(bias.reasons) + "." if bias.reasons else ""
    return f"### Language bias\n\n{text}\n\n" + _table(["method", *head], rows) + why


def _items(bias: Bias, name: str) -> str:
    fewest, most = bias.items(name)
    return f"{fewest:.0f}" if fewest == most else f"{fewest:.0f} to {most:.0f}"


def _bias_cell(bias: Bias, method: str, column: tuple[str, str]) -> str:
    v, digits = bias.get(method, column), bias_name(*column).digits
    if v is None:
        return "–"
    if not v.known:
        return "n/e"
    text = f"{value_text(v.estimate, digits)} {interval_text(v.low, v.high, digits)}"
    return text + (" vacuous" if v.vacuous else "")


def _costs(scenario: Scenario) -> str:
    words = {"wall_s": seconds_text, "peak_mib": count_text, "trainable_parameters": count_text}
    words |= {"adapter_kib": kib_text, "tokens_per_s": count_text}
    rows = [
        [m.name.label, *(show(scenario.cost.get(m.id, {}).get(key, math.nan)) for key, show in words.items())]
        for m in scenario.methods
    ]
    head = ["cost", "wall s", "peak MiB", "trained params", "adapter KiB", "tokens/s"]
    return _table(head, rows)


def _front(scenario: Scenario) -> str:
    return ", ".join(m.name.label for m in scenario.methods if m.id in scenario.on_front) or "empty"


def _metric_table(scenario: Scenario, metrics: tuple[str, ...], only: Collection[str]) -> str:
    shown = [metric for metric in metrics if metric in scenario.metrics]
    rows = [
        [
            m.name.label + (" (constant)" if scenario.degenerate(m.id) else ""),
            *(_cell(scenario, m.id, metric) for metric in shown),
        ]
        for m in scenario.methods
        if m.id in only
    ]
    return _table(["method", *map(metric_symbol, shown)], rows)


def _weights(gates: Gates) -> str:
    rows = [
        [f"{r.method.name.label}, {group}", *(_share(r, i, e) for e in gates.experts)]
        for r in gates.routing
        for i, group in enumerate(r.groups)
    ]
    return _table(["mean gate weight", *(method_name(e).label for e in gates.experts)], rows)


def _share(routing: Routing, group: int, expert: str) -> str:
    share = routing.share(group, expert)
    return "–" if share is None else value_text(share[0])


def _reading() -> str:
    return (
        "## How to read this\n\nEstimate ± 95 % interval over splits (Nadeau & Bengio 2003), test rows only. ○: within "
        "what shuffled groups give, not distinguishable from 0. n/e: not estimable, never 0. A constant predictor has "
        "no gaps and no use. Verdicts are Holm-corrected paired tests. The page `leaderboard.html` has nulls, figures, "
        "costs and provenance."
    )
