"""Where tasks come from: tasks of one data set are no independent evidence, so their source is the cluster.

``adult:sex`` and ``adult:race`` are the same people; four targets of one census are the same households. The run says
which tasks belong together (``suite.json: sources``); without that, tasks of one data set do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.caps import uncapped


def source_of(task: str, sources: Mapping[str, str]) -> str:
    """Source of a task: as the run says, else its data set (what stands before the colon of its name)."""
    return sources.get(task) or sources.get(uncapped(task)) or uncapped(task).split(":")[0]


def numbered(sources: Sequence[str]) -> tuple[int, ...]:
    """Sources as numbers 0 … G − 1, in the order in which they first appear."""
    place = {source: i for i, source in enumerate(dict.fromkeys(sources))}
    return tuple(place[source] for source in sources)
