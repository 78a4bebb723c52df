"""A node's folder of a run whose output folder it does not share, and what earlier runs left of theirs.

It is ``cluster/<machine>/<run>/<node>`` of the user's folder, which machines may share. The driver lets every node
remove its own when a run has ended; one that was killed cannot, and the next run that comes to the machine does it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.run.executors.cluster.connection import ray_module
from foundation.folder_lock import is_still
from foundation.home import home

HELD = ".held"
"""In a node's folder: locked by every process that works there, for as long as that lives."""
UNUSED = 24 * 3600.0
"""Seconds after which a run has ended that nobody can be asked about."""
NAMESPACE = "fairmoe"
"""Of the names of runs among a cluster's actors."""
ASIDE = ".tmp"
"""Ending of a folder that is being removed."""
HERE = "here"
"""Name of a node without Ray."""
SECONDS = 60.0
"""How long nodes have for removing what a run left on them."""
_HOLDS: dict[Path, IO[bytes]] = {}
"""Locked files of this process."""


def run_name(sign: str) -> str:
    """Name of the actor by which a cluster knows that a run goes on: it ends with the run's driver."""
    return f"run-{sign}"


def scratch(sign: str) -> Path:
    """Folder of this node for a run, held by this process; when it is made, what ended runs left is removed."""
    ray = ray_module()
    if not ray.is_initialized():
        return _held(_of_run(sign) / HERE)
    folder = _of_run(sign) / ray.get_runtime_context().get_node_id()
    if not folder.exists():
        named: Iterable[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
        going_on = {each["name"] for each in named if each["namespace"] == NAMESPACE}
        clear_ended(sign, [node["NodeID"] for node in ray.nodes()], going_on)
    return _held(folder)


def clear_scratch(sign: str) -> None:
    """Remove a run's copies from this machine."""
    shutil.rmtree(_of_run(sign), ignore_errors=True)


def clear_nodes(ray: Any, sign: str, nodes: Collection[str]) -> None:
    """Let nodes remove a run's copies; one that is gone, or has no time for it, leaves them to the next run there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    clear = ray.remote(num_cpus=0, max_retries=0)(clear_scratch)
    asked = [
        clear.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(sign)
        for node in sorted(nodes)
    ]
    if asked:
        ray.wait(asked, num_returns=len(asked), timeout=SECONDS)


def clear_ended(sign: str, nodes: Collection[str], going_on: Collection[str]) -> None:
    """Remove this machine's folders of ended runs.

    A folder goes if no process works in it, and its run is one of this cluster that does not go on, or nobody has come
    to it for a day: another cluster cannot be asked.

    Parameters
    ----------
    sign : str
        Of a run that is left alone.
    nodes : collection of str
        All nodes of the cluster, with those that are gone.
    going_on : collection of str
        Names of its runs (:func:`run_name`).
    """
    for folder in _of_run(sign).parent.glob("*/*"):
        run, known = folder.parent.name, folder.name in nodes
        if folder.suffix == ASIDE:
            shutil.rmtree(folder, ignore_errors=True)
        elif run != sign and not (known and run_name(run) in going_on):
            _clear(folder, 0.0 if known else UNUSED)


def _clear(folder: Path, unused: float) -> None:
    """Remove a folder in which no process works, and to which none has come for some seconds."""
    try:
        file = (folder / HELD).open("rb")
    except FileNotFoundError:  # another process was faster
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody works there, or the file system has no locks
            return
        if is_still(file, folder / HELD) and time.time() - os.fstat(file.fileno()).st_mtime >= unused:
            aside = folder.with_name(f"{uuid.uuid4().hex}{ASIDE}")
            folder.rename(aside)  # whoever comes meanwhile begins anew
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):  # other nodes of the machine have theirs beside it
                folder.parent.rmdir()


def _held(folder: Path) -> Path:
    """A folder, made if absent, that nobody removes until this process has ended."""
    path = folder / HELD
    while not (folder in _HOLDS and is_still(_HOLDS[folder], path)):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("ab")
        except FileNotFoundError:  # it was just removed
            continue
        with suppress(OSError):  # a file system without locks, where nothing is removed either
            fcntl.flock(file, fcntl.LOCK_SH)
        if old := _HOLDS.pop(folder, None):
            old.close()
        _HOLDS[folder] = file
        atexit.register(file.close)
    os.utime(path)
    return folder


def _of_run(sign: str) -> Path:
    return home() / "cluster" / re.sub(r"[^A-Za-z0-9_.-]+", "-", platform.node() or HERE) / sign
