"""Text experts from their folders, and the language model that they stand on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.models.error import ModelError
from benchmarks.models.kinds.readers import Facts, Reading
from experts.expert import Expert
from experts.saved import DESCRIPTION
from llm_experts.adapters.error import AdapterError
from llm_experts.bases.error import BaseError
from llm_experts.reading.expert import LLMExpert, load_llm_expert

if TYPE_CHECKING:
    from llm_experts.bases.base import Base


def text(folder: Path, facts: Facts, reading: Reading) -> LLMExpert:
    """An adapter with the base that it was made on, or the base itself."""
    told = facts.get("base")
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise ModelError(f"{folder / DESCRIPTION} names no base; save or copy the model again.")
    known = [part.reader for part in reading.shared if isinstance(part, LLMExpert)]
    try:
        base = _base(reading.given.base or told["id"], told["dtype"], told["quantisation"])
        found = load_llm_expert(folder, base, known)
    except (AdapterError, BaseError) as error:
        raise ModelError(
            f"{error} The model stands on the base {told['id']!r} (hash {str(told.get('hash'))[:12]}...); pass base= "
            "to name the folder where it lies."
        ) from error
    reading.shared.append(found)
    return found


def text_mixture(folder: Path, facts: Facts, reading: Reading) -> Expert:  # noqa: ARG001
    """Adapters that are composed row by row inside the layers."""
    from llm_experts.mixtures.dispatch_models import DispatchError
    from llm_experts.mixtures.row_mixture import load_row_mixture

    try:
        return load_row_mixture(folder, lambda inner: cast(LLMExpert, reading.inner(inner)))
    except (AdapterError, DispatchError) as error:
        raise ModelError(str(error)) from error


@lru_cache(maxsize=1)
def _base(name: str, dtype: str, quantisation: str) -> Base:
    """The base, loaded once however many models stand on it; nano is trained where it is absent."""
    from llm_experts.bases.load import load_base

    return load_base(name, dtype=dtype, quantisation=quantisation)
