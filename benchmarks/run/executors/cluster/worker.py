"""What a worker of a cluster does: one unit, after a look at whether it may."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.executor import throttled

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify
    from benchmarks.run.units import Unit

SIGN = ".cluster_run"
"""In the folder of all jobs while a run lasts: a node that does not see it does not share the folder."""


@dataclass(frozen=True)
class Place:
    """Where a run's files are.

    Attributes
    ----------
    folder : Path
        Of all jobs, on the driver's machine; without a store all nodes share it.
    sign : str
        Of the run: what lies in the folder's ``SIGN``.
    store : str
        URL of a store; "": none.
    """

    folder: Path
    sign: str
    store: str = ""


def work(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """Run a unit on this node.

    Raises
    ------
    ClusterError
        If the node runs other code than the driver, or does not see the output folder.
    """
    from benchmarks.plan.code import computing_hash
    from benchmarks.run.units import run_unit

    if computing_hash() != job.code:
        raise ClusterError(
            f"The node {platform.node()} has another version of fairmoe than the machine that started the run, so its "
            "results would not be comparable. Install the same version on every node and run the same command again."
        )
    if place.store:
        from benchmarks.run.executors.cluster.stored_work import stored_work

        return stored_work(job, unit, place.sign, place.store, notify)
    look(place)
    return run_unit(job, unit, place.folder, notify)


def look(place: Place) -> None:
    """Refuse a node that does not see what the driver wrote."""
    path = place.folder / SIGN
    if not path.is_file() or path.read_text(encoding="utf-8") != place.sign:
        raise ClusterError(
            f"The node {platform.node()} does not see the output folder {place.folder.parent}. Results return through "
            "it: give --output a folder that all nodes share (NFS, Lustre) under the same path, or --store URL, and "
            "run the same command again."
        )


def attempted(
    job: Job, unit: Unit, place: Place, notify: Notify, task: Callable[..., list[Failure]] = work
) -> tuple[list[Failure], str, bool]:
    """What failed, the traceback that all cells of the unit share ("": none), and whether it ends the run."""
    from benchmarks.run.threads import limit_threads

    limit_threads()
    try:
        return task(job, unit, place, throttled(notify)), "", False
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except ClusterError as error:
        return [], str(error), True
    except BaseException:  # noqa: BLE001 - the boundary: one failed unit must not end the others, and is reported
        return [], traceback.format_exc(), False
