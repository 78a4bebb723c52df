"""A method is shown by the words of its record; pages know none by heart."""

import json
from dataclasses import replace

import pytest

from reports.method import in_order
from reports.methods import FILE, MethodRow, read_methods, write_methods
from reports.names import GREEN, INK
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.render.sentences import UNNAMED
from reports.summary import summarise
from reports.table import ReportError, read_results
from tests.reports.conftest import KNOWN, method

NEW = MethodRow(
    "lightgbm", "My new trees", "trees that I have just written", colour="green", reference="my paper",
    compared=(("baselines", "constant"),), landmark=True, explainer="occlusion", sensitive_at_prediction=True,
)  # fmt: skip
OWN = MethodRow("my_method", "Rule of thumb", "what I do by hand", kind="own", reads="graph")


def test_rows_read_back(tmp_path):
    write_methods([NEW, OWN], tmp_path)
    assert read_methods(tmp_path) == {"lightgbm": NEW, "my_method": OWN}
    assert read_methods(tmp_path / "elsewhere") == {}


def test_a_new_baseline_and_an_own_method_have_their_words_everywhere(tmp_path, make_run):
    folder = make_run(tmp_path, tasks=("german",), splits=2, methods=("mixture", "constant", "lightgbm", "my_method"))
    write_methods([*(KNOWN[m] for m in ("mixture", "constant")), NEW, OWN], folder)
    report = summarise(read_results(folder))
    baseline, own = report.methods[2:]
    assert (baseline.label, baseline.colour, baseline.section) == ("My new trees (G)", GREEN, "baselines")
    assert (own.label, own.kind, own.reads, own.section) == ("Rule of thumb", "own", "graph", "own")
    assert (baseline.row.explainer, baseline.row.sensitive_at_prediction) == ("occlusion", True)
    assert ("lightgbm", "constant") in report.pairs
    page, text = render_page(report), render_markdown(report)
    for words in ("Rule of thumb", "My new trees (G) − Constant predictor"):
        assert words in text
    for words in ("trees that I have just written", "my paper", "own methods", "Own methods", "what I do by hand"):
        assert words in page
    assert "LightGBM" not in text and UNNAMED not in page + text


def test_a_run_without_records_calls_methods_by_their_ids_and_says_so(tmp_path, make_run):
    info = {"my_method": {"label": "Rule of thumb", "about": "mine", "kind": "own", "reads": "graph"}}
    folder = make_run(tmp_path, tasks=("german",), splits=2, methods=("mixture", "utility", "my_method"), infos=info)
    (folder / FILE).unlink()
    report = summarise(read_results(folder))
    assert [(m.label, m.kind) for m in report.methods] == [
        ("mixture", "gate"), ("utility", "expert"), ("Rule of thumb", "own"),
    ]  # fmt: skip
    assert report.methods[2].section == "own" and report.methods[0].colour == INK
    assert not report.named and report.pairs == []
    assert UNNAMED in render_page(report) and UNNAMED in render_markdown(report)


def test_text_runs_without_records_have_a_page(text_run):
    report = summarise(replace(read_results(text_run), methods={}))
    assert {m.id: m.reads for m in report.methods}["llm_utility"] == "text"
    assert render_page(report) and render_markdown(report)


@pytest.mark.parametrize(("field", "word"), [("kind", "gatte"), ("reads", "images")])
def test_a_word_that_pages_do_not_know_is_refused(tmp_path, make_run, field, word):
    folder = make_run(tmp_path, tasks=("german",), splits=1, methods=("utility",))
    rows = json.loads((folder / FILE).read_text())
    rows[0][field] = word
    (folder / FILE).write_text(json.dumps(rows))
    with pytest.raises(ReportError, match=f"The record of utility has {field} = '{word}'. Use one of"):
        summarise(read_results(folder))


def test_experts_stand_by_what_they_read_then_as_their_records_do():
    rows = {id: KNOWN[id] for id in ("llm_result", "gcn_utility", "result", "utility", "base")}
    assert in_order(["base", "mine", "utility", "llm_result", "gcn_utility", "result"], rows) == (
        "result", "utility", "gcn_utility", "llm_result", "base", "mine",
    )  # fmt: skip


def test_a_colour_that_the_palette_lacks_is_ink():
    assert replace(method("mixture"), row=replace(KNOWN["mixture"], colour="teal")).colour == INK
