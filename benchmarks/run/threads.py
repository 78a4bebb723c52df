"""One thread per process."""

from __future__ import annotations

import os

NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def limit_threads(count: int = 1) -> None:
    """Use ``count`` threads per process: small tensor programs on busy cores are far slower with more.

    Must run before torch or scikit-learn are imported. Values that the user set are kept, and ``OMP_NUM_THREADS`` alone
    is meant for all of them: torch takes the least.
    """
    wanted = os.environ.get(NAMES[0], str(count))
    for name in NAMES:
        os.environ.setdefault(name, wanted)
