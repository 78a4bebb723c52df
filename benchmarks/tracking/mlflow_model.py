"""Models-from-code entry point: MLflow runs this file to load a logged mixture; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from benchmarks.models import load_model


class MixtureModel(PythonModel):
    """Raw columns in, probability of class 1 and prediction out."""

    def load_context(self, context: Any) -> None:
        """Read the system that was logged as an artifact."""
        self.model = load_model(Path(context.artifacts["system"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """[r] rows with ``probability`` and ``prediction``."""
        probability = self.model.predict_proba(model_input, unknown="missing")[:, 1]
        decided = (probability > 0.5).astype("int64")
        return pd.DataFrame({"probability": probability, "prediction": decided}, index=model_input.index)


mlflow.models.set_model(MixtureModel())
