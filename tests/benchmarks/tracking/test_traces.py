"""Traces of answers in the user's MLflow store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from benchmarks.tracking.mlflow_store import TrackingError
from benchmarks.tracking.traces import traces
from serving.answer import Answer, Usage
from serving.telemetry import PHASES

LATENCY = {"queue": 0.5, "route": 0.25, "load": 0.0, "prefill": 0.25, "decode": 1.0, "total": 2.0}


@pytest.mark.slow
def test_an_answer_is_a_trace_that_mlflow_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    answer = Answer("r1", "a secret", None, (("law", 0.7),), "named", None, "stop", Usage(5, 3), (), LATENCY, "me")
    with traces() as tell:
        tell(answer)
        tell(answer)
    first, second = mlflow.MlflowClient().search_traces(
        [mlflow.get_experiment_by_name("fairmoe").experiment_id], include_spans=True
    )
    assert first.info.tags["fairmoe.request"] == second.info.tags["fairmoe.request"] == "r1"
    assert first.info.execution_duration == 2000
    whole, *parts = sorted(first.data.spans, key=lambda span: span.parent_id is not None)
    assert whole.name == "fairmoe.infer"
    assert [part.name for part in parts] == [f"fairmoe.{phase}" for phase in PHASES]
    assert {part.parent_id for part in parts} == {whole.span_id}
    assert [part.end_time_ns - part.start_time_ns for part in parts] == [round(LATENCY[p] * 10**9) for p in PHASES]
    assert whole.attributes["fairmoe.experts"] == ["law"]
    assert whole.attributes["gen_ai.usage.output_tokens"] == 3
    assert "a secret" not in str(first.to_dict())


def test_a_store_that_does_not_answer_is_told_before_anything_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(TrackingError, match=r"does not answer .*or serve without --telemetry"), traces():
        pass
