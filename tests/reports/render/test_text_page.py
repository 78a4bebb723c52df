"""The page with text experts beside tabular methods."""

import re
from xml.etree import ElementTree

import pytest

from reports.render.markdown import render_markdown
from reports.render.objectives import objectives
from reports.render.page import render_page
from reports.render.sentences import answers, first_layer
from tests.reports.render.test_page import outline

PANELS = ("What each objective of the text experts bought", "Prompt sensitivity", "Mixture search", "Language bias of")


@pytest.fixture(scope="module")
def page(text_report):
    return render_page(text_report)


def part(page, anchor):
    """The section of one task."""
    return re.search(rf'<section class="task" id="{anchor}".*?</section>', page, flags=re.DOTALL).group()


def test_both_families_stand_in_one_table_in_sections(text_report):
    german = next(s for s in text_report.scenarios if s.name == "german")
    assert len(german.methods) == 40
    assert [(s.id, len(s.methods)) for s in german.sections] == [
        ("tabular", 11), ("baselines", 4), ("text", 13), ("adapters", 8), ("both", 4),
    ]  # fmt: skip
    assert text_report.families == ["tabular", "text", "both"]


def test_page_is_whole(page):
    found = outline(page)
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert len(page.encode()) < 3_000_000
    for figure in re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL):
        root = ElementTree.fromstring(figure)
        assert root.get("aria-label") or root.get("aria-hidden") == "true"
        assert "nan" not in figure.lower()


def test_panels_stand_on_tasks_with_text_experts_alone(page, report):
    for anchor in ("task-german", "task-adult-sex-1000"):
        assert all(words in part(page, anchor) for words in PANELS)
    assert not any(words in part(page, "task-credit") for words in PANELS)
    tabular = render_page(report)
    assert not any(words in tabular for words in (*PANELS, "Families", "KiB", "Text experts", "at most"))


def test_cap_is_said_in_words(page, text_report):
    assert "adult:sex@1000 <span" in page
    assert "at most 1\u202f000 rows" in part(page, "task-adult-sex-1000")
    assert "At most 1,000 rows" in render_markdown(text_report)


def test_everything_of_a_family_can_be_hidden_and_nothing_is_without_a_family(page, text_report):
    for key in text_report.families:
        assert f'id="show-{key}" checked' in page
        assert f'body:has(#show-{key}:not(:checked)) [data-family="{key}"]' in page
    board = re.search(r'<table class="board sortable">.*?</table>', part(page, "task-german"), re.DOTALL).group()
    rows = re.findall(r"<tr [^>]*>", board)
    assert len(rows) == 40 + 5 and all("data-family=" in row for row in rows)


def test_settings_of_the_text_experts_are_told_of_the_run(page):
    about = page[page.index('<section id="about">') : page.index('<section id="comparisons">')]
    assert all(words in about for words in ("nano", "ab12ab12ab12", "template “sentence”", "the last", "lora"))


@pytest.mark.parametrize(
    ("start", "words"),
    [(-1, "the last"), (-3, "3 before the end"), (0, "the first: all layers"), (4, "number 5")],
)
def test_first_layer(start, words):
    assert first_layer(start) == words


def test_costs_of_text_experts(page):
    german = part(page, "task-german")
    assert "41\u202f23" in german and ">37<" in german
    tabular = re.search(r'<tr class="baseline" data-family="tabular">.*?</tr>', german, re.DOTALL).group()
    assert tabular.count(">–</td>") >= 2  # neither adapters nor tokens


def test_verdicts_on_tabular_methods_do_not_depend_on_text_experts(tmp_path, make_run, text_report):
    from reports.summary import summarise
    from reports.table import read_results

    alone = summarise(read_results(make_run(tmp_path, tasks=("german", "credit", "adult:sex"), splits=4)))
    for key, pooled in alone.pooled.items():
        assert text_report.pooled[key] == pooled


def test_a_task_on_fewer_rows_does_not_count_twice(text_report):
    assert text_report.pooled["mixture", "uniform", "utility@1"].tasks == 3
    assert text_report.pooled["llm_utility", "llm_base", "utility@1"].tasks == 2
    assert len(text_report.by_task("mixture", "uniform", "utility@1")) == 3
    blocks = {block.id: [s.name for s in text_report.pooled_tasks(pairs)] for block, pairs in text_report.blocks}
    assert blocks["tabular"] == ["german", "credit", "adult:sex"]
    assert blocks["both"] == ["german", "adult:sex@1000"]


def test_objectives_name_what_was_bought_and_what_it_cost(text_report):
    german = next(s for s in text_report.scenarios if s.name == "german")
    found = {a.question.title: a for a in objectives(text_report, german)}
    assert "LLM result expert against LLM result, λ = 0: result gap −0." in found["The result objective"].sentence
    assert "; beside it utility" in found["The result objective"].sentence
    assert len(found) == 6
    assert objectives(text_report, next(s for s in text_report.scenarios if s.name == "credit")) == []


def test_sentences_for_every_mixture(text_report):
    for mixture in ("mixture", "llm_mixture", "cross_gate_dense"):
        assert dict(answers(text_report, mixture)).keys() == {
            "utility", "result unfairness", "procedural unfairness", "final score",
        }  # fmt: skip


def test_gates_show_every_expert_of_their_mixtures(text_report, page):
    german = next(s for s in text_report.scenarios if s.name == "german")
    text = ("llm_utility", "llm_result", "llm_procedural")
    assert [g.experts for g in german.gates] == [
        ("utility", "result", "procedural"), (*text, "base"), ("utility", "result", "procedural", *text),
    ]  # fmt: skip
    dispatch = next(r for g in german.gates for r in g.routing if r.method.id == "llm_dispatch")
    mixture = next(r for g in german.gates for r in g.routing if r.method.id == "llm_mixture")
    assert sum(dispatch.share(0, e)[0] for e in (*text, "base")) == pytest.approx(1)
    assert mixture.share(0, "base") is None
    assert "tU&nbsp;LLM utility expert" in page


def test_bias_says_what_cannot_be_estimated(page):
    german = part(page, "task-german")
    for words in ("CrowS-Pairs", "WinoBias", "not estimable", "vacuous", "100 items", "50 ideal", "n 20"):
        assert words in german


def test_search_names_winner_and_rejected(page):
    german = part(page, "task-german")
    for words in ("fair_res@1 = 0.21 on held-out rows", "Winner: α utility", "was off by at most"):
        assert words in german


def test_markdown_has_the_same_panels_in_rectangular_tables(text_report):
    text = render_markdown(text_report)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
    headings = (
        "What each objective",
        "Prompt sensitivity",
        "Mixture search",
        "Language bias",
        "Other kinds of adapters",
    )
    for heading in headings:
        assert text.count(f"### {heading}") == 2


def test_text_experts_alone_have_a_page(tmp_path, make_run):
    from reports.summary import summarise
    from reports.table import read_results
    from tests.reports.conftest import TEXT

    few = TEXT | {"methods": ["llm_base", "llm_utility"], "tasks": ["german"]}
    folder = make_run(tmp_path, tasks=("german",), splits=1, methods=("constant",), text=few)
    report = summarise(read_results(folder))
    assert outline(render_page(report)) and render_markdown(report)
    assert [block.id for block, _ in report.blocks] == ["text"]
