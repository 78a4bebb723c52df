"""Claims, steps and fronts on the page, in the markdown and in the files."""

import csv
import io
import re
import shutil

import numpy as np
import pytest

from reports.build import write_report
from reports.methods import MethodRow, write_methods
from reports.render.claim_words import claim_sources, p_text, undecided
from reports.render.downloads import csv_text, tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import FURTHER, frame, read_results, write_csv
from tests.reports.conftest import KNOWN
from tests.reports.levels.level_fixtures import level_rows

METHODS = ("mixture", "result", "utility", "constant", "logistic_regression", "gradient_boosting")
TASKS = ("german", "adult:sex", "compas:race", "credit", "scm")
LIMITS = {"any": np.inf, "0.02": 0.02, "0.05": 0.05, "0.10": 0.1}
GAINS = {"plain": 0.0, "thresholds": 0.005, "oof": 0.012, "oof80": 0.010, "oof60": 0.008, "decision": 0.014}
ROWS = {
    "mixture": {
        "compared": (("tabular", "utility"), *(("baselines", m) for m in ("gradient_boosting", "logistic_regression"))),
        "levels": (("mixture", "plain"), ("mixture", "oof"), ("mixture", "decision")),
        "ablation": ((2, "oof", "+ out of fold"), (3, "decision", "+ decision layer")),
    },
    "utility": {"ablation": ((1, "thresholds", "One role"),)},
    "logistic_regression": {"levels": (("rival", "oof"),), "scores_decisions": True},
}  # fmt: skip


def rows_of(bounded, levels):
    """Every variant gains what GAINS says; the mixture and trees gain a little more."""
    rows = []
    for t, task in enumerate(TASKS):
        for split in range(5):
            shared = np.random.default_rng([1, t, split]).normal(0, 0.01)
            for m, method in enumerate(METHODS):
                rng = np.random.default_rng([2, t, split, m])
                for variant, gain in GAINS.items():
                    if variant == "decision" and method != "mixture":
                        continue
                    for level in levels:
                        value = 0.7 + shared + gain + 0.01 * (method == "mixture") + rng.normal(0, 0.006)
                        room = min(LIMITS[level], 0.1)
                        gap = abs(rng.normal(0, 0.8 * room))
                        rows += level_rows(
                            task, method, split, variant, level, value, gap, limit=LIMITS[level], bounded=bounded
                        )
    return rows


@pytest.fixture(scope="module")
def folder(make_run, tmp_path_factory):
    folder = make_run(
        tmp_path_factory.mktemp("claims"), tasks=TASKS, methods=METHODS,
        sources={"german": "credit scores", "credit": "credit scores"},
    )  # fmt: skip
    rows = rows_of("fair_res@1", LIMITS) + rows_of("dp@1", list(LIMITS)[1:])
    write_csv(frame(rows, FURTHER["levels"], "levels"), folder / "levels.csv")
    facts = {m: {f: getattr(KNOWN[m], f) for f in MethodRow.__dataclass_fields__} | ROWS.get(m, {}) for m in METHODS}
    write_methods([MethodRow(**own) for own in facts.values()], folder)
    return folder


@pytest.fixture(scope="module")
def claimed(folder):
    return summarise(read_results(folder))


def test_sources_come_from_the_suite_and_from_the_name(claimed):
    assert [s.source for s in claimed.scenarios] == ["credit scores", "adult", "compas", "credit scores", "scm"]
    assert claim_sources(claimed) == ["credit scores", "adult", "compas", "scm"]
    (pool,) = claimed.ranking.pools
    assert (len(pool.tasks), pool.sources) == (5, 4)
    for comparison in claimed.pooled.values():
        assert comparison.tasks == 5 and comparison.interval.freedom <= 3.01


def test_the_page_and_the_markdown_say_every_claim(claimed):
    page, text = render_page(claimed), render_markdown(claimed)
    (found,) = [table for table in tables(claimed) if table.name == "claims"]
    records = list(csv.DictReader(io.StringIO(csv_text(found))))
    assert {(r["gap"], r["level"]) for r in records} == {
        ("fair_res@1", level) for level in LIMITS
    } | {("dp@1", level) for level in list(LIMITS)[1:]}  # fmt: skip
    section = page[page.index('<section id="claims">') : page.index('<section id="levels">')]
    for claim, record in zip(claimed.claims, records, strict=True):
        assert f'data-sort="{claim.pooled.interval.mean}"' in section
        assert float(record["points"]) == pytest.approx(100 * claim.pooled.interval.mean)
        assert claim.own.suffix in section and claim.rival.label in text
        assert float(record["kept"] or 0) <= 1 and (record["level"] != "any" or record["kept"] == "")
    assert "At equal transfer" in section and "At equal transfer" in text
    assert not re.search(r"\bnan\b", section + text, flags=re.IGNORECASE)


def test_ablation_and_fronts_are_shown_and_filed(claimed, folder):
    names = {path.name for path in write_report(folder)}
    assert {f"{n}.csv" for n in ("claims", "claims-sources", "ablation", "three-objectives")} <= names
    page = render_page(claimed)
    for words in (
        "What each step adds",
        "+ decision layer",
        "One role",
        "hv3@1",
        "Baselines",
        "demographic parity gap (dp)",
    ):
        assert words in page
    found = {t.name: list(csv.DictReader(io.StringIO(csv_text(t)))) for t in tables(claimed)}
    assert {r["gap"] for r in found["answer"]} == {"fair_res@1", "dp@1"}
    steps = [r for r in found["ablation"] if r["level"] == "0.05"]
    assert [r["step"] for r in steps] == ["+ out of fold", "+ decision layer", "all steps together"]
    assert float(steps[2]["points"]) == pytest.approx(float(steps[0]["points"]) + float(steps[1]["points"]))
    assert {r["source"] for r in found["claims-sources"]} == set(claim_sources(claimed))


def test_what_cannot_be_decided_is_said_with_its_size(claimed):
    said = undecided(claimed)
    assert "5 tasks from 4 sources and 5 splits" in said and said in render_markdown(claimed)
    assert "finds ≥ 0.0" in render_page(claimed)
    open_ = [c for c in claimed.pooled.values() if c.verdict == "not separable"]
    assert open_ and all(c.smallest > 0 for c in open_)


def test_scores_that_only_encode_decisions_are_marked(claimed):
    assert claimed.label("logistic_regression").endswith(" †")
    page = render_page(claimed)
    assert "so the AUC in its utility is not that of a score" in page and "Logistic regression †" in page


def test_ceilings_stand_beside_the_shares(claimed):
    share = claimed.transfer.by_level["0.02"]
    assert 0 < share.at_limit <= share.ceiling < 1 and "any" not in claimed.transfer.levels
    assert f"ceiling {share.ceiling:.0%}" in render_markdown(claimed)


def test_without_levels_there_are_no_claims(make_run, tmp_path):
    empty = summarise(read_results(make_run(tmp_path, tasks=("german",), methods=METHODS, splits=2)))
    assert empty.claims == () and empty.ablation is None
    assert 'id="claims"' not in render_page(empty) and "What is claimed" not in render_markdown(empty)


def test_the_same_tables_give_the_same_bytes(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    first, second = ([p.read_bytes() for p in write_report(f)] for f in (folder, copy))
    assert first == second


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< .001"), (0.0123, ".012"), (1.0, "1.000"), (float("nan"), "–")])
def test_p_values(p, text):
    assert p_text(p) == text
