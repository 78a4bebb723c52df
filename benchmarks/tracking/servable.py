"""The fitted mixture as an MLflow model: safetensors and JSON only, loaded by a file of code, fed with raw columns."""

from __future__ import annotations

import importlib.metadata
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from foundation.discovery import ROOT

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

PACKAGES = ("foundation", "tasks", "metrics", "experts", "gates", "moe", "benchmarks")
"""Code that travels with the model, so that it loads where fairmoe is not installed."""

SERVING_LIBRARIES = ("lightgbm", "numpy", "pandas", "pydantic", "safetensors", "scikit-learn", "scipy", "torch")


def log_model(run_id: str, folder: Path) -> None:
    """Log a servable folder as the run's model, with the code it needs."""
    import mlflow

    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    encoder = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    with TemporaryDirectory() as place, mlflow.start_run(run_id=run_id):
        mlflow.pyfunc.log_model(
            name="mixture",
            python_model=str(ROOT / "benchmarks" / "tracking" / "mlflow_model.py"),
            artifacts={"system": str(folder), "code": str(_packed_code(Path(place) / "code.zip"))},
            pip_requirements=[f"{name}=={version.split('+')[0]}" for name, version in _versions().items()],
            signature=_signature([column["spec"]["name"] for column in encoder["encoders"]]),
            metadata={"label": card["label"]["meaning"]},
        )


def _packed_code(archive: Path) -> Path:
    """An archive of the code; the same code is the same bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in PACKAGES:
            for path in sorted((ROOT / name).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    entry = zipfile.ZipInfo(path.relative_to(ROOT).as_posix())  # without the time of the file
                    packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive


def _signature(columns: list[str]) -> ModelSignature:
    """Raw columns of any type: the encoder reads numbers and text alike, MLflow would refuse whole numbers as doubles.

    They are optional for MLflow so that the model itself can name all that are absent.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    anything = AnyType()  # type: ignore[no-untyped-call]
    inputs = Schema([ColSpec(anything, name, required=False) for name in columns])
    return ModelSignature(inputs, Schema([ColSpec("double", "probability"), ColSpec("long", "prediction")]))


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in SERVING_LIBRARIES}
