"""A base that writes items itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foundation.seeding import derive_seed
from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.families.shared.answers import NOTHING, json_in
from llm_experts.generation.writers.answers import MalformedError
from llm_experts.generation.writers.asking import BEGUN, Request
from llm_experts.generation.writers.writer import Answer
from llm_experts.prompts.chat import encode_chat, encode_prompt, has_template
from llm_experts.training.sequences.lanes import SequenceLanes


class Local:
    """What :class:`~llm_experts.generation.writers.writer.Writer` asks: a base, by its conversation or by its lines.

    A base with a chat template is asked as an endpoint is; one without goes on with lines of JSON.

    Parameters
    ----------
    base : Base
    temperature : float
    longest : int
        Most tokens of an answer.
    """

    stopped = ""

    def __init__(self, base: Base, temperature: float, longest: int) -> None:
        self._base, self._temperature, self._longest = base, temperature, longest
        self._lanes = SequenceLanes.bare(base)

    def ask(self, request: Request, attempt: int, left: float | None) -> Answer:
        """The answer to a request."""
        del left
        talks = has_template(self._base)
        [[answer]] = self._lanes.sample(
            self._lanes.start,
            [self._fitting(request)],
            max_new_tokens=self._longest,
            temperature=self._temperature,
            seed=derive_seed(request.seed, "write", request.topic.name, request.block, attempt),
            stop=() if talks else ("\n",),
        )
        return Answer(answer.text if talks else BEGUN + answer.text)

    def _fitting(self, request: Request) -> list[int]:
        """The request's tokens, with as many shown items as leave room for the answer."""
        for many in range(len(request.shown), 0, -1):
            shorter = replace(request, shown=request.shown[:many])
            ids = self._ids(shorter)
            if len(ids) + self._longest <= self._base.context:
                return ids
        raise DataError(
            f"A request for items of {request.topic.name} and an answer of {self._longest} tokens do not fit into the "
            f"context of {self._base.id} ({self._base.context}). Allow shorter answers, or let another provider write."
        )

    def _ids(self, request: Request) -> list[int]:
        if has_template(self._base):
            return encode_chat(self._base, [turn.as_mapping() for turn in request.messages])
        return encode_prompt(self._base, request.lines)


def items_within(text: str) -> list[Any]:
    """Items of a small model's answer: an object with "items", a list, or one item, whatever stands around it.

    Raises
    ------
    MalformedError
        If there is no JSON in it.
    """
    value = json_in(text)
    if value is NOTHING:
        raise MalformedError("there is no JSON in the answer")
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        value = value["items"]
    return list(value) if isinstance(value, list) else [value]
