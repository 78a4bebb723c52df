"""Every table of the page says what its file says."""

import csv
import io
from html.parser import HTMLParser

import pytest

from reports.format import estimate_text, value_text
from reports.names import metric_symbol
from reports.render.downloads import csv_text, tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page


class Rows(HTMLParser):
    """Rows of all tables: the section they stand in, their text, and the exact values that they are sorted by."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.rows, self.section, self.region, self.row = [], "", "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        if tag == "section" or (tag == "article" and "id" in facts):
            self.section = facts.get("id", self.section)
        if facts.get("role") == "region":
            self.region = facts["aria-label"]
        if tag == "tbody" and "data-task" in facts and self.region.startswith("Winners by task"):
            self.section = "winners-" + facts["data-task"]
        if tag == "tr":
            self.row = {"section": self.section, "text": "", "values": []}
            self.rows.append(self.row)
        if self.row is not None and facts.get("data-sort"):
            self.row["values"].append(facts["data-sort"])

    def handle_endtag(self, tag):
        if tag == "table" and self.section.startswith("winners-"):
            self.section = ""
        if tag == "tr":
            self.row = None

    def handle_data(self, data):
        if self.row is not None:
            self.row["text"] += data.replace("\xa0", " ")


def records(report, name):
    return [
        (table.name, list(csv.DictReader(io.StringIO(csv_text(table)))))
        for table in tables(report)
        if table.name.startswith(name)
    ]


@pytest.fixture(scope="module", params=["report", "level_report"], ids=["plain", "with levels"])
def shown(request):
    report = request.getfixturevalue(request.param)
    return report, Rows(render_page(report)).rows, render_markdown(report)


def test_winners(shown):
    report, rows, markdown = shown
    ((_, found),) = records(report, "winners")
    by_task = {s.name: [r for r in rows if r["section"] == f"winners-{s.anchor}"] for s in report.scenarios}
    assert len(found) == sum(map(len, by_task.values()))
    place = dict.fromkeys(by_task, 0)
    for record in found:
        row = by_task[record["task"]][place[record["task"]]]
        place[record["task"]] += 1
        lines = [line for line in markdown.splitlines() if line.startswith(f"| {record['task']} |")]
        if not record["winner"]:
            assert "none but a constant answer" in row["text"]
            continue
        label = report.label(record["winner"]) + (" + thresholds" if record["variant"] == "thresholds" else "")
        low, high = float(record["utility_low"] or "nan"), float(record["utility_high"] or "nan")
        values = [estimate_text(float(record["utility"]), (high - low) / 2), value_text(float(record["fair_res"]), 3)]
        kept = f"{record['splits_kept']}/{record['splits']}" if record["splits"] else ""
        assert label in row["text"] and values[0] in row["text"] and kept in row["text"], (record, row)
        assert any(label in line and values[0] in line and kept in line for line in lines), record
        tied = record["not_separable"].split()
        assert f"{len(tied)} of {record['others']}" in row["text"] or not tied
    assert any(record["variant"] == "thresholds" for record in found) == (report.levels is not None)


def test_methods_of_every_task(shown):
    report, rows, _ = shown
    for scenario in report.scenarios:
        ((_, found),) = records(report, "methods-" + scenario.anchor.removeprefix("task-"))[:1]
        here = [r for r in rows if r["section"] == scenario.anchor]
        for record in found:
            if record["mean"] and record["metric"] in ("utility@1", "fair_res@1", "dp@1", "fair_proc@1"):
                own = [r for r in here if record["label"] in r["text"] and record["mean"] in r["values"]]
                assert own, (record["task"], record["label"], metric_symbol(record["metric"]), record["mean"])


@pytest.mark.parametrize(("name", "column"), [("comparisons", "difference"), ("ranks-", "mean_rank")])
def test_comparisons_and_ranks(shown, name, column):
    report, rows, _ = shown
    values = {value for row in rows for value in row["values"]}
    for _, found in records(report, name):
        assert found
        assert [r for r in found if r[column] and r[column] not in values] == []
