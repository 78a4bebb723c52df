"""Saved models: any fitted method as a folder that predicts raw rows. Start at :func:`load_model`."""

from benchmarks.models.error import ModelError, RowsError
from benchmarks.models.loading import load_model
from benchmarks.models.saved import SavedModel
from benchmarks.saving import save_model

__all__ = ["ModelError", "RowsError", "SavedModel", "load_model", "save_model"]
