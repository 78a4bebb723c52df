"""The head of ``leaderboard.md``."""

from __future__ import annotations

from foundation.escaping import markdown
from foundation.words import plural
from reports.render.method_words import method_words
from reports.render.part_words import described, part_words
from reports.render.sentences import UNNAMED, first_layer
from reports.summary import Report


def header(report: Report) -> str:
    """Title, settings, and what could not be had."""
    suite = report.suite
    lines = [
        f"# Leaderboard: {markdown(suite['name'])} v{suite['version']}",
        *map(markdown, described(suite)),
        f"{plural(len(report.scenarios), 'task')}, {plural(len(report.methods), 'method')}, "
        f"{plural(suite['splits'], 'split')} × {plural(suite['seeds'], 'seed')}, protocol {suite['protocol']}, "
        f"{plural(suite['trials'], 'trial')} per role, "
        f"suite seed {suite['seed']}, suite hash `{suite['hash'][:12]}`, code `{suite['code_version']}`.",
    ]
    lines += [f"> **{markdown(what.upper())}**: {markdown(why)}" for what, why in part_words(suite)]
    if not report.named:
        lines.append(UNNAMED)
    lines += method_words(report)
    if report.text:
        lines.append(_text_settings(report))
    lines += [
        f"> **UNAVAILABLE: {markdown(gap['task'])}**: {markdown(' '.join(gap['reason'].split()))}"
        for gap in report.unavailable
    ]
    lines += [f"> **FAILED: {markdown(who)}**: {markdown(why)}" for who, why in report.failed]
    lines += [f"> **WITHOUT {markdown(what)}**: {markdown(why)}; the scores are there." for what, why in report.without]
    if report.missing:
        lines.append("> **MISSING CELLS**: " + "; ".join(map(markdown, report.missing)))
    return "\n\n".join(lines)


def _text_settings(report: Report) -> str:
    text = report.text
    weights = f" (weights `{report.base_hash[:12]}`)" if report.base_hash else ""
    caps = [f"{markdown(s.name)}: at most {s.cap:,} rows" for s in report.scenarios if s.cap is not None]
    tasks = markdown(", ".join(text["tasks"]))
    return (
        f"Text experts on {tasks}: base {markdown(text['base'])}{weights}, template “{markdown(text['template'])}”, "
        f"first adapted layer {first_layer(text['start'])}, {text['kind']}, {text['trials']} trials per role. "
        + "".join(f"{cap}. " for cap in caps)
    ).strip()
