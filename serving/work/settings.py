"""How a request's text is generated: as it asks, then as its experts' packages say, then by default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serving.work.choice import Choice

if TYPE_CHECKING:
    from llm_experts.runtime.sampling import Sampling
    from serving.request import Request


def settings_of(request: Request, choice: Choice) -> Sampling:
    """The request's sampling; what it left open is as the package of its weightiest expert that says something of it.

    Texts that end an answer are those of all its experts.

    Parameters
    ----------
    request : Request
    choice : Choice
        Its experts.
    """
    told: dict[str, Any] = {}
    heaviest_first = sorted(zip(choice.entries, choice.weights, strict=True), key=lambda pair: -pair[1])
    for entry, weight in heaviest_first:
        if entry.decoding is None or weight == 0:
            continue
        for name in request.left_open:
            value = getattr(entry.decoding, name)
            if name == "stop":
                told["stop"] = tuple(dict.fromkeys((*told.get("stop", ()), *value)))
            elif value is not None:
                told.setdefault(name, value)
    if "max_new_tokens" in told:
        most = told["max_new_tokens"] if request.longest is None else min(told["max_new_tokens"], request.longest)
        told["max_new_tokens"] = max(1, most)
    return replace(request.sampling, **told) if told else request.sampling
