"""Group names and reasons with marks of every medium, and rows that left: on the page, in markdown, CSV and LaTeX."""

import csv
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from reports.render.downloads import write_tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import read_results
from tests.reports import conftest

GROUPS = ("50% & $x_1$", "<script>alert(1)</script>", "A|B")
MORE = ("back\\slash {b}", "new\nline", 'say "hi", ok')
LEFT = {"german": {"no label": 3, "in no group of <b>": 1200}}


@pytest.fixture(scope="module")
def report(tmp_path_factory, request):
    patch = pytest.MonkeyPatch()
    request.addfinalizer(patch.undo)
    patch.setitem(conftest.TASKS, "german", GROUPS)
    patch.setitem(conftest.TASKS, "scm", MORE)
    methods = ("mixture", "result", "utility", "constant", "lightgbm")
    known = tuple(m for m in methods if m in conftest.ALL_METHODS)
    folder = tmp_path_factory.mktemp("names")
    gone = [{"task": "nba", "reason": "[/x] <i>no</i>\n| file"}]
    conftest.write_run(folder, ("german", "scm"), 2, known, left=LEFT, unavailable=gone, description="*a* <u>b</u>")
    return summarise(read_results(folder))


class Texts(HTMLParser):
    """Text of the body, and the tags that carry it; script and style are ours."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_has_no_tag_of_a_name(report):
    found = Texts(render_page(report))
    for name in (*GROUPS, *MORE):
        assert name in found.text
    assert sum(tag == "script" for tag, _ in found.tags) == render_page(report).count("</script>")
    assert not [tag for tag, _ in found.tags if tag in ("u", "alert")]
    assert "alert(1)</script>" not in re.sub(r"&lt;.*?&gt;", "", render_page(report))


def test_markdown_reads_as_the_names_are(report):
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(render_markdown(report))
    inner = [child for token in tokens for child in token.children or ()]
    assert not [
        t for t in [*tokens, *inner] if t.type.startswith("html") or t.type in ("link_open", "em_open", "image")
    ]
    text = "".join(t.content for t in inner)
    for name in (*GROUPS, *MORE):
        assert name.replace("\n", "↵") in text
    rows = [token.level for token in tokens if token.type == "tr_open"]
    assert len(rows) > 10
    width = 0
    for token in tokens:
        if token.type == "tr_open":
            cells = 0
        elif token.type in ("td_open", "th_open"):
            cells += 1
            width = max(width, cells)
        elif token.type == "thead_open":
            width = 0
        elif token.type == "tr_close":
            assert cells == width


def test_files_hold_the_names(report, tmp_path):
    paths = write_tables(report, tmp_path)
    smallest = set()
    for path in paths:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                smallest |= {row["smallest_group"] for row in csv.DictReader(file) if "smallest_group" in row}
        else:
            text = path.read_text(encoding="utf-8")
            bare = re.sub(r"\\[\\{}$&#_%]", "", text)
            assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
            assert "\n\n" not in text and "<script>" not in text
    assert smallest == {GROUPS[2], MORE[2]}


def test_rows_that_left_stand_on_the_page_and_in_markdown(report):
    page, text = Texts(render_page(report)).text, render_markdown(report)
    assert "3 rows of the data left the task: no label." in page
    assert "1\u202f200 rows of the data left the task: in no group of <b>." in page
    assert "3 rows of the data left the task: no label." in text
    assert page.count("left the task") == 2
