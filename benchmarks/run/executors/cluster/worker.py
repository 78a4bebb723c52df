"""What a worker of a cluster does: one unit, after a look at whether it may."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run.executors.cluster.error import ClusterError, StoreAwayError
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
        from benchmarks.run.executors.cluster.scratch import scratch
        from benchmarks.run.executors.cluster.stored_work import stored_work

        return stored_work(job, unit, scratch(place.sign), place.store, notify)
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


@dataclass(frozen=True)
class Report:
    """What a worker hands back of a unit.

    Attributes
    ----------
    node : str
        Where it ran.
    failures : tuple of Failure
        Cells that failed alone.
    error : str
        What all cells of the unit failed of; "": nothing.
    lost : str
        Why the unit is to be tried elsewhere; "": it ended.
    fatal : bool
        Whether the error ends the run.
    """

    node: str
    failures: tuple[Failure, ...] = ()
    error: str = ""
    lost: str = ""
    fatal: bool = False


def attempted(
    job: Job, unit: Unit, place: Place, notify: Notify, task: Callable[..., list[Failure]] = work, node: str = ""
) -> Report:
    """Run a unit; what goes wrong inside becomes part of the report."""
    from benchmarks.run.threads import limit_threads

    limit_threads()
    if unit.resources.gpus:
        from llm_experts.bases.memory import take_share_of_gpu

        take_share_of_gpu(unit.resources.gpus)
    try:
        return Report(node, tuple(task(job, unit, place, throttled(notify))))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except StoreAwayError as error:
        return Report(node, lost=str(error))
    except ClusterError as error:
        return Report(node, error=str(error), fatal=True)
    except BaseException:  # noqa: BLE001 - the boundary: one failed unit must not end the others, and is reported
        return Report(node, error=traceback.format_exc())
