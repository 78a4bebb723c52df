"""Which errors are the user's to mend, and are therefore shown as a paragraph."""

from __future__ import annotations

KNOWN = {
    "CardError",
    "DataUnavailableError",
    "DataError",
    "FetchError",
    "SuiteError",
    "PredictionError",
    "TrackingError",
    "ReportError",
    "ExpertError",
    "MissingColumnError",
    "ResumeError",
    "TuningError",
}
"""Names of error classes whose text says what, where and what to do (by name: their modules are heavy to import)."""


def explain(error: Exception) -> str | None:
    """The paragraph for a known error, None for one that deserves its traceback."""
    if any(cls.__name__ in KNOWN for cls in type(error).__mro__):
        return str(error)
    return None
