"""How a job tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Notify = Callable[[str, str, float], None]
"""(job name, stage, share of the job that is done) → shown as progress."""

SAME = -1.0
"""As a share: there is news of the stage, and the job is as far as it was."""

TUNING_SHARE = 0.45
METHODS_SHARE = 0.4
EXPLAIN_SHARE, SCORE_SHARE = 0.85, 0.95
"""Of a job's time, roughly; only the progress bar looks at them."""
