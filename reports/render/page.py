"""The self-contained page: templates, style and script are put into one HTML file that asks the network for nothing."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metrics.registry import METRICS
from metrics.spec import MIN_GROUP_ROWS
from reports import names
from reports.figures import figures, level_figures
from reports.figures.marks import legend_mark
from reports.figures.scatter import scatter
from reports.figures.text_figures import search_front, template_key, templates
from reports.render import format, ranking_words
from reports.render.latex import SIGNS
from reports.render.sentences import answers, first_layer, in_a_sentence
from reports.stats import published
from reports.stats.budget import curve_figure
from reports.stats.comparison import cap_of
from reports.stats.critical_difference import diagram, sentence
from reports.stats.hypervolume import VERSION
from reports.stats.levels import gained_sentences, level_words, standing_sentences
from reports.stats.statistics import DRAWS, TEST_TRAIN_RATIO
from reports.stats.winners import DISPARITY, UTILITY
from reports.summary import Report, Scenario
from reports.text.objectives import objectives

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
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
        few_rows=MIN_GROUP_ROWS,
        latex_signs=SIGNS,
        answers=answers,
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
        task_words=task_words,
        slug=lambda text: text.replace(" ", "-"),
    )
    environment.globals.update(
        interval=format.interval_text,
        half=format.half_text,
        seconds=format.seconds_text,
        count=format.count_text,
        kib=format.kib_text,
        words_of=lambda method: in_a_sentence(names.method_name(method).label),
        first_layer=first_layer,
        objectives=objectives,
        template_key=template_key,
        template_figure=templates,
        search_figure=search_front,
        legend_mark=legend_mark,
        scatter=scatter,
        estimate=format.estimate_text,
        headline_metrics=headline_metrics,
        outcome_metrics=outcome_metrics,
        procedural_metrics=procedural_metrics,
        routing_metrics=routing_metrics,
        level_figures=level_figures,
        level_words=level_words,
        standing_sentences=standing_sentences,
        gained_sentences=gained_sentences,
        curve_figure=curve_figure,
        rank_columns=ranking_words.RANKS,
        few_tasks=ranking_words.few_tasks,
        ranking_notes=ranking_words.notes,
        seeds_words=ranking_words.seeds_words,
        critical_difference=diagram,
        rank_sentence=sentence,
        hv=VERSION,
        published_metrics=published.METRICS,
        published_ours=published.ours_text,
        published_mark=published.MARKS.__getitem__,
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


def task_words(task: str) -> str:
    """``adult:sex (at most 1 000 rows)``."""
    cap = cap_of(task)
    return task if cap is None else f"{task} (at most {format.count_text(cap)} rows)"
