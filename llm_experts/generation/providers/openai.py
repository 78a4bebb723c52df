"""Items that an endpoint with OpenAI's protocol writes: its address and key come from the environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from foundation.home import home
from llm_experts.data.error import DataError
from llm_experts.generation.providers.provider import ProviderKind
from llm_experts.generation.writers.cache import ReplyCache
from llm_experts.generation.writers.endpoint import Endpoint, Settings
from llm_experts.generation.writers.endpoints import Endpoints
from llm_experts.generation.writers.meter import Price
from llm_experts.generation.writers.writer import Writer

ITEMS = 5
"""Items of a request."""
CACHE = "answers"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the provider.

    Attributes
    ----------
    models : sequence of str
        Asked in turn.
    urls : sequence of str
        One for each model, one for all, or none: ``OPENAI_BASE_URL``.
    prices : sequence of (float, float)
        Dollars for a million tokens read and written; one for each model, or one for all.
    max_requests : int or None
        Requests at most, in a run.
    items : int
        Of a request.
    temperature, longest, timeout, tries, key
        As in :class:`~llm_experts.generation.writers.endpoint.Settings`.
    cache : Path or None
        Folder of answers that were paid for; None: ``answers`` in the folder of fairmoe's own files.
    sleep : callable
        Waits so many seconds.
    """

    models: Sequence[str] = ()
    urls: Sequence[str] = ()
    prices: Sequence[tuple[float, float]] = ()
    max_requests: int | None = None
    items: int = ITEMS
    temperature: float = 1.0
    longest: int = 2048
    timeout: float = 120.0
    tries: int = 6
    key: str = "OPENAI_API_KEY"
    cache: Path | None = None
    sleep: Callable[[float], None] = time.sleep


def make(options: Mapping[str, Any]) -> Writer:
    """The provider of some options.

    Raises
    ------
    DataError
        If an option is unknown, no model is named, nothing bounds what is spent, or package or key are missing.
    """
    known = [field.name for field in fields(Options)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise DataError(f"The provider openai has no option {unknown[0]!r}; options are {', '.join(known)}.")
    return _writer(Options(**options))


def _writer(options: Options) -> Writer:
    if not options.models:
        raise DataError("The provider openai asks a model, and none is named. Name one (--model NAME).")
    if options.items < 1 or options.tries < 1:
        raise DataError("A request is for at least one item, and made at least once: raise items and tries to 1.")
    urls, prices = _each(options, "urls", ""), _each(options, "prices", None)
    if options.max_requests is None and None in prices:
        raise DataError(
            "What the model costs is not known, so that no budget could stop it. Give its price in dollars for a "
            "million tokens read and written (--price 0.15,0.60), or the most requests to make (--max-requests 100)."
        )
    settings = [
        Settings(
            model, url, None if price is None else Price(*price), options.temperature, options.longest,
            options.timeout, options.tries, options.key,
        )
        for model, url, price in zip(options.models, urls, prices, strict=True)
    ]  # fmt: skip
    endpoints = [Endpoint(one, sleep=options.sleep) for one in settings]
    cache = ReplyCache(Path(options.cache or home() / CACHE))
    identity = {
        "models": [[one.model, one.address] for one in settings],
        "prices": [list(price) if price is not None else None for price in prices],
        "temperature": options.temperature,
        "longest": options.longest,
    }
    return Writer("openai", Endpoints(endpoints, cache, options.max_requests), identity, items=options.items)


def _each(options: Options, name: str, default: Any) -> list[Any]:
    """An option's values, one for each model."""
    values, count = list(getattr(options, name)), len(options.models)
    if len(values) not in (0, 1, count):
        raise DataError(f"There are {count} models and {len(values)} {name}: give one for all, or one for each.")
    return values if len(values) == count else (values or [default]) * count


PROVIDER = ProviderKind(
    name="openai", about="Any endpoint with OpenAI's protocol; paid, within a budget, answers kept.", make=make
)
