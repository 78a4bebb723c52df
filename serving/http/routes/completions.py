"""``/v1/completions``: prompts continued as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.error import ServingError
from serving.http.answers import text_logprobs
from serving.http.generating import choices_of, left_open, respond, sampling, seeded
from serving.http.served import client, served
from serving.http.wire import CompletionRequest
from serving.naming import experts_of
from serving.request import Request as Asked

if TYPE_CHECKING:
    from llm_experts.runtime.generator import Piece
    from serving.answer import Answer

router = APIRouter(tags=["OpenAI"])
TOKENS = 16
"""OpenAI's default of max_tokens here."""


@dataclass
class CompletionForm:
    """OpenAI's form of completions; ``logprobs`` of so many likely tokens, or None."""

    logprobs: int | None
    prefix: str = "cmpl"
    whole_object: str = "text_completion"
    chunk_object: str = "text_completion"
    _offsets: dict[int, int] = field(default_factory=dict)

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Text and log-probabilities."""
        given = None if self.logprobs is None else text_logprobs(answer.logprobs, self.logprobs, 0)
        return {"text": answer.text or "", "logprobs": given}

    def first(self) -> dict[str, Any] | None:
        """Nothing: a stream begins with its first text."""
        return None

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """A part of the text."""
        offset = self._offsets.get(index, 0)
        self._offsets[index] = offset + sum(len(one.text) for one in piece.logprobs)
        given = None if self.logprobs is None else text_logprobs(piece.logprobs, self.logprobs, offset)
        return {"text": piece.text, "logprobs": given}

    def last(self) -> dict[str, Any]:
        """No more text."""
        return {"text": "", "logprobs": None}


@router.post("/v1/completions")
async def complete(request: Request, wire: CompletionRequest) -> Response:
    """Continue one prompt or several, on the base, on an expert, on a composition, or on what the router chooses."""
    here = served(request)
    choices, limits = choices_of(wire, here), here.settings
    if len(wire.prompts) > limits.max_prompts:
        raise ServingError(
            "bad-request",
            f"There are {len(wire.prompts)} prompts; this server takes {limits.max_prompts} in a request.",
        )
    experts = experts_of(wire.model, wire.experts, here.base)
    how = sampling(wire, wire.max_tokens, TOKENS, wire.logprobs, limits.max_new_tokens)
    asked = [
        Asked(
            prompt=prompt, experts=experts, sampling=seeded(how, choice),
            priority=wire.priority, client=client(request), timeout=limits.request_seconds,
            left_open=left_open(wire, wire.max_tokens), longest=limits.max_new_tokens,
        )
        for prompt in wire.prompts
        for choice in range(choices)
    ]  # fmt: skip
    return await respond(request, wire, asked, CompletionForm(wire.logprobs))
