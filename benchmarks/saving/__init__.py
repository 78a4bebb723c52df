"""Writing a fitted model as a folder; a job does that too, so that this room is part of every cell's key.

Reading it again is :mod:`benchmarks.models`, which no cell depends on. Start at :func:`save_model`.
"""

from benchmarks.saving.error import ModelError
from benchmarks.saving.model_folder import save_model

__all__ = ["ModelError", "save_model"]
