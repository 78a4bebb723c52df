"""The leaderboard as a browser shows it: on a desktop, on a phone, on paper, and without a script."""

import csv
import io
import re

import pytest

from reports.table import read_results

pytestmark = pytest.mark.browser

BOARD = "#task-german [aria-label='Methods on german'] table"


@pytest.mark.parametrize("width", [360, 500, 1400])
@pytest.mark.parametrize("which", ["big", "text", "real", "levels"])
def test_is_quiet_asks_for_nothing_and_fits_the_width(request, visit, which, width):
    found = visit(request.getfixturevalue(which), width)
    assert found.said == []
    assert found.strangers() == []
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    found.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def numbers(page, column):
    """Values of a column of the first board, as they stand; None for cells without a number."""
    script = "([s, c]) => [...document.querySelector(s).tBodies].flatMap((b) => [...b.rows])"
    script += ".filter((r) => !r.matches('.section')).map((r) => r.cells[c].dataset.sort)"
    return [float(v) if v else None for v in page.evaluate(script, [BOARD, column])]


def test_sorting_orders_says_so_and_survives_a_reload(visit, big):
    found = visit(big)
    head = found.page.locator(f"{BOARD} thead th").nth(1)
    before = numbers(found.page, 1)
    for way, turned in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == way
        values = numbers(found.page, 1)
        known = [v for v in values if v is not None]
        assert known == sorted(known, reverse=turned)
        assert values[len(known) :] == [None] * (len(values) - len(known))  # what has no number stays last
        assert sorted(known) == sorted(v for v in before if v is not None)
    found.page.reload()
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(found.page, 1) == values
    found.page.locator(f"{BOARD} thead th").first.locator("button").click()
    assert numbers(found.page, 1) == before  # by method: every row is back in its part
    assert found.said == []


def rows(page, name):
    return page.locator(f"{BOARD} tbody tr", has=page.locator("th .method", has_text=re.compile(rf"\b{name}$")))


def test_filters_hide_rows_and_survive_a_reload(visit, big):
    page = visit(big).page
    assert rows(page, "LightGBM").is_visible() and rows(page, "GCN utility expert").is_visible()
    assert rows(page, "GIN utility expert").is_hidden()  # secondary
    page.check("#secondary")
    assert rows(page, "GIN utility expert").is_visible()
    page.uncheck("#show-graph")
    page.uncheck("#kind-baseline")
    for name in ("LightGBM", "GIN utility expert", "GCN utility expert"):
        assert rows(page, name).is_hidden()
    page.fill("#search", "expert")
    page.select_option("#filter", "task-german")
    for _ in range(2):
        assert rows(page, "Result expert").is_visible()
        assert rows(page, "Static weights").is_hidden() and rows(page, "LightGBM").is_hidden()
        assert page.locator("#task-german").is_visible() and page.locator("#task-compas-race").is_hidden()
        assert re.match(r"\d+ of 49 methods shown", page.inner_text("#shown"))
        page.reload()
    page.click("#reset")
    assert rows(page, "GIN utility expert").is_visible() and page.locator("#task-compas-race").is_visible()
    assert page.inner_text("#shown") == "49 of 49 methods shown"


def test_a_link_keeps_the_filter_and_shows_a_hidden_task(visit, big):
    page = visit(big, anchor="#task-german~q=lightgbm&task=task-german").page
    assert rows(page, "LightGBM").is_visible() and rows(page, "Mixture").is_hidden()
    page.click("nav a[href='#task-compas-race']")
    page.wait_for_function("location.hash.startsWith('#task-compas-race~')")
    assert page.locator("#task-compas-race").is_visible() and "q=lightgbm" in page.url


def board_download(page, which):
    line = page.locator("#task-german .scroll[aria-label='Methods on german'] + .take")
    with page.expect_download() as waiting:
        line.get_by_text(which, exact=True).click()
    assert waiting.value.suggested_filename.startswith("made-up-")
    return waiting.value.path().read_text(encoding="utf-8")


def test_csv_of_a_table_reads_back_to_the_numbers(visit, big):
    found = visit(big)
    records = list(csv.DictReader(io.StringIO(board_download(found.page, "CSV"))))
    assert len(records) == 49
    results = read_results(big.parent).results.query("task == 'german' and part == 'test' and method == 'lightgbm'")
    row = next(r for r in records if r["Method"].endswith("LightGBM"))
    for head, metric in (("utility higher ▲", "utility@1"), ("ACC higher ▲", "acc@1")):
        assert float(row[head]) == pytest.approx(results.query(f"metric == '{metric}'")["estimate"].mean(), rel=1e-12)
    lost = next(r for r in records if "NIFTY" in r["Method"])
    assert lost["utility higher ▲"] == "" and lost["utility higher ▲ (as shown)"] == "timeout"
    assert found.said == [] and found.strangers() == []


def test_latex_of_every_table_is_well_formed(visit, big):
    found = visit(big)
    made = []
    found.page.expose_function("keep", lambda text: made.append(text))  # playwright marks what it is given
    found.page.evaluate(
        """async () => {
          URL.createObjectURL = (blob) => { window.last = blob; return "data:,"; };
          HTMLAnchorElement.prototype.click = () => {};
          for (const b of document.querySelectorAll(".take button:last-child")) {
            b.click();
            await window.keep(await window.last.text());
          }
        }"""
    )
    assert len(made) == found.page.locator("table").count() > 20
    for text in made:
        assert_latex(text)


def assert_latex(text):
    bare = re.sub(r"\\[\\{}$&#_%]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not set(bare) & set("#%_")
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table"),
    ]  # fmt: skip
    columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", text).group(1))
    body = text[text.index("\\toprule") : text.index("\\bottomrule")].splitlines()
    for line in body:
        if line.endswith(r" \\"):
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
    assert "hash ffffffffffff" in text


def test_cells_that_were_not_computed_say_why_and_have_no_number(visit, big):
    page = visit(big).page
    cells = rows(page, "NIFTY").locator("td").all_inner_texts()
    assert cells[0] == "timeout" and not any(re.search(r"\d\.\d", c) for c in cells[:12])
    note = page.locator("#task-german .notes.lost").inner_text()
    assert "NIFTY: ran out of time on 3 of 3 splits. more than 600 s" in note
    assert "FairGNN: failed on 1 of 3 splits. out of memory at layer <2>" in note
    assert "2/3 splits" in rows(page, "FairGNN").inner_text()


@pytest.mark.parametrize("which", ["big", "text"])
def test_figures_have_a_text_alternative_and_controls_a_name(request, visit, which):
    page = visit(request.getfixturevalue(which)).page
    for parts, unnamed in (
        ("svg", "!part.ariaLabel && part.ariaHidden !== 'true'"),
        ("button", "!(part.ariaLabel || part.textContent.trim())"),
        (".scroll[tabindex]", "!part.ariaLabel"),
        ("input, select", "!part.labels.length"),
    ):
        script = f"[...document.querySelectorAll('{parts}')].filter((part) => {unnamed}).length"
        assert page.evaluate(script) == 0, parts


def test_links_lead_somewhere_and_the_focus_goes_from_top_to_bottom(visit, big):
    page = visit(big).page
    targets = page.evaluate("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
    known = page.evaluate("[...document.querySelectorAll('[id]')].map((part) => '#' + part.id)")
    assert set(targets) <= set(known) and len(targets) > 5
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    order = []
    for _ in range(14):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.getBoundingClientRect().top + scrollY"))
    assert order == sorted(order)


def test_paper_shows_what_is_folded_and_no_controls(visit, big):
    page = visit(big).page
    unfolded = page.locator("main details[open]").count()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('main section:not(#provenance) details:not([open])').length") == 0
    assert page.locator("#filters").is_hidden() and page.locator(".take").first.is_hidden()
    assert rows(page, "GIN utility expert").is_visible()  # paper has no box to tick
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details[open]").count() == unfolded


def test_works_without_a_script(visit, big):
    page = visit(big, java_script_enabled=False).page
    assert rows(page, "LightGBM").is_visible() and page.locator("#search").is_hidden()
    page.uncheck("#kind-baseline")
    assert rows(page, "LightGBM").is_hidden() and rows(page, "Mixture").is_visible()
    page.check("#secondary")
    assert rows(page, "GIN utility expert").is_visible()
    fold = page.locator("#task-german details").first
    fold.locator("summary").first.click()
    assert fold.locator("svg, table").first.is_visible()


def test_text_is_dark_on_white(visit, big):
    page = visit(big, color_scheme="dark").page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 26, 26)"


def shown_rows(page, id):
    """Texts of the rows of a table, cell by cell."""
    script = "(id) => [...document.getElementById(id).tBodies[0].rows].map((r) => [...r.cells].map((c) => c.innerText))"
    return page.evaluate(script, id)


def test_without_a_script_the_page_has_the_default_answer(visit, levels):
    with_script = visit(levels).page
    without = visit(levels, java_script_enabled=False).page
    for place in ("#say-name", "#say-asked", "#say-reaches", "#say-sure", "#say-costs", "#say-warning", "#say-open"):
        assert without.inner_text(place) == with_script.inner_text(place), place
    assert without.locator("#ask").is_hidden() and with_script.locator("#ask").is_visible()
    for id in ("answers", "grid"):  # what the script writes is what stood there
        rows = without.locator(f"#{id} tbody tr").all_inner_texts()
        assert [re.sub(r"\s+", " ", row) for row in rows] == [
            re.sub(r"\s+", " ", row) for row in with_script.locator(f"#{id} tbody tr").all_inner_texts()
        ]


def test_the_controls_ask_another_question_and_a_link_keeps_it(visit, levels):
    text = (levels.parent / "tables" / "answer.csv").read_text(encoding="utf-8")
    records = list(csv.DictReader(io.StringIO(text)))
    found = visit(levels)
    page = found.page
    page.select_option("#ask-level", "0.01")
    page.select_option("#ask-task", label="german")
    own = [r for r in records if (r["level"], r["task"], r["stands_for_method"]) == ("0.01", "german", "1")]
    for _ in range(2):
        rows = shown_rows(page, "answers")
        assert len(rows) == len(own)
        for row, record in zip(rows, own, strict=True):
            assert row[1].split("\n")[0] == f"{float(record['utility']):.3f}"
            assert ("★" in row[0]) == (record["mark"] == "best")
        assert "≤ 0.01, on german" in page.inner_text("#say-asked")
        assert "--task german" in page.inner_text("#say-command") and "--max-gap 0.01" in page.inner_text(
            "#say-command"
        )
        assert "ask=" in page.url
        page.reload()
    assert found.said == []


def test_every_way_of_every_method_can_be_shown(visit, levels):
    page = visit(levels).page
    before = len(shown_rows(page, "answers"))
    page.get_by_label("every way of every method").check()
    assert len(shown_rows(page, "answers")) == 2 * before  # plain and with thresholds
    page.reload()
    assert len(shown_rows(page, "answers")) == 2 * before
    page.get_by_label("every way of every method").uncheck()
    assert len(shown_rows(page, "answers")) == before


def test_the_order_of_the_answer_stays_when_the_question_changes(visit, levels):
    page = visit(levels).page
    head = page.locator("#answers thead th", has_text="Utility")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    for level in ("0.02", "any"):
        page.select_option("#ask-level", level)
        values = [float(row[1].split("\n")[0]) for row in shown_rows(page, "answers")]
        assert values == sorted(values, reverse=True) and head.get_attribute("aria-sort") == "descending"


def test_the_matrix_follows_the_question(visit, levels):
    page = visit(levels).page
    first = shown_rows(page, "grid")
    page.select_option("#ask-level", "any")
    second = shown_rows(page, "grid")
    assert [row[0] for row in first] == [row[0] for row in second] == ["all tasks", "german", "scm", "adult:sex"]
    assert first != second and all("✕" not in cell for row in second for cell in row)
    assert all(sum("★" in cell for cell in row) == 1 for row in second)


def test_a_name_leads_to_parameters_and_commands(visit, levels):
    page = visit(levels).page
    page.locator("#answers tbody a").first.click()
    opened = page.locator("#methods details[open]")
    assert opened.count() == 1 and opened.get_by_text("command 1", exact=True).first.is_visible()


@pytest.mark.parametrize("width", [390, 1400])
def test_the_first_screen_answers(visit, levels, width):
    page = visit(levels, width).page
    for place in ("#say-name", "#say-reaches", "#say-sure", "#say-costs"):
        box = page.locator(place).bounding_box()
        assert page.inner_text(place) and box["y"] + box["height"] <= 900, place
    assert page.evaluate("document.documentElement.scrollWidth") <= width
