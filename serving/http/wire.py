"""What requests look like: OpenAI's fields that change an answer here, those that change nothing, and no others.

A field of OpenAI's that is not understood here and would change the answer is refused, never dropped; one that nobody
knows is refused as OpenAI does. The first fault of a list is told and the rest is not looked at, and what has names is
bounded: a body of wrong cells would otherwise make millions of errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)

from serving.request import HALF

LONGEST_NAME = 2_000
"""Most characters of a model's name: ten names with weights."""
MOST_STOPS = 4
LONGEST_STOP = 500
MOST_LOGPROBS = 5
MOST_TOP_LOGPROBS = 20
SEED = 2**63 - 1
MOST_FIELDS = 100
"""Names of an object; there are fewer fields than that."""
MOST_COLUMNS = 4096
"""Columns of rows."""
T = TypeVar("T")


def _sound(text: str) -> str:
    """Text without half of a surrogate pair, which JSON can write and no tokenizer reads."""
    if not text.isascii() and HALF.search(text):
        raise ValueError("it holds half of a surrogate pair, which is no character")
    return text


def _at_most(most: int) -> Callable[[Any], Any]:
    """A check of how many there are before each is looked at."""

    def bounded(given: Any) -> Any:
        if isinstance(given, dict | list) and len(given) > most:
            raise ValueError(f"there are {len(given):,} entries; {most:,} are the most that is read here")
        return given

    return bounded


def _cell(value: object) -> object:
    """A value of a row, as it is."""
    if isinstance(value, str):
        return _sound(value)
    if value is not None and not isinstance(value, bool | int | float):
        raise ValueError("a cell is text, a number, true, false or null")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it is no finite number; send null where a value is unknown")
    return value


Listed = Annotated[list[T], Field(fail_fast=True)]
Text = Annotated[str, AfterValidator(_sound)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Few = BeforeValidator(_at_most(MOST_FIELDS))
Experts = Annotated[dict[Name, Weight], Few] | Annotated[Listed[Name], Few] | Literal["auto", "base"]
Stop = Annotated[Text, StringConstraints(min_length=1, max_length=LONGEST_STOP)]
Cell = Annotated[
    str | float | int | bool | None,
    PlainValidator(_cell, json_schema_input_type=str | float | int | bool | None),
]
Columns = BeforeValidator(_at_most(MOST_COLUMNS))


class Wire(BaseModel):
    """A request; no unknown field, no NaN."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: Any) -> Any:
        return _at_most(MOST_FIELDS)(given)


class StreamOptions(Wire):
    """What a stream also says: ``include_usage`` adds a last chunk with the usage."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Generated(Wire):
    """What both ways of asking for text have in common; None is a field that was left out.

    ``experts`` (names with weights, a list of names, ``auto`` or ``base``) and ``priority`` are this server's own.
    """

    model: Name
    experts: Experts | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-SEED, le=SEED)] | None = None
    stop: Stop | Annotated[Listed[Stop], Field(max_length=MOST_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: Annotated[dict[str, str], Few] | None = None
    logit_bias: Annotated[dict[str, float], Few] | None = None

    @model_validator(mode="after")
    def _checked(self) -> Generated:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream = true")
        _refuse({"logit_bias": self.logit_bias})
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings."""
        return () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def _refuse(given: dict[str, Any]) -> None:
    """Refuse fields of OpenAI's that would change the answer, unless they ask for nothing."""
    for name, value in given.items():
        if value:
            raise ValueError(f"{name} is not supported by this server; leave it out")


class CompletionRequest(Generated):
    """Of ``/v1/completions``: a prompt, or several, continued as they are."""

    prompt: Text | Annotated[Listed[Text], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None

    @model_validator(mode="after")
    def _completes(self) -> CompletionRequest:
        _refuse({"echo": self.echo, "suffix": self.suffix, "best_of": self.best_of not in (None, 1, self.n)})
        return self

    @property
    def prompts(self) -> list[str]:
        """All prompts."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class TextPart(Wire):
    """A part of a message; only texts are read here."""

    type: Literal["text"]
    text: Text


class ChatMessage(Wire):
    """A turn. ``developer`` is ``system`` by its new name."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[Listed[TextPart], Field(min_length=1)]
    name: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    annotations: list[Any] | None = None

    @property
    def text(self) -> str:
        """All parts."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ResponseFormat(Wire):
    """Plain text is the only form."""

    type: Literal["text"]


class ChatRequest(Generated):
    """Of ``/v1/chat/completions``: a conversation, answered through the base's chat template."""

    messages: Annotated[Listed[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    modalities: Listed[Literal["text"]] | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    functions: list[Any] | None = None
    function_call: Any = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @model_validator(mode="after")
    def _chats(self) -> ChatRequest:
        tools = {"tool_choice": self.tool_choice not in (None, "none", "auto"), "functions": self.functions}
        _refuse({"tools": self.tools, "audio": self.audio, "prediction": self.prediction, "store": self.store} | tools)
        _refuse(
            {
                "web_search_options": self.web_search_options,
                "function_call": self.function_call not in (None, "none", "auto"),
            }
        )
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs = true")
        if None not in (self.max_tokens, self.max_completion_tokens):
            raise ValueError("max_tokens is the old name of max_completion_tokens; give one of both")
        return self


class PredictRequest(Wire):
    """Of ``/predict``: rows as records or as columns, of one row expert; ``auto`` finds the one with these columns."""

    model: Name
    rows: Annotated[Listed[Annotated[dict[Text, Cell], Columns]], Field(min_length=1)] | None = None
    columns: Annotated[dict[Text, Listed[Cell]], Field(min_length=1), Columns] | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0

    @model_validator(mode="after")
    def _one_form(self) -> PredictRequest:
        if (self.rows is None) == (self.columns is None):
            raise ValueError("give rows (a list of records) or columns (a list of values by name): one of the two")
        if self.columns is not None and len({len(values) for values in self.columns.values()}) > 1:
            raise ValueError("columns differ in length; every column needs a value for every row, null where unknown")
        return self

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.rows) if self.rows is not None else len(next(iter((self.columns or {"": []}).values())))

    @property
    def width(self) -> int:
        """How many columns, by the first row."""
        return len(self.rows[0]) if self.rows is not None else len(self.columns or {})


class WeightRequest(Wire):
    """Of ``/experts/NAME/weight``: by how much ``auto`` prefers an expert; null is what its package says."""

    priority: Annotated[float, Field(ge=0, le=1, strict=True)] | None


class FeedbackRequest(Wire):
    """Of ``/feedback``: the id of an answer, and whether the experts that answered were the right ones."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    won: bool
