"""The self-contained page: templates, style and script are put into one HTML file that asks the network for nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from foundation.words import plural
from metrics.registry import METRICS
from metrics.spec import MIN_GROUP_ROWS
from reports import explainers, format, names
from reports.caps import cap_of
from reports.figures import level_front, level_lines
from reports.figures.figure import Figure
from reports.figures.marks import legend_mark
from reports.figures.registry import figures
from reports.figures.wording import template_key
from reports.levels import claims
from reports.method import colour_of
from reports.published.numbers import METRICS as PUBLISHED_METRICS
from reports.render import (
    claim_words,
    finds_words,
    level_words,
    procedural_words,
    published,
    ranking_words,
    winner_rows,
)
from reports.render.answer import cells, data, matrix, words
from reports.render.latex import SIGNS
from reports.render.method_words import method_words
from reports.render.objectives import objectives
from reports.render.part_words import described, no_levels, part_words
from reports.render.sentences import UNNAMED, answers, first_layer, in_a_sentence
from reports.scenario import Scenario
from reports.stats import three_objectives
from reports.stats.hypervolume import VERSION
from reports.stats.statistics import DRAWS, TEST_TRAIN_RATIO
from reports.summary import Report
from reports.templating import page_environment

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
    shown = {key: value for key, value in report.suite.items() if key != "bias_sets"}  # words, no settings
    return _environment(figures()).get_template("leaderboard.html.j2").render(
        report=report,
        names=names,
        registry=METRICS,
        utility=names.UTILITY,
        disparity=names.DISPARITY,
        ratio=TEST_TRAIN_RATIO,
        draws=DRAWS,
        few_rows=MIN_GROUP_ROWS,
        latex_signs=SIGNS,
        settings=json.dumps(shown, indent=2, sort_keys=True, ensure_ascii=False),
    )  # fmt: skip


def _environment(known: Mapping[str, Figure]) -> Environment:
    environment = page_environment(TEMPLATES)
    environment.filters.update(
        value=format.value_text,
        signed=format.signed,
        count=format.count_text,
        seconds=format.seconds_text,
        symbol=SYMBOLS.__getitem__,
        task_words=task_words,
        slug=lambda text: text.replace(" ", "-"),
    )
    environment.globals.update(_numbers() | _answer() | _words() | _pictures(known))
    return environment


def _numbers() -> dict[str, Any]:
    """Numbers in words, and the columns of tables."""
    return {
        "interval": format.interval_text,
        "half": format.half_text,
        "seconds": format.seconds_text,
        "count": format.count_text,
        "kib": format.kib_text,
        "estimate": format.estimate_text,
        "points": format.points_text,
        "hv3": three_objectives.VERSION,
        "headline_metrics": headline_metrics,
        "outcome_metrics": outcome_metrics,
        "procedural_metrics": procedural_metrics,
        "routing_metrics": routing_metrics,
        "rank_columns": ranking_words.RANKS,
        "hv": VERSION,
        "published_metrics": PUBLISHED_METRICS,
    }


def _answer() -> dict[str, Any]:
    """The answer: its words, heads, cells and data."""
    return {
        "nan": math.nan,
        "first_two": data.first_two,
        "answer_data": data.answer_data,
        "answer_words": words.answer_words,
        "asked_words": words.asked_words,
        "choose_command": words.choose_command,
        "answer_heads": cells.HEADS,
        "answer_cells": cells.cells,
        "answer_way": cells.way,
        "matrix": matrix.matrix,
    }


def _words() -> dict[str, Any]:
    """Sentences."""
    return {
        "answers": answers,
        "in_a_sentence": in_a_sentence,
        "first_layer": first_layer,
        "unnamed": UNNAMED,
        "objectives": objectives,
        "level_words": level_words.level_words,
        "winner_rows": winner_rows.winner_rows,
        "tied_words": winner_rows.tied_words,
        "broken_words": winner_rows.broken_words,
        "plural": plural,
        "part_words": part_words,
        "described": described,
        "no_levels": no_levels,
        "spread_text": winner_rows.spread_text,
        "nobody_words": level_words.nobody_words,
        "method_words": method_words,
        "finds_words": finds_words.finds_words,
        "finds_explained": finds_words.FINDS,
        "undecided": claim_words.undecided,
        "gap_words": claim_words.gap_words,
        "claim_cells": claim_words.claim_cells,
        "kept_words": claim_words.kept_words,
        "claim_kinds": (claims.DELIVERED, claims.EQUAL),
        "claim_share": claims.KEPT,
        "claim_sources": claim_words.claim_sources,
        "procedural_explained": procedural_words.EXPLAINED,
        "procedural_heads": procedural_words.HEADS,
        "procedural_cells": procedural_words.procedural_cells,
        "picked_words": procedural_words.picked_words,
        "trees_lead": claim_words.trees_lead,
        "explained_apart": explainers.differ,
        "apart_mark": explainers.MARK,
        "apart_words": explainers.MARK_WORDS,
        "explainer_code": explainers.code,
        "explainer_words": explainers.words,
        "mixed_explainers": explainers.mixed_words,
        "with_reasons": explainers.WITH_REASONS,
        "standing_sentences": level_words.standing_sentences,
        "gained_sentences": level_words.gained_sentences,
        "few_tasks": ranking_words.few_tasks,
        "ranking_notes": ranking_words.notes,
        "seeds_words": ranking_words.seeds_words,
        "unranked_words": ranking_words.unranked_words,
        "rank_sentence": ranking_words.friedman_sentence,
        "published_ours": published.ours_text,
        "published_mark": published.MARKS.__getitem__,
        "published_explained": published.explained,
    }


def _pictures(known: Mapping[str, Figure]) -> dict[str, Any]:
    """Figures by id as ``draw.scatter``, those that no template places, and the marks of legends."""
    return {
        "draw": {id: figure.draw for id, figure in known.items()},
        "added_figures": {id: figure for id, figure in known.items() if not figure.placed},
        "level_lines": level_lines,
        "level_front": level_front,
        "legend_mark": legend_mark,
        "template_key": template_key,
        "colour_of": colour_of,
    }


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
