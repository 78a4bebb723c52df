"""Answers of the engine as OpenAI's API writes them, and what this server adds under ``fairmoe``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_experts.runtime.sampling import TokenLogprob
    from serving.answer import Answer

UNLIKELY = -9999.0
"""What OpenAI's API writes for a log-probability that is too small to say."""


def told(answer: Answer) -> dict[str, Any]:
    """Who answered, why, and what took how long (seconds)."""
    return {
        "experts": [{"name": name, "weight": weight} for name, weight in answer.experts],
        "why": answer.why,
        "latency": {phase: round(seconds, 6) for phase, seconds in answer.latency.items()},
    }


def number(value: float) -> float:
    """A log-probability that JSON takes."""
    return value if math.isfinite(value) else UNLIKELY


def chat_logprobs(found: Sequence[TokenLogprob], most: int) -> dict[str, Any]:
    """Log-probabilities in the form of chats."""
    return {"content": [_chat_token(one, most) for one in found], "refusal": None}


def _chat_token(one: TokenLogprob, most: int) -> dict[str, Any]:
    top = [_token(text, logprob) for _, text, logprob in one.top[:most]]
    return {**_token(one.text, one.logprob), "top_logprobs": top}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": number(logprob), "bytes": list(text.encode("utf-8", "surrogatepass"))}


def text_logprobs(found: Sequence[TokenLogprob], most: int, offset: int) -> dict[str, Any]:
    """Log-probabilities in the form of completions; ``offset`` is where the first token begins in the text."""
    offsets = []
    for one in found:
        offsets.append(offset)
        offset += len(one.text)
    return {
        "tokens": [one.text for one in found],
        "token_logprobs": [number(one.logprob) for one in found],
        "top_logprobs": [{text: number(logprob) for _, text, logprob in one.top[:most]} for one in found],
        "text_offset": offsets,
    }


def event(data: dict[str, Any]) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


DONE = b"data: [DONE]\n\n"
"""The last event of a stream that ended well."""
