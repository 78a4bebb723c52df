"""What is said about fairness levels, in sentences and on the page."""

import re

import pandas as pd
import pytest

from reports.build import write_report
from reports.levels.levels import levels
from reports.render.level_words import gained_sentence, standing_sentences
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import read_results
from tests.reports.conftest import LEVEL_METHODS
from tests.reports.levels.level_fixtures import WOBBLE, three_rows

MIXTURE = ("mixture", "plain")


@pytest.mark.parametrize(
    ("mixture", "boosting", "word"),
    [
        (0.8 + WOBBLE, 0.6 - WOBBLE, "surely better than"),
        (0.4 + WOBBLE, 0.6 - WOBBLE, "surely worse than"),
        (0.6 + 50 * WOBBLE, 0.6 - 50 * WOBBLE, "not separable from"),
    ],
)
def test_standing_of_the_mixture(level_report, mixture, boosting, word):
    found = levels(pd.DataFrame(three_rows(mixture, boosting)), level_report.methods, level_report.scenarios)
    said = standing_sentences(found, found.contender(MIXTURE))
    smallest = found.standing[MIXTURE, ("gradient_boosting", "thresholds"), "0.05"].smallest
    finds = f" (finds ≥ {smallest:.3f})" if word == "not separable from" else ""
    assert said == [("≤ 0.05", f"{word} HistGradientBoosting + thresholds (G){finds} (1 task)")]


def test_what_thresholds_add(level_report):
    assert gained_sentence(level_report.levels, "0.02") == (
        "of 6 methods, thresholds surely raise 5, surely lower 0, and 1 are open"
    )


def test_page_and_markdown_tell_it(level_run, level_report):
    html, text = (path.read_text(encoding="utf-8") for path in write_report(level_run)[:2])
    assert html == render_page(level_report) and text == render_markdown(level_report)
    for words in (
        "Mixture, in utility, over all tasks", "imputed 15/15", "≤ ½ unmitigated", "Budget curves",
        "Does a gap that holds on validation rows hold on test rows?", "Is it better than thresholds?",
    ):  # fmt: skip
        assert words in html
    for level, sentence in standing_sentences(level_report.levels, level_report.levels.mixtures[0]):
        assert f"<b>{level}</b>: {sentence}" in html and f"**{level}**: {sentence}" in text
    section = html[html.index('<section id="levels">') : html.index("</section>", html.index('<section id="levels">'))]
    assert not re.search(r"\bnan\b", section + text, flags=re.IGNORECASE)


def test_without_rows_the_section_says_why(make_run, tmp_path):
    folder = make_run(tmp_path, tasks=("german",), methods=LEVEL_METHODS, splits=2)
    empty = summarise(read_results(folder))
    assert (empty.levels, empty.transfer, empty.budget) == (None, None, None)
    assert "This run has no rows in levels.csv" in render_page(empty)
    assert "levels.csv" in render_markdown(empty)
