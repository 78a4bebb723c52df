"""Answers that are kept, so that a long examination goes on where it was stopped.

A line of JSON for each answer, written as soon as it ends; a line that a kill cut short is left out when it is read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from llm_experts.evaluation.error import EvaluationError


@dataclass(frozen=True)
class Told:
    """One generated answer.

    Attributes
    ----------
    text : str
        Without the prompt and the token that ends it.
    finish : str
        ``stop`` (it ended by itself), ``length`` (it was cut at the limit) or ``unread`` (the prompt does not fit).
    tokens : int
        How many it has.
    """

    text: str
    finish: str
    tokens: int = 0


class AnswerStore:
    """Answers by key: in memory, and in a file where one is named.

    Parameters
    ----------
    path : Path, optional
        File of JSON lines; made on the first answer.

    Raises
    ------
    EvaluationError
        If the file cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._found, self._cut = path, dict[str, Told](), False
        if path is not None and path.exists():
            text = _text(path)
            self._found, self._cut = _read(text), not text.endswith("\n")

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: str) -> Told | None:
        """The answer under a key."""
        return self._found.get(key)

    def keep(self, key: str, told: Told) -> None:
        """Keep an answer at once.

        Raises
        ------
        EvaluationError
            If the file cannot be written.
        """
        self._found[key] = told
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write("\n" * self._cut + json.dumps({"key": key, **asdict(told)}) + "\n")
        except OSError as error:
            raise EvaluationError(f"Answers cannot be kept in {self._path}: {error}. Name another folder.") from error
        self._cut = False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise EvaluationError(f"Answers in {path} cannot be read: {error}. Name another folder.") from error


def _read(text: str) -> dict[str, Told]:
    found: dict[str, Told] = {}
    for line in text.splitlines():
        try:
            told = json.loads(line)
            found[str(told["key"])] = Told(str(told["text"]), str(told["finish"]), int(told["tokens"]))
        except (ValueError, KeyError, TypeError):  # cut short: it is asked again
            continue
    return found
