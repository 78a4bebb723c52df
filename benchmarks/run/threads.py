"""One thread per process."""

from __future__ import annotations

import os


def limit_threads(count: int = 1) -> None:
    """Use ``count`` threads per process: small tensor programs on busy cores are far slower with more.

    Must run before torch or scikit-learn are imported; values that the user set are kept.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(count))
