"""``/v1/chat/completions``: conversations, through the base's chat template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from llm_experts.data.example import Message
from serving.http.answers import chat_logprobs
from serving.http.generating import choices_of, left_open, respond, sampling, seeded
from serving.http.served import client, served
from serving.http.wire import ChatRequest
from serving.naming import experts_of
from serving.request import Request as Asked

if TYPE_CHECKING:
    from llm_experts.runtime.generator import Piece
    from serving.answer import Answer

router = APIRouter(tags=["OpenAI"])
ROLES = {"developer": "system"}
"""OpenAI's newer word for a role."""


@dataclass
class ChatForm:
    """OpenAI's form of chats; ``logprobs`` of so many likely tokens, or None."""

    logprobs: int | None
    prefix: str = "chatcmpl"
    whole_object: str = "chat.completion"
    chunk_object: str = "chat.completion.chunk"

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The assistant's message."""
        given = None if self.logprobs is None else chat_logprobs(answer.logprobs, self.logprobs)
        return {"message": {"role": "assistant", "content": answer.text or "", "refusal": None}, "logprobs": given}

    def first(self) -> dict[str, Any] | None:
        """Who speaks."""
        return {"delta": {"role": "assistant", "content": ""}, "logprobs": None}

    def piece(self, _index: int, piece: Piece) -> dict[str, Any]:
        """A part of what is said."""
        given = None if self.logprobs is None else chat_logprobs(piece.logprobs, self.logprobs)
        return {"delta": {"content": piece.text}, "logprobs": given}

    def last(self) -> dict[str, Any]:
        """No more."""
        return {"delta": {}, "logprobs": None}


@router.post("/v1/chat/completions")
async def chat(request: Request, wire: ChatRequest) -> Response:
    """Answer a conversation, by the base, an expert, a composition, or what the router chooses."""
    here = served(request)
    choices, limits = choices_of(wire, here), here.settings
    experts = experts_of(wire.model, wire.experts, here.base)
    logprobs = (wire.top_logprobs or 0) if wire.logprobs else None
    wanted = wire.max_tokens if wire.max_completion_tokens is None else wire.max_completion_tokens
    how = sampling(wire, wanted, limits.max_new_tokens, logprobs, limits.max_new_tokens)
    messages = tuple(Message(ROLES.get(turn.role, turn.role), turn.text) for turn in wire.messages)
    asked = [
        Asked(
            messages=messages, experts=experts, sampling=seeded(how, choice),
            priority=wire.priority, client=client(request), timeout=limits.request_seconds,
            left_open=left_open(wire, wanted), longest=limits.max_new_tokens,
        )
        for choice in range(choices)
    ]  # fmt: skip
    return await respond(request, wire, asked, ChatForm(logprobs))
