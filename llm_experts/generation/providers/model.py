"""Items that a local base writes: nothing paid, and what it writes is checked as any other's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from llm_experts.data.error import DataError
from llm_experts.generation.providers.provider import ProviderKind

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.generation.writers.local import LocalWriter


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the provider.

    Attributes
    ----------
    base : Base or str
        The resident one, or the name of another.
    temperature : float
    longest : int
        Most tokens of an item.
    together : int
        Items that are written in one pass.
    """

    base: Base | str = "nano"
    temperature: float = 0.8
    longest: int = 160
    together: int = 16


def make(options: Mapping[str, Any]) -> LocalWriter:
    """The provider of some options.

    Raises
    ------
    DataError
        If an option is unknown, or out of its bounds.
    """
    from llm_experts.bases.load import load_base
    from llm_experts.generation.writers.local import LocalWriter

    known = [field.name for field in fields(Options)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise DataError(f"The provider model has no option {unknown[0]!r}; options are {', '.join(known)}.")
    chosen = Options(**options)
    if chosen.longest < 1 or not chosen.temperature >= 0 or chosen.together < 1:
        raise DataError(
            "The provider model needs a temperature of at least 0, answers of at least one token, and at least one of "
            "them together."
        )
    base = load_base(chosen.base) if isinstance(chosen.base, str) else chosen.base
    return LocalWriter(base, chosen.temperature, chosen.longest, chosen.together)


PROVIDER = ProviderKind(name="model", about="A local base writes them; nothing paid, much of it unusable.", make=make)
