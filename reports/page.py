"""The self-contained page: templates, style and script are put into one HTML file that asks the network for nothing."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metrics.registry import METRICS
from reports import figures, format, names
from reports.marks import legend_mark
from reports.scatter import scatter
from reports.sentences import answers
from reports.statistics import DRAWS, TEST_TRAIN_RATIO
from reports.summary import Report, Scenario
from reports.winners import DISPARITY, UTILITY

TEMPLATES = Path(__file__).parent / "templates"
SYMBOLS = {"better": "▲", "worse": "▼", "not separable": "○", "identical": "=", "one split": "·", "not estimable": "–"}


def render_page(report: Report) -> str:
    """HTML of ``leaderboard.html``.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        One document; style, script and figures are inline, and a content policy forbids every request.
    """
    return _environment().get_template("leaderboard.html.j2").render(
        report=report,
        figures=figures,
        names=names,
        registry=METRICS,
        utility=UTILITY,
        disparity=DISPARITY,
        ratio=TEST_TRAIN_RATIO,
        draws=DRAWS,
        answers=answers(report),
        settings=json.dumps(report.suite, indent=2, sort_keys=True, ensure_ascii=False),
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        value=format.value_text,
        signed=format.signed,
        count=format.count_text,
        seconds=format.seconds_text,
        symbol=SYMBOLS.__getitem__,
        slug=lambda text: text.replace(" ", "-"),
    )
    environment.globals.update(
        interval=format.interval_text,
        half=format.half_text,
        legend_mark=legend_mark,
        scatter=scatter,
        estimate=format.estimate_text,
        headline_metrics=headline_metrics,
        outcome_metrics=outcome_metrics,
        procedural_metrics=procedural_metrics,
        routing_metrics=routing_metrics,
    )
    return environment


def headline_metrics(scenario: Scenario) -> list[str]:
    """First columns of a task's main table."""
    return [m for m in names.HEADLINE if m in scenario.metrics]


def outcome_metrics(scenario: Scenario) -> list[str]:
    """Columns of a task's main table after the headline metrics."""
    return [m for m in names.OUTCOME if m in scenario.metrics]


def procedural_metrics(scenario: Scenario) -> list[str]:
    """Columns of a task's procedural panel."""
    return [m for m in names.PROCEDURAL if m in scenario.metrics]


def routing_metrics(scenario: Scenario) -> list[str]:
    """Columns of a task's gate table."""
    return [m for m in names.ROUTING if m in scenario.metrics]
