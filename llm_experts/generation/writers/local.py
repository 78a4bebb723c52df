"""A base that writes items itself, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from foundation.seeding import derive_seed
from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.families.shared.answers import NOTHING, json_in
from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec, Topic
from llm_experts.generation.writers.answers import MalformedError, drafts_of, fault
from llm_experts.generation.writers.asking import BEGUN, Request, request_for
from llm_experts.prompts.chat import encode_chat, encode_prompt, has_template
from llm_experts.training.sequences.lanes import SequenceLanes

TOGETHER = 16
"""Requests that are answered at once."""


class LocalWriter:
    """A provider that asks a base for one item at a time, :data:`TOGETHER` of them in one pass.

    A base with a chat template is asked as an endpoint is; one without goes on with lines of JSON. Drafts are numbered
    from the first of a topic and difficulty on, and always the same numbers are written together, whoever asks for
    which of them: a run that goes on in the middle finds the same drafts. Each draws the words that it would draw
    alone; only where two words are as good as equally likely can the company change one, as sums are rounded.

    Parameters
    ----------
    base : Base
    temperature : float
    longest : int
        Most tokens of an answer.
    together : int
    """

    name = "model"
    stopped = ""
    spent = 0.0

    def __init__(self, base: Base, temperature: float, longest: int, together: int = TOGETHER) -> None:
        self._base, self._temperature, self._longest, self._together = base, temperature, longest, together
        self._lanes = SequenceLanes.bare(base)
        self._last: tuple[object, list[Draft]] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What its answers depend on."""
        return {
            "base": self._base.hash, "temperature": self._temperature, "longest": self._longest, "items": 1,
            "together": self._together,
        }  # fmt: skip

    def allow(self, dollars: float | None) -> None:
        """Nothing is paid."""

    def drafts(self, spec: DataSpec, topic: Topic, count: int, seed: int, start: int) -> Iterator[Draft]:
        """Drafts number ``start`` to ``start + count - 1``."""
        at, end = start, start + count
        while at < end:
            number = at // self._together
            first = number * self._together
            yield from self._group(spec, topic, seed, number)[at - first : end - first]
            at = first + self._together

    def _group(self, spec: DataSpec, topic: Topic, seed: int, number: int) -> list[Draft]:
        key = (spec, topic, seed, number)
        if self._last is None or self._last[0] != key:
            blocks = range(number * self._together, (number + 1) * self._together)
            requests = [request_for(spec, topic, 1, block, seed) for block in blocks]
            answers = zip(requests, self._answers(requests), strict=True)
            self._last = key, [_draft(request, text) for request, text in answers]
        return self._last[1]

    def _answers(self, requests: Sequence[Request]) -> list[str]:
        talks = has_template(self._base)
        [answers] = self._lanes.sample(
            self._lanes.start,
            [self._fitting(request) for request in requests],
            max_new_tokens=self._longest,
            temperature=self._temperature,
            seed=[[derive_seed(one.seed, "write", one.topic.name, one.block, 0) for one in requests]],
            stop=() if talks else ("\n",),
        )
        return [answer.text if talks else BEGUN + answer.text for answer in answers]

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


def _draft(request: Request, text: str) -> Draft:
    try:
        return drafts_of(request, items_within(text))[0]
    except MalformedError as error:
        return fault(request, 0, str(error), text)


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
