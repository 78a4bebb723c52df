"""Models-from-code entry point: MLflow runs this file to load a logged mixture; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from moe.serving import load_servable


class MixtureModel(PythonModel):
    """Raw columns in, probability of class 1 and prediction out."""

    def load_context(self, context: Any) -> None:
        """Read the system that was logged as an artifact."""
        self.system = load_servable(Path(context.artifacts["system"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """[r] rows with ``probability`` and ``prediction``."""
        return self.system.predict(model_input)


mlflow.models.set_model(MixtureModel())
