import dataclasses
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from reports.build import write_report
from reports.published.numbers import METRICS, Explanation, Source, load_published, parse
from reports.published.verdicts import Ours, judge, overall, published, side_of
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.render.published import COLUMNS, published_table
from reports.summary import summarise
from reports.table import FURTHER, ReportError, read_results, write_results

PAPER = Source("paper", "A paper", "table 1", "figure", checked=True)
MEMORY = dataclasses.replace(PAPER, id="memory", checked=False)
OURS = Path(__file__).parent / "published_results.csv"
"""What our methods reach with published settings: five seeds, test rows of the published split."""
ARITHMETIC = dataclasses.replace(PAPER, id="arithmetic", exact=True)


def ours(mean, std=1.0, seeds=5):
    return Ours(mean, std, seeds, 5, 0)


@pytest.fixture(scope="module")
def nifty_run(make_run, tmp_path_factory):
    """The made-up run under the published protocol, with two of its methods called like published ones."""
    folder = make_run(
        tmp_path_factory.mktemp("nifty"), tasks=("german", "scm"), splits=1, protocol="nifty", seeds=5,
        methods=("gcn", "nifty", "constant"), drop=[(t, m, 0) for t in ("german", "scm") for m in ("gcn", "nifty")],
    )  # fmt: skip
    made = make_run(
        tmp_path_factory.mktemp("made"), tasks=("german", "scm"), splits=1, methods=("utility", "result", "constant")
    )
    tables = read_results(made)
    called = {"utility": "gcn", "result": "nifty"}

    def renamed(frame):
        changed = frame.replace({"method": called})
        return changed.assign(protocol="nifty") if "protocol" in changed else changed

    def seeds(frame):
        repeats = []
        for seed in range(5):
            repeat = renamed(frame).assign(seed=seed)
            repeat["estimate"] += 0.01 * (seed - 2)
            repeats.append(repeat)
        return pd.concat(repeats)

    write_results(
        folder,
        results=seeds(tables.results).to_dict("records"),
        groups=renamed(tables.groups).to_dict("records"),
        routing=renamed(tables.routing).to_dict("records"),
        provenance=renamed(tables.provenance).to_dict("records"),
        further={name: [] for name in FURTHER},
    )
    return folder


@pytest.fixture(scope="module")
def report(nifty_run):
    return summarise(read_results(nifty_run))


def test_numbers_are_read_as_printed():
    assert parse("74.11±0.37") == parse("74.11±0.37").__class__("74.11±0.37", 74.11, 0.37, 0.01)
    single = parse("70.0")
    assert (single.mean, single.unit) == (70.0, 0.1) and math.isnan(single.std)
    assert parse("0").unit == 1
    for wrong in ("74,11", "74.11+-0.37", "-1", "", "74.11±"):
        with pytest.raises(ReportError, match="no number as printed"):
            parse(wrong)


def test_a_published_spread_allows_two_standard_deviations_and_the_rounding():
    printed = parse("70.0±1.0")
    assert judge(ours(72.05), PAPER, printed).verdict == "inside"  # 70 + 2 + 0.05
    assert judge(ours(67.95), PAPER, printed).verdict == "inside"
    assert judge(ours(72.06), PAPER, printed).verdict == "outside"
    found = judge(ours(72.06, std=50), PAPER, printed)  # our own spread does not widen it
    assert found.verdict == "outside" and (found.low, found.high) == pytest.approx((67.95, 72.05))


def test_one_published_run_is_judged_by_our_seeds():
    printed = parse("70.00")
    assert judge(ours(73.9, std=2), PAPER, printed).verdict == "inside"
    assert judge(ours(74.1, std=2), PAPER, printed).verdict == "outside"
    assert "our seeds" in judge(ours(73.9, std=2), PAPER, printed).basis


def test_without_any_spread_there_is_no_interval():
    for std in (0.0, math.nan):
        assert judge(ours(70.5, std), PAPER, parse("70.00")).verdict == "no interval"
        assert judge(ours(70.004, std), PAPER, parse("70.00")).verdict == "inside"  # the same printed digits


def test_arithmetic_allows_only_rounding():
    assert judge(ours(82.3529, std=5), ARITHMETIC, parse("82.35")).verdict == "inside"
    assert judge(ours(82.36, std=5), ARITHMETIC, parse("82.35")).verdict == "outside"


def test_what_was_not_measured_is_neither():
    nothing = Ours(math.nan, math.nan, 0, 5, 0)
    found = judge(nothing, PAPER, parse("70±1"))
    assert found.verdict == "not measured" and overall([found], nothing) == "not measured"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([(PAPER, "70±1"), (PAPER, "50±1")], "inside"),
        ([(PAPER, "50±1"), (PAPER, "60±1")], "outside"),
        ([(PAPER, "50±1"), (MEMORY, "70±1")], "outside"),  # memory does not save a cell
        ([(PAPER, "70±1"), (MEMORY, "50±1")], "inside"),  # nor does it spoil one
        ([(MEMORY, "70±1")], "unchecked"),
    ],
)
def test_one_checked_source_is_enough_and_memory_decides_nothing(values, verdict):
    mine = ours(70.2)
    assert overall([judge(mine, source, parse(text)) for source, text in values], mine) == verdict


def test_shipped_numbers_are_sound():
    shipped = load_published()
    assert {row.dataset for row in shipped.rows} == {"german", "bail", "credit"}
    assert {row.source.id for row in shipped.rows} == set(shipped.sources)  # no source without a row
    for row in shipped.rows:
        for metric, printed in row.values.items():
            assert 0 <= printed.mean <= 100, (row, metric)
            assert not printed.std >= 15, (row, metric)
            if metric in ("auc@1", "f1@1", "acc@1"):
                assert printed.mean >= 40, (row, metric)  # a gap in a column of utility would be a misprint
            else:
                assert printed.mean <= 40, (row, metric)
    for source in shipped.sources.values():
        assert source.checked == ("unchecked" not in source.read)
    assert set(shipped.caveats) == {"german", "bail", "credit"}
    methods = {row.method for row in shipped.rows}
    for (method, dataset, metric), known in shipped.explanations.items():
        assert method in methods and dataset in ("german", "bail", "credit") and metric in METRICS
        assert all(0 <= e.low <= e.high <= 100 and e.high - e.low <= 20 for e in known)


def test_the_constant_predictor_of_the_toml_follows_from_the_label_counts():
    """Test parts of §4 of the protocol: german 250 rows with 175 positives, credit 7500 with 5841."""
    counts = {"german": (250, 175), "credit": (7500, 5841)}
    rows = {row.dataset: row.values for row in load_published().rows if row.method == "constant"}
    for dataset, (n, positives) in counts.items():
        assert abs(rows[dataset]["acc@1"].mean - 100 * positives / n) <= rows[dataset]["acc@1"].unit / 2
        f1 = 200 * positives / (positives + n)
        assert abs(rows[dataset]["f1@1"].mean - f1) <= rows[dataset]["f1@1"].unit / 2


def test_mistakes_in_the_file_are_told(tmp_path):
    head = '[sources.a]\npaper = "p"\nwhere = "w"\nread = "figure"\nchecked = true\n'
    why = '[[explanations]]\ndataset = "german"\ntext = "because"\ncells = [{}]\n'
    full = '{{ method = "gcn", metric = "{}", side = "{}", low = {}, high = 2.0 }}'
    row = '[[rows]]\ndataset = "german"\nmethod = "gcn"\nsource = "{}"\nvalues = {{ "{}" = "{}" }}\n'
    one = row.format("a", "auc@1", "70")
    for i, (text, message) in enumerate(
        [
            (row.format("b", "auc@1", "70"), "no source 'b'"),
            (row.format("a", "mcc@1", "70"), "'mcc@1' is not compared"),
            (row.format("a", "auc@1", "seventy"), "no number as printed"),
            (row.format("a", "auc@1", "70") * 2, "two rows for german · gcn · a"),
            (one + why.format(""), "does not say what it explains"),
            (
                row.format("a", "auc@1", "70") + why.format(full.format("mcc@1", "below", 1.0)),
                "does not say what it explains",
            ),
            (
                row.format("a", "auc@1", "70") + why.format(full.format("auc@1", "beside", 1.0)),
                "does not say what it explains",
            ),
            (
                row.format("a", "auc@1", "70") + why.format(full.format("auc@1", "below", 3.0)),
                "does not say what it explains",
            ),
        ]
    ):
        path = tmp_path / f"{i}.toml"
        path.write_text(head + text)
        with pytest.raises(ReportError, match=re.escape(message)):
            load_published(path)


def test_a_run_is_compared_on_test_rows_over_its_seeds(nifty_run, report):
    tables = read_results(nifty_run)
    rows = tables.results.query("task == 'german' and method == 'gcn' and metric == 'auc@1' and part == 'test'")
    cell = report.published.boards[0].cells["gcn", "auc@1"]
    assert len(rows) == 5 == cell.ours.seeds
    assert cell.ours.mean == pytest.approx(100 * rows["estimate"].mean())
    assert cell.ours.std == pytest.approx(100 * 0.01 * math.sqrt(2.5))
    assert {f.source.id for f in cell.findings} == {"fairvgnn", "nifty", "edits", "nifty_rewrite"}


def test_only_data_sets_and_methods_with_published_numbers_are_there(report):
    (board,) = report.published.boards  # scm has none
    assert board.dataset == "german" and board.methods == ("gcn", "nifty", "constant")
    assert {row.method for row in board.reference} == {
        "gin", "edits", "fairgnn", "fairvgnn", "logistic_regression", "cfa",
    }  # fmt: skip


def test_other_protocols_and_runs_without_the_sensitive_column_are_not_compared(run, nifty_run):
    assert published(read_results(run)) is None
    tables = read_results(nifty_run)
    dropped = dataclasses.replace(tables, results=tables.results.assign(use_sensitive="drop"))
    assert published(dropped) is None


def test_a_seed_that_failed_is_counted(nifty_run):
    tables = read_results(nifty_run)
    gone = (tables.results["method"] == "gcn") & (tables.results["seed"] == 3)
    results = tables.results.copy()
    results.loc[gone, "estimate"] = math.nan
    cell = published(dataclasses.replace(tables, results=results)).boards[0].cells["gcn", "auc@1"]
    assert (cell.ours.seeds, cell.ours.asked) == (4, 5)


def anywhere(text):
    """An explanation that holds wherever ours lies."""
    return tuple(Explanation(text, side, 0.0, 100.0) for side in ("below", "above", "between"))


def test_explanations_stand_only_where_a_cell_is_outside(nifty_run):
    tables, shipped = read_results(nifty_run), load_published()
    why = {("gcn", "german", metric): anywhere(f"the word on {metric}") for metric in METRICS}
    found = published(tables, dataclasses.replace(shipped, explanations=why))
    for cell in found.cells:
        expected = f"the word on {cell.metric}" if cell.method == "gcn" else ""
        assert cell.explanation == (expected if cell.verdict == "outside" else "")
    outside = [c for c in found.cells if c.verdict == "outside"]
    assert any(c.method == "gcn" for c in outside) and any(c.method == "nifty" for c in outside)
    assert {c.method for c in found.unexplained} == {c.method for c in outside} - {"gcn"}


@pytest.mark.parametrize(("value", "said"), [(68.9, True), (68.3, False), (31.0, False), (99.0, False)])
def test_an_explanation_holds_for_the_values_that_it_was_written_for_and_no_others(measured, value, said):
    rows = measured.results.copy()
    mine = (rows["task"] == "credit") & (rows["method"] == "gcn") & (rows["metric"] == "acc@1")
    rows.loc[mine, "estimate"] += value / 100 - rows.loc[mine, "estimate"].mean()
    found = published(dataclasses.replace(measured, results=rows))
    cell = next(c for c in found.cells if (c.dataset, c.method, c.metric) == ("credit", "gcn", "acc@1"))
    assert cell.ours.mean == pytest.approx(value) and cell.verdict == "outside"
    assert bool(cell.explanation) == said
    assert [(c.dataset, c.method, c.metric) for c in found.unexplained] == (
        [] if said else [("credit", "gcn", "acc@1")]
    )


@pytest.mark.parametrize(("mean", "side"), [(40.0, "below"), (60.0, "between"), (80.0, "above"), (51.0, "above")])
def test_the_side_is_that_of_the_checked_values_that_are_missed(mean, side):
    mine = ours(mean, std=1)
    printed = [(PAPER, "50.0±0.1"), (PAPER, "70.0±1.0"), (MEMORY, "10.0±1.0")][: 1 if mean == 51.0 else 3]
    assert side_of(mine, [judge(mine, source, parse(text)) for source, text in printed]) == side


def test_an_explanation_for_the_other_side_is_none():
    known = dataclasses.replace(
        load_published(), explanations={("gcn", "german", "dp@1"): (Explanation("why", "below", 10.0, 20.0),)}
    )
    cell = ("gcn", "german", "dp@1")
    assert known.explanation(cell, "below", 15.0) == "why"
    assert known.explanation(cell, "above", 15.0) == known.explanation(cell, "below", 20.1) == ""
    assert known.explanation(("gcn", "german", "acc@1"), "below", 15.0) == ""


def test_unexplained_cells_are_shown_as_such(nifty_run, report):
    bare = published(read_results(nifty_run), dataclasses.replace(load_published(), explanations={}))
    shown = dataclasses.replace(report, published=bare)
    assert bare.unexplained
    assert "not explained" in render_page(shown) and "NOT EXPLAINED" in render_markdown(shown)


def test_pages_show_every_published_number_and_the_table_scrolls_by_itself(report):
    page, text = render_page(report), render_markdown(report)
    for board in report.published.boards:
        for cell in board.cells.values():
            for finding in cell.findings:
                assert finding.printed.text in page and finding.printed.text in text
        for caveat in board.caveats:
            assert caveat.split(":")[0] in page
    section = page[page.index('<section id="published">') : page.index("</section>", page.index('id="published"'))]
    assert section.count("<table") == section.count('<div class="scroll"') == len(report.published.boards)
    for number in re.findall(r'href="#(published-[^"]*)"', page):
        assert f'id="{number}"' in page
    assert "## Published numbers beside ours" in text


def test_pages_say_whether_settings_are_those_of_the_papers(report):
    papers = dataclasses.replace(report, suite=report.suite | {"settings": "published"})
    for render in (render_page, render_markdown):
        assert "tuned here" in render(report) and "tuned here" not in render(papers)


def test_markdown_tables_stay_rectangular(report):
    blocks = [b.splitlines() for b in render_markdown(report).split("\n\n") if b.startswith("|")]
    assert all(len({line.count("|") for line in block}) == 1 for block in blocks)


def test_a_run_without_published_numbers_has_no_such_section(run):
    plain = summarise(read_results(run))
    assert 'id="published"' not in render_page(plain) and "Published numbers" not in render_markdown(plain)


def test_the_table_is_written_beside_the_pages(nifty_run, report):
    paths = write_report(nifty_run)
    assert [paths[i].name for i in (0, 1, -1)] == ["leaderboard.html", "leaderboard.md", "published.csv"]
    read = pd.read_csv(paths[-1])
    assert tuple(read.columns) == COLUMNS
    assert (
        len(read)
        == sum(len(cell.findings) for cell in report.published.cells)
        == len(published_table(report.published))
    )
    first = paths[-1].read_bytes()
    write_report(nifty_run)
    assert paths[-1].read_bytes() == first


@pytest.fixture(scope="module")
def measured(nifty_run):
    rows = pd.read_csv(OURS).rename(columns={"dataset": "task"})
    rows["status"] = rows["constant"].map({0: "ok", 1: "degenerate"})
    rows = rows.assign(protocol="nifty", part="test", use_sensitive="keep", split=0)
    tables = read_results(nifty_run)
    return dataclasses.replace(tables, results=rows, suite=tables.suite | {"methods": list(rows["method"].unique())})


def test_no_cell_of_our_own_results_is_outside_without_an_explanation(measured):
    assert [(c.dataset, c.method, c.metric) for c in published(measured).unexplained] == []


def test_without_the_explanations_the_cells_outside_are_listed(measured):
    bare = published(measured, dataclasses.replace(load_published(), explanations={}))
    assert {(c.dataset, c.method, c.metric) for c in bare.unexplained} == {
        (c.dataset, c.method, c.metric) for c in bare.cells if c.verdict == "outside"
    }
    assert ("german", "constant", "acc@1") in {(c.dataset, c.method, c.metric) for c in bare.unexplained}
    assert bare.count("inside") >= 30
