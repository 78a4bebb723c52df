"""What was drafted and found so far, line by line, so that a killed production goes on where it was.

The first line says of what the file is the journal; each draft is a line as soon as there is one, and so is what the
checks found of each batch. A line that was torn by the kill is dropped.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from foundation.numbers import finite
from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.data.reading import as_record
from llm_experts.generation.checks.check import Finding, Findings
from llm_experts.generation.draft import Draft


class Drafted(NamedTuple):
    """A draft, and the dollars that were spent between it and the one before."""

    draft: Draft
    dollars: float


class Journal:
    """An append-only file of drafts and findings.

    Parameters
    ----------
    stream : file, open for appending
    lines : sequence of dict
        What it holds already, without its header.

    Attributes
    ----------
    dollars : float
        What the drafts cost that it held when it was opened.
    """

    def __init__(self, stream: IO[bytes], lines: Sequence[Mapping[str, Any]]) -> None:
        self._stream = stream
        self._lines = deque(lines)
        self.dollars = sum(line.get("dollars", 0.0) for line in lines)

    def drafts(self, count: int) -> list[Drafted]:
        """The recorded drafts of a batch of ``count``: all that its findings tell of, else what there is."""
        found: list[Drafted] = []
        while len(found) < count and self._lines and "item" in self._lines[0]:
            found.append(_drafted(self._lines.popleft()))
        return found

    def findings(self) -> list[Findings] | None:
        """What was found of the batch whose drafts were just taken; None where that is not recorded."""
        if not self._lines or "findings" not in self._lines[0]:
            return None
        return [
            {name: Finding(ok, float("nan") if value is None else value, reason) for name, ok, value, reason in each}
            for each in self._lines.popleft()["findings"]
        ]

    def add_draft(self, draft: Draft, dollars: float) -> None:
        """Record a draft at once."""
        record = as_record(draft.example)
        more = {"topic": draft.topic, "difficulty": draft.difficulty, "variant_of": draft.variant_of}
        self._add({"item": record, **more, "fault": draft.fault, "dollars": dollars})

    def add_findings(self, findings: Sequence[Findings]) -> None:
        """Record what was found of a batch, and have it on the disk."""
        rows = [[[name, of.ok, of.value, of.reason] for name, of in each.items()] for each in findings]
        self._add({"findings": finite(rows)})
        os.fsync(self._stream.fileno())

    def _add(self, line: Mapping[str, Any]) -> None:
        self._stream.write(_line(line))
        self._stream.flush()


@contextmanager
def journal_at(path: Path, header: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal at a path, begun with ``header`` if there is none.

    Raises
    ------
    DataError
        If it is the journal of something else: the header's fields that differ are named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        lines = _whole_lines(stream)
        if lines:
            _same(path, lines[0], json.loads(_line(header)))
        else:
            stream.truncate(0)
            stream.write(_line(header))
            stream.flush()
        yield Journal(stream, lines[1:])


def _whole_lines(stream: IO[bytes]) -> list[dict[str, Any]]:
    """The lines up to the first torn one, which is cut off with all behind it."""
    stream.seek(0)
    found: list[dict[str, Any]] = []
    end = 0
    for line in stream:
        try:
            found.append(json.loads(line if line.endswith(b"\n") else b""))
        except ValueError:
            break
        end += len(line)
    stream.truncate(end)
    stream.seek(end)
    return found


def _same(path: Path, known: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    other = [name for name in {**known, **header} if known.get(name) != header.get(name)]
    if other:
        raise DataError(
            f"{path} is the journal of other items: {', '.join(other)} differ from what is asked for. Name another "
            "folder, or remove this one to begin anew."
        )


def _drafted(line: Mapping[str, Any]) -> Drafted:
    example = _example(line["item"])
    draft = Draft(example, line["topic"], line["difficulty"], line["variant_of"], line["fault"])
    return Drafted(draft, line["dollars"])


def _example(record: Mapping[str, Any]) -> Example:
    """The inverse of :func:`~llm_experts.data.reading.as_record`, of drafts that no reader would take as well."""
    asked = record["prompt"]
    prompt = asked if isinstance(asked, str) else tuple(Message(**turn) for turn in asked)
    facts = record.get("facts", {})
    if "chosen" in record:
        return Example(record["id"], prompt, record["chosen"], record["rejected"], facts)
    return Example(record["id"], prompt, record["completion"], facts=facts)


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
