"""A real browser for the pages: Debian's Chromium, driven by Playwright, without a network."""

import os
import shutil

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.methods.baselines import baseline_names
from reports.build import write_report
from reports.table import read_results, write_results
from tests.reports.conftest import BASELINES, GRAPH_METHODS, METHODS, TEXT, write_level_run, write_run

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic")
INSTALL = "Install it (apt-get install chromium) or name another one in FAIRMOE_CHROMIUM."
OWN = {"label": "Rule of thumb", "about": "mine", "family": "mine", "reference": "my file", "kind": "own",
       "reads": "tabular"}  # fmt: skip
LOST = {"nifty": ("timeout", "more than 600 s"), "fairgnn": ("failed", "out of memory at layer <2>")}


def chromium():
    """Path of the browser; the test fails with what to install where there is none."""
    named = os.environ.get("FAIRMOE_CHROMIUM")
    found = shutil.which(named or "chromium") or shutil.which("chromium", path="/usr/bin")
    if found is None:
        pytest.fail(f"There is no browser at {named or 'chromium'}. {INSTALL}")
    return found


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail("The package playwright is missing: run tox -e browser, or pip install --group browser.")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def big(tmp_path_factory):
    """49 methods on two tasks; one method timed out everywhere, another failed on one split."""
    assert set(BASELINES) - {"my_method"} <= set(baseline_names())
    folder = tmp_path_factory.mktemp("big")
    methods = (*METHODS, *GRAPH_METHODS, *BASELINES)
    write_run(folder, tasks=("german", "compas:race"), splits=3, methods=methods, infos={"my_method": OWN})
    lose(folder)
    write_report(folder)
    return folder / "leaderboard.html"


def lose(folder):
    """Take cells away and put the row of a failure in their place, as the runner does."""
    tables = read_results(folder)
    rows = tables.results
    gone = (rows["method"] == "nifty") | ((rows["method"] == "fairgnn") & (rows["split"] == 0))
    failed = rows[gone & (rows["metric"] == "final@1") & (rows["part"] == "test")].copy()
    failed[["estimate", "low", "high", "null_p95"]] = float("nan")
    failed["status"] = [LOST[m][0] for m in failed["method"]]
    failed["reason"] = [LOST[m][1] for m in failed["method"]]
    write_results(
        folder,
        results=[*rows[~gone].to_dict("records"), *failed.to_dict("records")],
        groups=tables.groups.to_dict("records"),
        routing=tables.routing.to_dict("records"),
        provenance=tables.provenance.to_dict("records"),
    )


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """Tabular and text methods."""
    folder = write_run(tmp_path_factory.mktemp("text"), tasks=("german",), splits=3, text=TEXT | {"tasks": ["german"]})
    write_report(folder)
    return folder / "leaderboard.html"


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """A bench that ran: two plain methods on two splits of the synthetic task."""
    folder = tmp_path_factory.mktemp("real")
    command = ["bench", "quick", "--task", "scm", "--splits", "2", "--seeds", "1", "--trials", "2", "--no-text"]
    for method in ("constant", "logistic_regression"):
        command += ["--method", method]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'runs.db'}")
        done = CliRunner().invoke(app, [*command, "--jobs", "1", "--output", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return folder / "run" / "leaderboard.html"


@pytest.fixture(scope="session")
def levels(tmp_path_factory):
    """Three tasks, six methods in two ways each, asked at every level."""
    folder = write_level_run(tmp_path_factory.mktemp("levels"))
    write_report(folder)
    return folder / "leaderboard.html"


class Visit:
    """A page, and what it did: messages of its console, errors, requests."""

    def __init__(self, page, path):
        self.page, self.path, self.said, self.asked = page, path, [], []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def go(self, anchor=""):
        self.page.goto("about:blank")
        self.page.goto(self.path.as_uri() + anchor)
        return self.page

    def strangers(self):
        """Requests for anything but the page itself; files that the page makes for a download are its own."""
        return [url for url in self.asked if not url.startswith((self.path.as_uri(), "about:blank", "data:", "blob:"))]


@pytest.fixture
def visit(browser):
    """``visit(path, width, **options)``: opens a page in a context of its own."""
    contexts = []

    def opened(path, width=1400, anchor="", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, **options)
        contexts.append(context)
        found = Visit(context.new_page(), path)
        found.go(anchor)
        return found

    yield opened
    for context in contexts:
        context.close()
