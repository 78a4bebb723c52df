"""A saved model from its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.models.error import ModelError
from benchmarks.models.kinds.readers import Given
from benchmarks.models.kinds.reading import read_expert
from benchmarks.models.saved import SavedModel
from benchmarks.saving.layout import CARD, ENCODER, EXPERT, FORMAT, MODEL
from tasks.card import Card
from tasks.encode import Encoder

Parsed = TypeVar("Parsed")

NEEDED = ("task", "method", "groups", "sensitive", "use_sensitive")


def load_model(
    folder: Path, *, own: str | None = None, trust: Sequence[str] = (), base: str | None = None
) -> SavedModel:
    """Read a folder that :func:`benchmarks.models.save_model` wrote.

    Nothing in it is run: weights are safetensors or a library's own text, and kinds are looked up.

    Parameters
    ----------
    folder : Path
    own : str, optional
        ``path/to/file.py:function`` of the own method that made it. The file is run, after its hash was compared.
    trust : sequence of str, optional
        Types that the estimator of an own method may be made of beside those that are known to be safe.
    base : str, optional
        Folder or name of the language model that its text experts stand on; default: the one that it names.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or of a format or kind that this fairmoe does not know; the text names the file.
    """
    folder = Path(folder)
    facts = _facts(folder)
    encoder = _parsed(folder / ENCODER, Encoder.from_json)
    card = _parsed(folder / CARD, Card.model_validate_json)
    return SavedModel(read_expert(folder / EXPERT, Given(own, tuple(trust), base)), encoder, card, facts, folder)


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / MODEL
    facts: Any = _parsed(path, json.loads)
    if not isinstance(facts, dict) or not str(facts.get("format", "")).startswith("fairmoe-model/"):
        raise ModelError(f"{path} describes no model of fairmoe; name the folder of a saved model.")
    if facts["format"] != FORMAT:
        raise ModelError(
            f"{path} is of the format {facts['format']!r}; this fairmoe reads {FORMAT!r}. Read it with the fairmoe "
            "that wrote it, or install a newer one."
        )
    lacking = [name for name in NEEDED if name not in facts]
    if lacking:
        raise ModelError(f"{path} does not say {', '.join(lacking)}; save or copy the model again.")
    return facts


def _parsed(path: Path, parse: Callable[[str], Parsed]) -> Parsed:
    """What a file holds."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ModelError(
            f"There is no {path}; a saved model is a folder with {MODEL}, {ENCODER}, {CARD} and {EXPERT}/."
        ) from None
    except (ValueError, KeyError, TypeError) as error:  # pydantic's errors are ValueErrors
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"{path} is damaged ({type(error).__name__}: {first}); save or copy the model again."
        ) from error
