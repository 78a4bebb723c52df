"""Saved models: any fitted method as a folder that predicts raw rows. Start at :func:`load_model`.

:func:`load_expert` reads one from a package, and :func:`open_engine` has installed experts answer rows and prompts.
"""

from benchmarks.models.engine import open_engine
from benchmarks.models.error import ModelError, RowsError
from benchmarks.models.loading import load_model
from benchmarks.models.packages import load_expert
from benchmarks.models.saved import SavedModel
from benchmarks.saving import save_model

__all__ = ["ModelError", "RowsError", "SavedModel", "load_expert", "load_model", "open_engine", "save_model"]
