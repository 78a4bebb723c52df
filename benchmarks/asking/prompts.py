"""Files of prompts: JSON Lines, CSV or Parquet, a prompt or a conversation a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.asking.session import experts_named
from llm_experts.data.example import Message
from serving.error import ServingError
from serving.request import Experts

PROMPT, MESSAGES, EXPERTS = "prompt", "messages", "experts"
LINES = (".jsonl", ".ndjson")
KINDS = (*LINES, ".csv", ".parquet")


@dataclass(frozen=True)
class Asked:
    """A line of the file.

    Attributes
    ----------
    prompt : str or None
    messages : tuple of Message or None
    experts : mapping, "auto" or None
        Who answers this line.
    """

    prompt: str | None
    messages: tuple[Message, ...] | None
    experts: Experts


def records_in(path: Path) -> list[dict[str, Any]]:
    """Lines of a file as they are written.

    Raises
    ------
    ServingError
        ``bad-request``: there is no such file, it is of another kind, or a line cannot be read; the text says which.
    """
    if not path.is_file():
        raise _bad(f"There is no file {path}; give one of prompts or rows ({', '.join(KINDS)}).")
    if path.suffix in LINES:
        return [_record(line, f"{path}, line {number}") for number, line in _lines(path)]
    if path.suffix not in KINDS:
        raise _bad(f"{path} is of no kind that is read here; give {', '.join(KINDS)}.")
    return _table(path)


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"{path} is not UTF-8 ({error}); write it as UTF-8.") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _record(line: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise _bad(f"{place} is no JSON ({error}); write one object a line.") from error
    if isinstance(found, str):
        return {PROMPT: found}
    if not isinstance(found, dict):
        raise _bad(f'{place} is {type(found).__name__}, not an object such as {{"prompt": "…"}}.')
    return found


def _table(path: Path) -> list[dict[str, Any]]:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise _bad(
            f"{path} cannot be read ({' '.join(str(error).split())[:200]}); is it a {path.suffix[1:]} file?"
        ) from error
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def is_text(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a file holds prompts or conversations, not rows."""
    first = next(iter(records), {})
    return PROMPT in first or MESSAGES in first


def asked_of(record: Mapping[str, Any], experts: Experts, place: str) -> Asked:
    """A line's request; its own ``experts`` count more than those of the command.

    Raises
    ------
    ServingError
        ``bad-request``: it has neither or both, or messages that are none.
    """
    given = record.get(EXPERTS)
    who = experts if given in (None, "") else experts_named(given) if isinstance(given, str) else _weights(given, place)
    prompt, messages = record.get(PROMPT), record.get(MESSAGES)
    if isinstance(prompt, str) and messages is None:
        return Asked(prompt, None, who)
    if prompt is None and isinstance(messages, (list, tuple)):
        return Asked(None, tuple(_message(one, place) for one in messages), who)
    raise _bad(f"{place} needs a prompt (text) or messages (a list of role and content), one of the two.")


def _weights(given: Any, place: str) -> dict[str, float]:
    if isinstance(given, list) and all(isinstance(name, str) for name in given) and len(set(given)) == len(given):
        given = dict.fromkeys(given, 1.0)  # as a request to the server may name them
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise _bad(f"{place}: experts are text such as a=0.7,b, a list of names or an object of weights, not {kind}.")
    return dict(given)


def _message(one: Any, place: str) -> Message:
    if not isinstance(one, Mapping) or not all(isinstance(one.get(key), str) for key in ("role", "content")):
        raise _bad(f"{place}: a message is an object with role and content.")
    return Message(one["role"], one["content"])


def _bad(text: str) -> ServingError:
    return ServingError("bad-request", text)
