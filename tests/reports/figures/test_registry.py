"""A figure is one file: worked example with a plug-in folder."""

import sys

import pytest

from foundation.discovery import PLUGINS
from reports.figures import registry
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import ReportError, read_results
from tests.examples import example

SPLITS = example("reports/figures/splits_behind.py")
WHOLE = """
from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure


def whole(report):
    return svg.figure(10, 10, "all of it", []) if len(report.scenarios) > 1 else Markup("")


FIGURE = Figure("The run", "SECTION", whole)
"""


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Writes a figure of a plug-in folder by name and source; what was imported is forgotten afterwards."""
    room = tmp_path / "plugins" / "reports" / "figures"
    room.mkdir(parents=True)
    monkeypatch.setenv(PLUGINS, str(tmp_path / "plugins"))
    registry.figures()
    package, known = sys.modules["reports.figures"], set(sys.modules)
    before = [place for place in package.__path__ if place != str(room)]
    yield lambda name, source: (room / f"{name}.py").write_text(source)
    package.__path__[:] = before
    for name in set(sys.modules) - known:
        if name.startswith("reports.figures."):
            del sys.modules[name], package.__dict__[name.rpartition(".")[2]]


def test_built_in_figures_are_placed_by_the_page():
    found = registry.figures()
    assert {"scatter", "forest", "critical_difference", "budget", "level_lines"} <= set(found)
    assert all(figure.placed and figure.title for figure in found.values())


def test_a_figure_of_a_plugin_folder_is_on_every_task_of_the_page(plugins, make_run, tmp_path):
    plugins("splits_behind", SPLITS)
    report = summarise(read_results(make_run(tmp_path / "run", tasks=("german", "scm"), splits=2)))
    page = render_page(report)
    assert page.count('data-figure="splits_behind"') == 2
    assert "2 splits of scm &amp; made-up" in page
    assert "<b>Evidence &lt;b&gt;of&lt;/b&gt; a task</b>" in page
    german = page[page.index('id="task-german"') : page.index('id="task-scm"')]
    assert german.count('data-figure="splits_behind"') == 1


@pytest.mark.parametrize("section", ["answer", "levels", "ranking"])
def test_a_figure_of_the_whole_run_stands_in_its_section(plugins, make_run, tmp_path, section):
    plugins(f"whole_{section}", WHOLE.replace("SECTION", section))
    page = render_page(summarise(read_results(make_run(tmp_path / "run", tasks=("german", "scm"), splits=1))))
    own = page[page.index(f'<section id="{section}"') :]
    assert 'aria-label="all of it"' in own[: own.index("</section>")]
    alone = render_page(summarise(read_results(make_run(tmp_path / "one", tasks=("german",), splits=1))))
    assert "data-figure" not in alone  # nothing drawn, nothing shown


def test_a_section_that_pages_do_not_have_is_refused(plugins):
    plugins("nowhere", WHOLE.replace("SECTION", "cellar"))
    with pytest.raises(ReportError, match="The figure nowhere stands in the section 'cellar'"):
        registry.figures()
