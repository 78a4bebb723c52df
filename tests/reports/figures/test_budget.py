import pandas as pd

from reports.figures.budget import curve_figure
from reports.stats.budget import budget
from tests.reports.levels.level_fixtures import made_trials


def test_curves_have_words_and_no_holes(report):
    found = budget(pd.DataFrame(made_trials(("german",), ("utility", "result"), 3)), report.methods, report.scenarios)
    label = str(curve_figure("german", found.curves["german"]))
    assert "Expected test utility of the best of k trials on german" in label and "nan" not in label
