"""A discovery in MLflow: a run for the whole, a child run for each expert, read from its folder.

The run never calls the tracker while it works: it leaves result files. A store that is down costs nothing; what it does
not have is sent by the next call, or by ``fairmoe track discovery FOLDER``.

===========================  ========================================================================================
name                         what it is
===========================  ========================================================================================
run name, tag ``name``       the folder's
tag ``fairmoe.kind``         ``discovery``; of a child run ``discovery expert``
tag ``fairmoe.discovery``    sha256 of all result files: a run that went on since is another one; ``fairmoe.code``
tags ``base``, ``base_hash``, ``settings_hash``, ``seed``, ``expert_01`` … (which expert has the slot)
params                       every setting; ``table.name`` of a table
metrics                      names of :mod:`benchmarks.discovering.names`; a child run has those of its expert without
                             the slot, so that experts share the axes of a chart
artifacts                    ``discovery.json``, the ``result.json`` of every step, the page
===========================  ========================================================================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.discovering.names import METRICS
from benchmarks.discovering.numbers.all import points_of
from benchmarks.discovering.numbers.point import Parts, Point
from benchmarks.plan.environment import code_version
from benchmarks.tracking.mlflow_store import (
    WHOLE,
    Tracker,
    TrackingError,
    open_tracker,
    quiet,
    receipt_of,
    tracking_uri,
)
from foundation.hashing import hash_file, hash_json
from reports.discovery.page import PAGE, is_discovery
from reports.discovery.reading import STEPS, TOP, Discovery, read_discovery, rows, text, texts

if TYPE_CHECKING:
    from mlflow.entities import Metric

EXPERIMENT = "fairmoe discoveries"
ADVICE = (
    "Results stay in the folder; start the server (or unset MLFLOW_TRACKING_URI, or give another FAIRMOE_HOME) and "
    "send them with 'fairmoe track discovery FOLDER'."
)
TAG = "fairmoe.discovery"


@dataclass(frozen=True)
class _Sending:
    """A discovery folder as it is sent."""

    folder: Path
    found: Discovery
    identity: str
    points: Sequence[Point]
    parts: Parts

    def tags(self) -> dict[str, str]:
        """Fixed tags; those without a value are left out."""
        top = self.found.top
        tags = {
            "name": self.folder.name, "fairmoe.kind": "discovery", TAG: self.identity, "fairmoe.code": code_version(),
            "base": text(top, "base", "id"), "base_hash": text(top, "base", "hash"),
            "settings_hash": text(top, "settings_hash"), "seed": text(top, "settings", "seed"),
            **{slot: name for name, slot in self.parts.experts.items()},
        }  # fmt: skip
        return {key: value for key, value in tags.items() if value}

    def child_tags(self, name: str, parent: str) -> dict[str, str]:
        """Tags of an expert's run."""
        planned = [row for row in rows(self.found.step("plan"), "experts") if text(row, "name") == name]
        return {
            "mlflow.parentRunId": parent, "name": name, "fairmoe.kind": "discovery expert", TAG: self.identity,
            "slot": self.parts.experts[name], "domains": ", ".join(texts(planned[0], "domains")) if planned else "",
        }  # fmt: skip


def send_discovery(folder: Path) -> str:
    """Send a discovery that the store does not have as it is now; what went wrong, or "".

    Nothing can be lost by it: a folder without a receipt is sent by the next call.
    """
    try:
        if not sent(folder):
            send(open_tracker(ADVICE, EXPERIMENT), folder)
    except (TrackingError, OSError, ValueError) as error:  # a receipt may be unreadable, too
        return str(error)
    return ""


def sent(folder: Path) -> bool:
    """Whether the present store has the discovery as it is now, by its receipt."""
    return bool(receipt_of(folder, tracking_uri(), discovery=identity_of(folder)))


def identity_of(folder: Path) -> str:
    """sha256 of the bytes of all result files."""
    return hash_json({name: hash_file(folder / name) for name in _files(folder)})


def _files(folder: Path) -> list[str]:
    return [name for name in (TOP, *(f"{place}/result.json" for place in STEPS)) if (folder / name).is_file()]


def send(tracker: Tracker, folder: Path) -> str:
    """Send a discovery, once; return the id of its run and leave a receipt in the folder.

    Raises
    ------
    TrackingError
        If the folder holds no discovery, or the store breaks half-way; the next sending begins anew.
    """
    if not is_discovery(folder):
        raise TrackingError(f"{folder} holds no results of a discovery. Give the output folder of 'fairmoe discover'.")
    found = read_discovery(folder)
    sending = _Sending(folder, found, identity_of(folder), points_of(found), Parts(found))
    try:
        with quiet(), tracker.alone():
            run_id = _whole(tracker, sending.identity) or _create(tracker, sending)
    except Exception as error:  # drivers and servers raise what they like
        raise TrackingError(f"The tracking store {tracker.complaint(error)}. {ADVICE}") from error
    tracker.leave_receipt(folder, run_id, discovery=sending.identity)
    return run_id


def _whole(tracker: Tracker, identity: str) -> str:
    """Run of a discovery that the store has; runs that a broken sending left half-way are deleted."""
    runs = list(tracker.client.search_runs([tracker.experiment], f"tags.`{TAG}` = '{identity}'"))
    whole = [r for r in runs if r.data.tags.get("fairmoe.kind") == "discovery" and WHOLE in r.data.tags]
    if whole:
        return str(whole[0].info.run_id)
    for run in runs:
        tracker.client.delete_run(run.info.run_id)
    return ""


def _create(tracker: Tracker, sending: _Sending) -> str:
    """The whole, then its experts; it counts as whole when all of them are there."""
    from mlflow.entities import RunTag

    client = tracker.client
    tags = sending.tags()
    run_id = str(client.create_run(tracker.experiment, tags=tags, run_name=sending.folder.name).info.run_id)
    points = [(one.name, one) for one in sending.points]
    tracker.log_numbers(run_id, list(_metrics(points)), _params(sending.found))
    for name in [*_files(sending.folder), PAGE]:
        if (sending.folder / name).is_file():
            client.log_artifact(run_id, str(sending.folder / name), str(Path(name).parent).removeprefix(".") or None)
    for name, slot in sending.parts.experts.items():
        mine = [(METRICS[one.id].child().format(**_rest(one)), one) for one in sending.points if one.expert == slot]
        child = str(
            client.create_run(tracker.experiment, tags=sending.child_tags(name, run_id), run_name=name).info.run_id
        )
        tracker.log_numbers(child, list(_metrics(mine)), {})
        client.set_terminated(child, "FINISHED")
    client.log_batch(run_id, tags=[RunTag(WHOLE, "yes")])
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _rest(one: Point) -> dict[str, str]:
    """Parts of a full name but the slot."""
    found = METRICS[one.id].read(one.name)
    return {part: value for part, value in found.items() if part != "expert"}


def _metrics(points: Sequence[tuple[str, Point]]) -> Iterator[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for name, one in points:
        yield Metric(name, one.value, now, one.step)


def _params(found: Discovery) -> dict[str, str]:
    """Settings by name; those of tables are ``table.name``."""
    settings: Any = found.top.get("settings")
    params: dict[str, str] = {}
    for name, value in settings.items() if isinstance(settings, Mapping) else ():
        inner = value if isinstance(value, Mapping) else {"": value}
        params.update({_param(name, key): text({"x": item}, "x") or json.dumps(item) for key, item in inner.items()})
    return params


def _param(name: str, key: str) -> str:
    """A name that MLflow takes."""
    whole = f"{name}.{key}" if key else name
    return "".join(sign if sign.isalnum() or sign in "_-. " else "-" for sign in whole)[:250]
