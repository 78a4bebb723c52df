"""One line's object as an item: which format it is, what it lacks, what its fields mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_experts.data.example import Example, Message

Record = Mapping[str, Any]
ROLES = ("system", "user", "assistant")


class Fault(ValueError):
    """What is wrong with a record, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


@dataclass(frozen=True)
class Format:
    """How the fields of a line are read.

    Attributes
    ----------
    described : str
        In errors.
    sign : str
        The key by which a line is of this format, unless an earlier format has its own.
    read : callable
        ``read(record, id, need) -> Example``.
    """

    described: str
    sign: str
    read: Callable[[Record, str, str], Example]


def format_of(record: Record) -> str:
    """Name of the format that a record's keys tell; "" if they tell none."""
    return next((name for name, entry in FORMATS.items() if entry.sign in record), "")


def wants(need: str) -> str:
    """An example line for a need."""
    return _LINES[need]


def example_of(record: Record, shape: str, need: str, name: str) -> Example:
    """The item of a record.

    Parameters
    ----------
    record : mapping
    shape : str
        Format of the file; "" where neither this record nor one before it has the keys of one.
    need : str
        As in :func:`llm_experts.data.reading.read_examples`.
    name : str
        Its id if it has none of its own.

    Raises
    ------
    Fault
        If a field is missing, has the wrong type, is empty where it may not be, or the pieces contradict each other.
    """
    if not shape:
        keys = ", ".join(map(repr, list(record)[:8])) or "none"
        raise Fault(f"the keys of the line ({keys}) are those of no format", f"Write lines such as {_LINES[need]}")
    if need == "pair" and shape != "pair":
        raise Fault(f"a pair of answers is needed, and this is {FORMATS[shape].described}", f"Write {_LINES['pair']}")
    example = FORMATS[shape].read(record, _id(record, name), need)
    _within_labels(example)
    return example


def _plain(record: Record, name: str, need: str) -> Example:
    turns = _prompt(record, "prompt")
    return Example(name, turns, _answer(record, "completion", need), facts=_facts(record))


def _instruction(record: Record, name: str, need: str) -> Example:
    asked = _text(record, "instruction")
    given = _text(record, "input") if record.get("input") is not None else ""
    if not asked.strip():
        raise Fault("instruction is empty", "Say what is asked")
    facts = {**_facts(record), **({"instruction": asked, "input": given} if given else {})}
    return Example(name, f"{asked}\n\n{given}" if given else asked, _answer(record, "output", need), facts=facts)


def _messages(record: Record, name: str, need: str) -> Example:
    turns = _turns(record["messages"], "messages")
    if turns[-1].role == "assistant":
        prompt, answer = turns[:-1], turns[-1].content
    else:
        prompt, answer = turns, ""
    if need != "prompt" and not answer.strip():
        raise Fault(
            "messages has no last turn of the assistant with a text, which is the answer to learn",
            "End the conversation with the assistant's turn",
        )
    _in_order(prompt)
    return Example(name, prompt, answer, facts=_facts(record))


def _pair(record: Record, name: str, need: str) -> Example:
    prompt = _prompt(record, "prompt")
    chosen, rejected = _answer(record, "chosen", "completion"), _answer(record, "rejected", "completion")
    if chosen == rejected:
        raise Fault("chosen and rejected are the same text", "Leave the line out: it says nothing")
    if need == "prompt":
        return Example(name, prompt, chosen, facts=_facts(record))
    return Example(name, prompt, chosen, rejected if need == "pair" else None, facts=_facts(record))


def _bare(record: Record, name: str, need: str) -> Example:
    text = _text(record, "text")
    if not text.strip():
        raise Fault("text is empty", "Leave the line out, or write a text")
    if need == "completion":
        raise Fault("a prompt and an answer are needed, and this is a bare text", f"Write {_LINES['completion']}")
    prompt, completion = (text, "") if need == "prompt" else ("", text)
    return Example(name, prompt, completion, facts=_facts(record))


FORMATS: dict[str, Format] = {
    "messages": Format("a conversation (messages)", "messages", _messages),
    "pair": Format("a pair of answers (prompt, chosen, rejected)", "chosen", _pair),
    "instruction": Format("an instruction (instruction, input, output)", "instruction", _instruction),
    "prompt": Format("a prompt with its answer (prompt, completion)", "prompt", _plain),
    "text": Format("a bare text (text)", "text", _bare),
}
"""Formats by name, in the order in which keys are looked at."""
_LINES = {
    "completion": '{"prompt": "1 + 1 =", "completion": "2"}',
    "pair": '{"prompt": "1 + 1 =", "chosen": "2", "rejected": "3"}',
    "prompt": '{"prompt": "1 + 1 ="}',
    "text": '{"text": "One and one is two."}',
}


def _id(record: Record, name: str) -> str:
    own = record.get("id")
    if own is None:
        return name
    if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
        raise Fault("id is neither a text nor a whole number", "Give every item an id of its own, or leave it out")
    return _clean(str(own), "id")


def _facts(record: Record) -> dict[str, Any]:
    facts = record.get("facts")
    if facts is not None and not isinstance(facts, dict):
        raise Fault(f"facts is {_kind(facts)}, not an object", "Write facts as an object, or leave it out")
    facts = dict(facts or {})
    if "labels" in record:
        facts["labels"] = record["labels"]
    return facts


def _within_labels(example: Example) -> None:
    """Refuse an answer that is none of the item's labels."""
    labels = example.facts.get("labels")
    if labels is None:
        return
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) and label for label in labels):
        raise Fault("labels is not a list of texts", 'Write the possible answers, such as "labels": ["yes", "no"]')
    for answer in (example.completion, example.rejected):
        if answer and answer.strip() not in labels:
            raise Fault(
                f"the answer {_short(answer)} is none of the labels {', '.join(map(_short, labels))}",
                "Correct the answer, or add it to labels",
            )


def _prompt(record: Record, key: str) -> str | tuple[Message, ...]:
    value = record.get(key)
    if isinstance(value, list):
        turns = _turns(value, key)
        _in_order(turns)
        return turns
    text = _text(record, key)
    if not text.strip():
        raise Fault(f"{key} is empty", "Say what is asked, or leave the line out")
    return text


def _answer(record: Record, key: str, need: str) -> str:
    value = record.get(key)
    if isinstance(value, list):
        turns = _turns(value, key)
        if len(turns) != 1 or turns[0].role != "assistant":
            raise Fault(f"{key} is a conversation of its own", "Give one turn of the assistant, or a text")
        text = turns[0].content
    elif value is None and need == "prompt":
        return ""
    else:
        text = _text(record, key)
    if need != "prompt" and not text.strip():
        raise Fault(f"{key} is empty, and an answer is needed", "Write the answer, or leave the line out")
    return text


def _text(record: Record, key: str) -> str:
    if key not in record:
        keys = ", ".join(map(repr, list(record)[:8]))
        raise Fault(f"the field {key!r} is missing (the line has {keys})", f"Add {key}")
    value = record[key]
    if not isinstance(value, str):
        raise Fault(f"{key} is {_kind(value)}, not a text", f"Write {key} in quotation marks")
    return _clean(value, key)


def _clean(text: str, key: str) -> str:
    """The text, if every character of it can be written and read again."""
    if "\0" in text:
        raise Fault(f"{key} holds a NUL character", "Take it out")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Fault(
            f"{key} holds half of a character ({text[error.start]!a}, a lone surrogate)", "Write the text as UTF-8"
        ) from None
    return text


def _turns(value: Any, key: str) -> tuple[Message, ...]:
    """Messages of a list."""
    if not isinstance(value, list) or not value:
        raise Fault(
            f"{key} is {'an empty list' if value == [] else _kind(value)}, not a list of messages",
            'Write messages such as {"role": "user", "content": "…"}',
        )
    turns = []
    for number, entry in enumerate(value, start=1):
        where = f"message {number} of {key}"
        if not isinstance(entry, dict):
            raise Fault(f"{where} is {_kind(entry)}, not an object", 'Write {"role": "user", "content": "…"}')
        role, content = entry.get("role"), entry.get("content")
        if role not in ROLES:
            raise Fault(f"{where} has the role {role!r}", f"Roles are {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise Fault(f"{where} has {_kind(content)} as content, not a text", "Write its text as content")
        turns.append(Message(str(role), _clean(content, f"{where}, content,")))
    return tuple(turns)


def _in_order(turns: tuple[Message, ...]) -> None:
    """Refuse a conversation that no assistant could answer: a prompt is system?, user, (assistant, user)*."""
    own = turns[1:] if turns and turns[0].role == "system" else turns
    expected = ["user" if index % 2 == 0 else "assistant" for index in range(len(own))]
    for number, (turn, role) in enumerate(zip(own, expected, strict=True), start=1 + len(turns) - len(own)):
        if turn.role != role:
            raise Fault(
                f"message {number} has the role {turn.role}, where {role} is expected",
                "Write at most one system message first, then user and assistant in turn",
            )
    if not own or own[-1].role != "user":
        raise Fault("the prompt does not end with a message of the user", "End it with what is asked")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {list: "a list", dict: "an object", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
