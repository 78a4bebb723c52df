"""Cells that failed, and which errors are the user's to mend and are therefore shown as a paragraph."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from foundation.escaping import printable

LONGEST = 2_000
"""Most characters of a paragraph; the middle of a longer one is left out."""
KNOWN = {
    "ChoiceError",
    "ConfigError",
    "SettingsError",
    "BadCardError",
    "CardError",
    "ClusterError",
    "StoreAwayError",
    "DataUnavailableError",
    "RebuildError",
    "SeenError",
    "UnknownTrialError",
    "DataError",
    "DiscoverError",
    "DiscoveryError",
    "FetchError",
    "FolderLockError",
    "SuiteError",
    "MetricError",
    "PredictionError",
    "SplitOptionError",
    "TrackingError",
    "ReportError",
    "ExpertError",
    "MethodDiedError",
    "ModelError",
    "ResumeError",
    "TuningError",
    "OwnMethodError",
    "PackageError",
    "RegistryError",
    "CompareError",
    "GraphError",
    "AdapterError",
    "BaseError",
    "BiasError",
    "CalibrationError",
    "DispatchError",
    "EstimatorError",
    "EvaluationError",
    "PromptError",
    "RouterError",
    "SearchError",
    "ShardError",
    "MergeError",
    "ServingError",
    "StorageError",
    "SamplingError",
    "SandboxError",
    "ChatError",
    "TooLongError",
}
"""Names of error classes whose text says what, where and what to do (by name: their modules are heavy to import)."""


def explain(error: Exception) -> str | None:
    """The paragraph for a known error, None for one that deserves its traceback."""
    if any(cls.__name__ in KNOWN for cls in type(error).__mro__):
        return _paragraph(str(error))
    if _is_full(error):
        return _paragraph(
            f"There is no space left on the disk ({error}). Free some, or give another folder, and run the same "
            "command again: what was finished is kept."
        )
    return None


@contextmanager
def paragraphs(program: str) -> Iterator[None]:
    """End a program that fails of what its user can mend with a paragraph and status 2; other errors go on."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        print(f"{program}: {text}", file=sys.stderr)
        sys.exit(2)


def _is_full(error: Exception) -> bool:
    """Whether a disk or a quota is full, also where a library in another language says so by its text alone."""
    code = error.errno if isinstance(error, OSError) else None
    return code in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)


def _paragraph(text: str) -> str:
    """One line of what a console can show: names and cells of users may hold line ends, controls, or a whole file."""
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 500]} ... {shown[-490:]}"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why (a traceback)."""

    method: str
    repeat: int
    error: str
