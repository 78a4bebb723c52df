import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from reports.build import write_report
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import read_results

VOID = {"meta", "link", "br", "hr", "img", "input", "circle", "path", "rect"}


class Outline(HTMLParser):
    """Checks that tags close in order, and remembers ids, links and texts."""

    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.links, self.loads = [], [], [], []

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        if "id" in facts:
            self.ids.append(facts["id"])
        if tag == "a":
            self.links.append(facts["href"])
        self.loads += [facts[a] for a in ("src", "srcset", "data", "xlink:href") if a in facts]
        if tag == "link":
            self.loads.append(facts["href"])
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag


@pytest.fixture(scope="module")
def page(report):
    return render_page(report)


def outline(page):
    parser = Outline()
    parser.feed(page)
    assert parser.stack == []
    return parser


def test_tags_are_balanced_and_every_link_has_its_target(page):
    found = outline(page)
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_asks_the_network_for_nothing(page):
    assert outline(page).loads == ["data:,"]
    assert "http://" not in page and "https://" not in page
    assert "@import" not in page and "url(" not in page
    assert "default-src 'none'" in page


def test_is_small(page):
    assert len(page.encode()) < 3_000_000


def test_same_tables_same_bytes(run, page):
    html, text, *tables = write_report(run)
    assert (html.name, text.name) == ("leaderboard.html", "leaderboard.md")
    assert html.read_text(encoding="utf-8") == page
    before = [path.read_bytes() for path in tables]
    assert [path.read_bytes() for path in write_report(run)[2:]] == before


def test_figures_are_valid_and_have_a_text_alternative(page):
    figures = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert len(figures) > 6 * 5
    for figure in figures:
        root = ElementTree.fromstring(figure)
        assert root.get("aria-label") or root.get("aria-hidden") == "true"
        assert "nan" not in figure.lower().replace("finance", "")


def test_says_what_could_not_be_had_and_what_is_missing(tmp_path, make_run):
    failure = {
        "job": "scm_split1",
        "task": "scm",
        "method": "mixture",
        "seed": 0,
        "error": "Traceback\nValueError: <b>loss</b> is nan",
    }
    folder = make_run(tmp_path, tasks=("german", "scm"), splits=2, drop=[("scm", "uniform", 1)], failures=[failure])
    html, text = (path.read_text() for path in write_report(folder)[:2])
    assert "1 task could not be had" in html and "no network, and nba.csv is not in the cache" in html
    assert "1 cell is missing" in html and "scm · uniform · split 1 · seed 0 · sensitive keep" in html
    assert "&lt;b&gt;loss&lt;/b&gt; is nan" in html and "<b>loss</b>" not in html
    assert "UNAVAILABLE: nba" in text and "MISSING CELLS" in text and "FAILED: scm_split1: mixture (seed 0)" in text


def test_every_method_null_and_reason_is_written_out(page):
    for words in ("Constant predictor", "Result, λ = 0", "null 0.030", "n/e", "Hispanic", "not distinguishable from 0"):
        assert words in page
    for words in ("0123456789ab", "fairmoe bench made-up --task german", "routing disparity"):
        assert words in page


@pytest.mark.parametrize("splits", [1, 2])
def test_few_splits(tmp_path, make_run, splits):
    folder = make_run(tmp_path, tasks=("german",), splits=splits)
    report = summarise(read_results(folder))
    assert outline(render_page(report))
    verdicts = {c.verdict for c in report.scenarios[0].contrasts.values()}
    assert ("one split" in verdicts) == (splits == 1)


def test_methods_that_the_report_does_not_know_are_shown_by_their_id(tmp_path, make_run):
    folder = make_run(tmp_path, tasks=("german",), splits=2, methods=("utility", "constant"))
    tables = read_results(folder)
    for table in (tables.results, tables.groups, tables.provenance):
        table["method"] = table["method"].replace("utility", "my_method")
    report = summarise(tables)
    assert "my_method" in render_page(report)
    assert report.pairs == []


def test_a_run_that_failed_altogether_still_has_a_page(tmp_path, make_run):
    folder = make_run(tmp_path, tasks=("german",), splits=2, methods=("utility", "constant"))
    tables = read_results(folder)
    failed = tables.results.query("metric == 'final@1' and part == 'test'").copy()
    failed[["estimate", "low", "high", "null_p95"]] = float("nan")
    failed[["status", "reason", "role", "family"]] = ["failed", "out of memory", "", ""]
    empty = tables.groups.head(0), tables.routing.head(0), tables.provenance.head(0)
    page = render_page(summarise(tables.__class__(failed, *empty, tables.suite)))
    assert "out of memory" in page
