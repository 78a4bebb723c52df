"""Cells that failed, and which errors are the user's to mend and are therefore shown as a paragraph."""

from __future__ import annotations

from dataclasses import dataclass

KNOWN = {
    "CardError",
    "DataUnavailableError",
    "DataError",
    "FetchError",
    "FolderLockError",
    "SuiteError",
    "PredictionError",
    "TrackingError",
    "ReportError",
    "ExpertError",
    "MissingColumnError",
    "ResumeError",
    "TuningError",
    "OwnMethodError",
    "CompareError",
    "GraphError",
    "AdapterError",
    "BaseError",
    "BiasError",
    "CalibrationError",
    "DispatchError",
    "EstimatorError",
    "PromptError",
    "SearchError",
}
"""Names of error classes whose text says what, where and what to do (by name: their modules are heavy to import)."""


def explain(error: Exception) -> str | None:
    """The paragraph for a known error, None for one that deserves its traceback."""
    if any(cls.__name__ in KNOWN for cls in type(error).__mro__):
        return str(error)
    return None


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why (a traceback)."""

    method: str
    repeat: int
    error: str
