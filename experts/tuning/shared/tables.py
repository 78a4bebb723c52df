"""Rows of a study in a database: Optuna's own tables, and one beside them for what Optuna has no place for.

Optuna writes a trial value by value, each in a transaction: hundreds of requests for a batch. Here a batch is written
by one statement per table and one transaction. Any Optuna tool reads what is written (a test compares it with what
Optuna itself writes); the tables are those of Optuna's models, whose version Optuna checks when a storage is opened.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine

from experts.tuning.trial_store import Row

STUDIES = models.StudyModel.__table__
TRIALS = models.TrialModel.__table__
PARAMS = models.TrialParamModel.__table__
VALUES = models.TrialValueModel.__table__
STEPS = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES = models.TrialSystemAttributeModel.__table__
HEARTBEATS = models.TrialHeartbeatModel.__table__

ATTEMPTS = sql.Table(
    "fairmoe_attempts",
    sql.MetaData(),
    sql.Column("trial_id", sql.ForeignKey(TRIALS.c.trial_id, ondelete="CASCADE"), primary_key=True),
    sql.Column("study_id", sql.Integer, nullable=False, index=True),
    sql.Column("place", sql.Integer, nullable=False),
    sql.Column("attempt", sql.Integer, nullable=False),
    sql.Column("driver", sql.String(64), nullable=False),
    sql.Column("params", sql.Text, nullable=False),
    sql.Column("row", sql.Text),
    sql.Column("weights", sql.LargeBinary(2**32 - 1)),
    sql.UniqueConstraint("study_id", "place", "attempt"),
)
"""One row per trial of Optuna's: which of our trials it is (``place``), the how many-eth attempt at it, by whom.

``row`` is the finished trial as JSON, ``weights`` its tensors as safetensors.
"""


@dataclass(frozen=True)
class Attempt:
    """An attempt at a trial.

    Attributes
    ----------
    trial_id, study_id, number : int
        Of Optuna's.
    place : int
        Number of the trial in the study, as results tell it; Optuna numbers attempts.
    attempt : int
        Counted from 0.
    driver : str
        Who makes it.
    params : dict
    row : dict or None
        The finished trial.
    state : TrialState
    """

    trial_id: int
    study_id: int
    number: int
    place: int
    attempt: int
    driver: str
    params: dict[str, Any]
    row: Row | None
    state: TrialState


@dataclass(frozen=True)
class Finished:
    """How an attempt ended: Optuna's record of it, our row, its weights as safetensors."""

    trial_id: int
    frozen: FrozenTrial
    row: Row
    weights: bytes


def create_tables(engine: Engine) -> None:
    """Make the table of attempts, if absent."""
    ATTEMPTS.metadata.create_all(engine)


def lock_studies(connection: Connection, study_ids: Collection[int]) -> None:
    """Until the transaction ends no other driver asks or tells trials of these studies."""
    wanted = sql.select(STUDIES.c.study_id).where(STUDIES.c.study_id.in_(study_ids)).order_by(STUDIES.c.study_id)
    connection.execute(wanted.with_for_update()).all()


def read_attempts(connection: Connection, study_ids: Collection[int]) -> list[Attempt]:
    """All attempts of some studies, by study, place and attempt; without weights."""
    columns = [column for column in ATTEMPTS.c if column.name != "weights"]
    query = sql.select(*columns, TRIALS.c.number, TRIALS.c.state).join(TRIALS, TRIALS.c.trial_id == ATTEMPTS.c.trial_id)
    query = query.where(ATTEMPTS.c.study_id.in_(study_ids))
    ordered = query.order_by(ATTEMPTS.c.study_id, ATTEMPTS.c.place, ATTEMPTS.c.attempt)
    return [
        Attempt(
            found.trial_id, found.study_id, found.number, found.place, found.attempt, found.driver,
            json.loads(found.params), None if found.row is None else json.loads(found.row), found.state,
        )
        for found in connection.execute(ordered)
    ]  # fmt: skip


def read_weights(connection: Connection, trial_ids: Collection[int]) -> dict[int, bytes]:
    """Trial id -> weights as safetensors."""
    query = sql.select(ATTEMPTS.c.trial_id, ATTEMPTS.c.weights).where(ATTEMPTS.c.trial_id.in_(trial_ids))
    return {found.trial_id: bytes(found.weights) for found in connection.execute(query)}


def insert_running(
    connection: Connection,
    study_id: int,
    driver: str,
    asked: Sequence[tuple[int, Mapping[str, Any], Sequence[Attempt]]],
    space: Mapping[str, BaseDistribution],
) -> list[int]:
    """Trials that a driver begins; the studies are locked.

    Parameters
    ----------
    connection, study_id, driver
    asked : sequence of tuple
        (place, params, earlier attempts at it). Earlier ones are told as Optuna's callback for stale trials tells them.
    space : mapping
        Of the study.

    Returns
    -------
    list of int
        Trial ids, in the order of ``asked``.
    """
    of_study = TRIALS.c.study_id == study_id
    numbers = sql.select(sql.func.count()).select_from(TRIALS).where(of_study)
    first = int(connection.execute(numbers).scalar_one())
    begun = {"study_id": study_id, "state": TrialState.RUNNING, "datetime_start": datetime.now()}
    connection.execute(sql.insert(TRIALS), [{**begun, "number": first + k} for k in range(len(asked))])
    made = sql.select(TRIALS.c.trial_id).where(of_study, TRIALS.c.number >= first).order_by(TRIALS.c.number)
    ids = [int(found) for found in connection.execute(made).scalars()]
    told = list(zip(ids, asked, strict=True))
    _insert(connection, ATTEMPTS, (
        {"trial_id": i, "study_id": study_id, "place": place, "attempt": len(earlier), "driver": driver,
         "params": json.dumps(dict(params))}
        for i, (place, params, earlier) in told
    ))  # fmt: skip
    _insert(connection, PARAMS, (
        {"trial_id": i, "param_name": name, "param_value": space[name].to_internal_repr(value),
         "distribution_json": distribution_to_json(space[name])}
        for i, (_, params, _) in told for name, value in params.items()
    ))  # fmt: skip
    alive = sql.select(TRIALS.c.trial_id, sql.func.current_timestamp()).where(TRIALS.c.trial_id.in_(ids))
    connection.execute(sql.insert(HEARTBEATS).from_select(["trial_id", "heartbeat"], alive))
    _insert(connection, USER_ATTRIBUTES, (
        {"trial_id": i, "key": key, "value_json": json.dumps(value)}
        for i, (place, _, _) in told for key, value in (("trial", place), ("driver", driver))
    ))  # fmt: skip
    _insert(connection, SYSTEM_ATTRIBUTES, (
        {"trial_id": i, "key": key, "value_json": json.dumps(value)}
        for i, (_, _, earlier) in told if earlier for key, value in _history(earlier).items()
    ))  # fmt: skip
    return ids


def _history(earlier: Sequence[Attempt]) -> dict[str, Any]:
    """What :class:`optuna.storages.RetryHeartbeatStaleTrialCallback` reads."""
    tried = [attempt.number for attempt in earlier]
    return {"failed_trial": tried[0], "retry_history": tried}


def finish(connection: Connection, finished: Sequence[Finished]) -> None:
    """Trials that ended; the studies are locked."""
    at: sql.BindParameter[int] = sql.bindparam("at")
    state = sql.update(TRIALS).where(TRIALS.c.trial_id == at)
    connection.execute(
        state.values(state=sql.bindparam("ended"), datetime_complete=sql.bindparam("when")),
        [{"at": each.trial_id, "ended": each.frozen.state, "when": datetime.now()} for each in finished],
    )
    finite = models.TrialValueModel.TrialValueType.FINITE
    _insert(connection, VALUES, (
        {"trial_id": each.trial_id, "objective": 0, "value": each.frozen.value, "value_type": finite}
        for each in finished if each.frozen.value is not None
    ))  # fmt: skip
    step_finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    _insert(connection, STEPS, (
        {"trial_id": each.trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": step_finite}
        for each in finished for step, value in each.frozen.intermediate_values.items()
    ))  # fmt: skip
    for table, attributes in ((USER_ATTRIBUTES, "user_attrs"), (SYSTEM_ATTRIBUTES, "system_attrs")):
        _insert(connection, table, (
            {"trial_id": each.trial_id, "key": key, "value_json": json.dumps(value)}
            for each in finished for key, value in getattr(each.frozen, attributes).items()
        ))  # fmt: skip
    result = sql.update(ATTEMPTS).where(ATTEMPTS.c.trial_id == at)
    connection.execute(
        result.values(row=sql.bindparam("told"), weights=sql.bindparam("learnt")),
        [{"at": each.trial_id, "told": json.dumps(each.row), "learnt": each.weights} for each in finished],
    )


def beat(connection: Connection, trial_ids: Collection[int]) -> None:
    """Say that these trials are still under way, by the server's clock."""
    now = {"heartbeat": sql.func.current_timestamp()}
    connection.execute(sql.update(HEARTBEATS).where(HEARTBEATS.c.trial_id.in_(trial_ids)).values(**now))


def _insert(connection: Connection, table: sql.Table, rows: Iterable[dict[str, Any]]) -> None:
    """All rows by one statement; none, if there are none."""
    found = list(rows)
    if found:
        connection.execute(sql.insert(table), found)
