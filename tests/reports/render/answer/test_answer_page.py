"""The answer on the page, in its data, in the Markdown and in the file: the same numbers."""

import csv
import dataclasses
import html
import io
import json
import re

import pytest

from reports.answer.setting import Setting
from reports.format import points_text, value_text
from reports.render.answer.cells import cells
from reports.render.answer.data import answer_data
from reports.render.answer.words import answer_words
from reports.render.downloads import csv_text, tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page


@pytest.fixture(scope="module")
def page(level_report):
    return render_page(level_report)


@pytest.fixture(scope="module")
def file(level_report):
    (table,) = [table for table in tables(level_report) if table.name == "answer"]
    return list(csv.DictReader(io.StringIO(csv_text(table))))


def plain(text):
    return html.unescape(re.sub(r"<[^>]+>", " ", text))


def table_of(page, id):
    return re.search(rf'<table [^>]*id="{id}".*?</table>', page, re.DOTALL).group()


def answer_of(markdown):
    return markdown[markdown.index("## The answer") : markdown.index("★ recommended; ○")].splitlines()


def body(table):
    return re.findall(r"<tr.*?</tr>", table[table.index("<tbody") :], re.DOTALL)


def test_the_page_opens_with_the_answer(level_report, page):
    said = answer_words(level_report.answers[Setting()])
    main = plain(page[page.index("<main>") :])
    for words in filter(None, vars(said).values()):
        assert words in main
    assert main.index(said.name) < 400
    sections = re.findall(r'<section[^>]* id="([\w-]+)"', page)
    assert sections[:5] == ["answer", "plots", "matrix", "about", "comparisons"]


def test_table_file_markdown_and_data_say_the_same(level_report, page, file):
    own = level_report.answers[Setting()]
    records = [r for r in file if (r["gap"], r["level"], r["task"]) == ("fair_res@1", "0.05", "")]
    assert len(records) == len(own.rows)
    main = [r for r in records if r["stands_for_method"] == "1"]
    rows, markdown = body(table_of(page, "answers")), render_markdown(level_report)
    data = json.loads(answer_data(level_report))
    stored = [row for row in data["answers"]["fair_res@1 0.05 -1"]["rows"] if row[1] & 1]
    assert len(rows) == len(main) == len(stored) == len(own.main)
    for row, record, texts in zip(rows, main, stored, strict=True):
        shown = plain(row)
        assert f'data-sort="{record["utility"]}"' in row and f'data-sort="{record["seconds"]}"' in row
        expected = [value_text(float(record["utility"])), value_text(float(record["bounded_gap"]))]
        expected += [points_text(float(record["against"]))] if record["against"] else []
        expected += [f"{record['kept']}/{record['kept_of']}"] if record["kept"] else []
        label = level_report.label(record["method"])
        line = next(ln for ln in answer_of(markdown) if f"{label} " in ln and expected[0] in ln)
        own_texts = " ".join(data["texts"][i] for i in texts[2:])
        for value in expected:
            assert value in shown and value in line and value in own_texts, (record, value)
        assert (record["mark"] == "best") == ("★" in shown) and (record["mark"] == "open") == ("○" in shown)


def test_every_question_of_the_data_is_in_the_file(level_report, file):
    data = json.loads(answer_data(level_report))
    asked = {tuple(key.split(" ")) for key in data["answers"]}
    tasks = {"-1": ""} | {str(i): name for i, name in enumerate(data["tasks"])}
    assert {(gap, level, tasks[place]) for gap, level, place in asked} == {
        (r["gap"], r["level"], r["task"]) for r in file
    }
    best = {(r["gap"], r["level"], r["task"]): r["method"] for r in file if r["mark"] == "best"}
    for gap, level, place in asked:
        rows = data["answers"][f"{gap} {level} {place}"]["rows"]
        first = level_report.methods[int(data["who"][rows[0][0]][0]) - 1]
        assert best.get((gap, level, tasks[place]), first.id) == first.id


def test_winners_and_answers_name_the_same(level_report, file):
    (winners,) = [table for table in tables(level_report) if table.name == "winners"]
    for record in csv.DictReader(io.StringIO(csv_text(winners))):
        own = [r for r in file if (r["task"], r["level"], r["mark"]) == (record["task"], record["level"], "best")]
        assert [(r["method"], r["variant"]) for r in own] == (
            [(record["winner"], record["variant"])] if record["winner"] else []
        )


def test_matrix_has_a_row_per_task_and_marks_its_best(level_report, page):
    rows = body(table_of(page, "grid"))
    assert len(rows) == 1 + len(level_report.scenarios)
    for scenario, row in zip([None, *level_report.scenarios], rows, strict=True):
        own = level_report.answers[Setting(task=scenario.name if scenario else "")]
        (best,) = re.findall(r'<td class="num best[^>]*>([^<]+)<', row)
        assert best == value_text(own.best.utility.mean)
        assert row.count("✕") == sum(cells(own, r).broken for r in own.main)


def test_winners_that_broke_their_limit_say_so(level_report, page):
    broken = sum(
        best.level != "any" and best.winner is not None and best.reached.kept < best.reached.splits
        for found in level_report.levels.best.values()
        for best in found
    )
    winners = page[page.index("Winners by task and fairness level") :]
    assert broken and winners[: winners.index("</table>")].count("✕ broke its limit on") == broken
    assert render_markdown(level_report).count("✕ broke its limit on") == broken


def test_names_of_users_stay_text_in_the_data(level_report):
    own = level_report.opening
    wicked = "</script><b>me</b>"
    method = dataclasses.replace(
        own.best.contender.method, row=dataclasses.replace(own.best.contender.method.row, label=wicked)
    )
    row = dataclasses.replace(own.best, contender=dataclasses.replace(own.best.contender, method=method))
    changed = dataclasses.replace(own, rows=(row, *own.rows[1:]), best=row)
    report = dataclasses.replace(level_report, answers={own.setting: changed})
    data = answer_data(report)
    assert "<" not in data and wicked in json.loads(data)["who"][0][1]
    assert wicked not in render_page(report) and "&lt;/script&gt;&lt;b&gt;me" in render_page(report)


def test_a_run_without_levels_says_what_to_do(report):
    page = render_page(report)
    assert "cannot say which method to take" in page and 'id="answer-data"' not in page
    assert "## The answer" not in render_markdown(report)
    assert next(table.name for table in tables(report)) == "comparisons"


def test_pages_count_one_as_one(level_report, make_run, tmp_path):
    from reports.summary import summarise
    from reports.table import read_results

    one = summarise(read_results(make_run(tmp_path, tasks=("german",), splits=1)))
    for text in (render_page(one), render_markdown(one)):
        said = plain(re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL))
        assert (
            re.findall(r"(?<![\d./,–−])\b1 (?:tasks|splits|seeds|sources|methods|scenarios|cells|rows)\b", said) == []
        )
