"""How many splits stand behind a task."""

from reports.figures import svg
from reports.figures.figure import Figure


def splits(report, scenario):
    words = f"{len(scenario.splits)} splits of {scenario.name} & {report.suite['name']}"
    return svg.figure(100, 20, words, [svg.text(4, 14, words)])


FIGURE = Figure("Evidence <b>of</b> a task", "task", splits)
