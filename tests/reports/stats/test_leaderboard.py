import numpy as np
import pandas as pd
import pytest

from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.render.ranking_words import few_tasks, notes, unranked_words
from reports.stats.statistics import hierarchical_bootstrap
from reports.summary import summarise
from reports.table import read_results


@pytest.fixture(scope="module")
def holed(make_run, tmp_path_factory):
    """One cell failed, one is absent."""
    folder = make_run(
        tmp_path_factory.mktemp("holed"), tasks=("german", "credit"), splits=3, drop={("german", "result", 1)}
    )
    path = folder / "results.parquet"
    table = pd.read_parquet(path)
    gone = (table["method"] == "uniform") & (table["task"] == "credit") & (table["split"] == 0)
    keep = gone & (table["part"] == "test") & (table["metric"] == "final@1")
    table.loc[keep, ["estimate", "low", "high", "null_p95"]] = float("nan")
    table.loc[keep, ["status", "reason"]] = ["timeout", "MethodTimeoutError: too slow"]
    table[~gone | keep].to_parquet(path, index=False)
    return summarise(read_results(folder))


def test_all_tasks_are_one_pool_and_columns_pool_over_tasks(report):
    (pool,) = report.ranking.pools
    assert len(pool.tasks) == 6 and pool.scenarios == 30 and len(pool.lines) == 15
    line = next(line for line in pool.lines if line.method.id == "mixture")
    parts = [s.values["mixture", "utility@1"] for s in report.scenarios]
    theirs = hierarchical_bootstrap(parts, np.random.default_rng(0))
    column = line.columns["utility@1"]
    assert column.mean == pytest.approx(theirs.mean) and column.half == pytest.approx(theirs.half, rel=0.03)
    assert 0 <= line.columns["hv@1"].mean <= 1 and line.wall_s > 0


def test_the_constant_predictor_is_ranked_and_flagged(report):
    (pool,) = report.ranking.pools
    assert pool.ranked("constant", "fair_res@1").mean == 1
    assert [line.method.id for line in pool.lines if line.degenerate] == ["constant"]


def test_missing_cells_are_named_by_status(holed):
    (pool,) = holed.ranking.pools
    assert pool.ranked("result", "utility@1") is None and pool.ranked("mixture", "utility@1") is not None
    assert unranked_words(pool.unranked("result", "utility@1")) == "not ranked: missing 1 of 6 scenarios (1 absent)"
    assert (
        unranked_words(pool.unranked("uniform", "fair_res@1"))
        == "not ranked: missing 1 of 6 scenarios (1 ran out of time)"
    )
    assert any("Uniform mixture" in note and "ran out of time" in note for note in notes(pool))
    column = next(line for line in pool.lines if line.method.id == "result").columns["utility@1"]
    assert (column.known, column.asked) == (5, 6)


def test_few_tasks_are_said(holed, report):
    assert "Only 2 tasks" in few_tasks(holed.ranking.pools[0])
    assert few_tasks(report.ranking.pools[0]) == ""


def test_text_methods_are_ranked_in_a_pool_of_their_tasks(text_report):
    first, second = text_report.ranking.pools
    assert set(first.tasks) == {"german", "credit", "adult:sex"}
    assert set(second.tasks) == {"german", "adult:sex@1000"}
    assert not any(line.method.id.startswith(("llm_", "cross_")) for line in first.lines)
    assert second.ranked("llm_mixture", "utility@1") and second.ranked("mixture", "utility@1")


def test_page_and_markdown_hold_the_section(holed):
    page, text = render_page(holed), render_markdown(holed)
    section = page[page.index('<section id="ranking">') :]
    section = section[: section.index("</section>")]
    assert section.count("not ranked") >= 4 and "has no power" not in section
    assert section.count("<table") == section.count('<table class="board sortable">')
    assert section.count('role="img" aria-label="Mean ranks') == 4
    assert "## Ranks over all tasks" in text and "missing 1 of 6 scenarios (1 ran out of time)" in text


def test_seeds_are_averaged_and_their_spread_is_shown(make_run, tmp_path):
    folder = make_run(
        tmp_path, tasks=("german", "credit"), splits=3, methods=("mixture", "utility", "constant"), seeds=2
    )
    path = folder / "results.parquet"
    table = pd.read_parquet(path)
    second = table.assign(seed=1)
    second["estimate"] += 0.01 * (second["split"] - 1)
    pd.concat([table, second]).to_parquet(path, index=False)
    report = summarise(read_results(folder))
    (pool,) = report.ranking.pools
    assert pool.scenarios == 6  # not 12
    spread = report.ranking.spreads["mixture", "utility@1"]
    # seeds differ by ∓0.01, 0, ±0.01: within variances are 0.00005, 0, 0.00005
    assert spread.seed == pytest.approx((0.0001 / 3) ** 0.5)
    assert "one-way random effects" in render_page(report)
