"""Models-from-code entry point: MLflow runs this file to load a logged mixture; nothing is unpickled.

The code that the mixture needs travels as one archive: MLflow sends every file of a folder by a request of its own, and
a mixture's code is some eight hundred of them.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class MixtureModel(PythonModel):
    """Raw columns in, probability of class 1 and prediction out."""

    def load_context(self, context: Any) -> None:
        """Read the system that was logged as an artifact, by the code that was logged beside it."""
        _unpack(Path(context.artifacts["code"]))
        from benchmarks.models import load_model

        self.model = load_model(Path(context.artifacts["system"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """[r] rows with ``probability`` and ``prediction``."""
        probability = self.model.predict_proba(model_input, unknown="missing")[:, 1]
        decided = (probability > 0.5).astype("int64")
        return pd.DataFrame({"probability": probability, "prediction": decided}, index=model_input.index)


def _unpack(archive: Path) -> None:
    """Put the code of an archive first on the path, for as long as the process lives."""
    folder = tempfile.mkdtemp(prefix="fairmoe-code-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    sys.path.insert(0, folder)


mlflow.models.set_model(MixtureModel())
