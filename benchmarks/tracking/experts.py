"""Trained language experts in MLflow: one flat run each, read from its folder after it is finished.

Training never calls the tracker: it leaves ``expert.json`` and ``history.csv``. A store that is down costs nothing;
what it does not have is sent later, by the next command or by ``fairmoe track experts FOLDER``.

===========================  ========================================================================================
name                         what it is
===========================  ========================================================================================
run name, tag ``name``       the expert's
tag ``fairmoe.kind``         ``expert``; ``fairmoe.expert``: sha256 of what was trained; ``fairmoe.code``
tags ``method``, ``kind``,   how it was trained, on what
``base``, ``seed``
params                       every setting; ``options.X`` of the method, ``adapter_options.X`` of the adapter
``train/X`` by step          ``epoch``, and means since the last evaluation: ``loss``, ``gradient`` (its norm), ``lr``,
                             figures of the method
``val/score`` by step        the task's own score of the checkpoint on validation items; ``val/logprob``: mean
                             log-probability of a token of their completions
``val/best_score``           that of the checkpoint that was kept; its step is ``val/best_step``
``usage/parameters``         numbers that trained; ``usage/bytes``, ``usage/seconds``, ``usage/steps``
dataset input                sha256 of the training items (of the validation items in its source), how many there are
===========================  ========================================================================================
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.saving.trained import Made, finished_experts, read_made
from benchmarks.tracking.mlflow_store import (
    WHOLE,
    Tracker,
    TrackingError,
    open_tracker,
    quiet,
    receipt_of,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric

EXPERIMENT = "fairmoe experts"
ADVICE = (
    "Experts stay where they are; start the server (or unset MLFLOW_TRACKING_URI) and send them with "
    "'fairmoe track experts FOLDER'."
)
SECTION = {"score": "val/score", "logprob": "val/logprob", "step": None}
"""Columns of ``history.csv`` with another name than ``train/COLUMN``; None: no metric."""


def send_experts(folder: Path) -> str:
    """Send every finished expert at or below a folder that the store does not have; what went wrong, or "".

    Nothing that was trained can be lost by it: an expert without a receipt is sent by the next call.
    """
    try:
        left = unsent_experts(folder)
        if left:
            send_all_experts(open_tracker(ADVICE, EXPERIMENT), left)
    except (TrackingError, OSError, ValueError) as error:  # a receipt may be unreadable, too
        return str(error)
    return ""


def unsent_experts(folder: Path) -> list[Path]:
    """Folders of finished experts without a receipt of the present store."""
    uri = tracking_uri()
    return [place for place in finished_experts(folder) if not _known(place, uri)]


def _known(place: Path, uri: str) -> bool:
    """Whether the store has the expert as it is now: one that was trained again since is another one."""
    return bool(receipt_of(place, uri, expert=read_made(place).identity))


def send_all_experts(tracker: Tracker, places: Sequence[Path]) -> None:
    """Send experts until one fails.

    Raises
    ------
    TrackingError
        If the store breaks half-way; what was sent has its receipt.
    """
    done = 0
    try:
        for place in places:
            send_expert(tracker, place)
            done += 1
    except Exception as error:  # drivers and servers raise what they like
        raise TrackingError(
            f"The tracking store {tracker.complaint(error)}; {len(places) - done} experts are not sent. {ADVICE}"
        ) from error


def send_expert(tracker: Tracker, place: Path) -> str:
    """Send one expert, once; return its run id and leave a receipt in its folder."""
    made = read_made(place)
    with quiet(), tracker.alone():
        run_id = _whole(tracker, made) or _create(tracker, made)
    tracker.leave_receipt(place, run_id, expert=made.identity)
    return run_id


def _whole(tracker: Tracker, made: Made) -> str:
    """Run of an expert that the store has; runs that a broken sending left half-way are deleted."""
    found = ""
    for run in tracker.client.search_runs([tracker.experiment], f"tags.`fairmoe.expert` = '{made.identity}'"):
        if run.info.status == "FINISHED" and WHOLE in run.data.tags:
            found = str(run.info.run_id)
        else:
            tracker.client.delete_run(run.info.run_id)
    return found


def _create(tracker: Tracker, made: Made) -> str:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    client = tracker.client
    run_id = str(client.create_run(tracker.experiment, tags=_tags(made), run_name=made.name).info.run_id)
    facts = made.facts
    dataset = Dataset(
        name=made.name, digest=made.data_sha256[:36], source_type="fairmoe items", source=json.dumps(facts["data"]),
        profile=json.dumps(facts["items"]),
    )  # fmt: skip
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    tracker.log_numbers(run_id, list(_metrics(made)), made.params, whole=True)
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _tags(made: Made) -> dict[str, str]:
    facts, settings = made.facts, made.facts["settings"]
    return {
        "name": made.name, "method": facts["method"], "kind": facts["kind"], "base": facts["base"]["id"],
        "seed": str(settings["seed"]), "fairmoe.kind": "expert", "fairmoe.expert": made.identity,
        "fairmoe.code": facts["code"], **({"stopped": facts["stopped"]} if facts["stopped"] else {}),
    }  # fmt: skip


def _metrics(made: Made) -> Iterator[Metric]:
    """Every finite number of the history and of the summary; others are never sent."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for name, step, value in _numbers(made):
        if value is not None and math.isfinite(value):
            yield Metric(name, float(value), now, step)


def _numbers(made: Made) -> Iterator[tuple[str, int, Any]]:
    for row in made.history:
        step = int(row["step"])
        for column, value in row.items():
            name = SECTION.get(column, f"train/{column}")
            if name is not None:
                yield name, step, value
    facts = made.facts
    yield "val/best_score", facts["best_step"], facts["score"]
    yield "val/best_step", facts["best_step"], facts["best_step"]
    for name in ("parameters", "bytes", "seconds", "steps"):
        yield f"usage/{name}", 0, facts[name]
