"""Answers of a file, kept line by line beside the output until all are there: a killed run goes on where it was."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from foundation.files import atomic_path
from foundation.hashing import hash_file
from serving.answer import Answer
from serving.error import ServingError

AUDIT = "audit"


def key_of(source: Path, settings: Mapping[str, Any]) -> str:
    """Text that two runs have in common only if their answers belong together."""
    told = json.dumps({"source": hash_file(source), **settings}, sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def record_of(answer: Answer) -> dict[str, Any]:
    """An answer about text as plain data."""
    return {
        "output": answer.text, "experts": dict(answer.experts), "why": answer.why, "finish": answer.finish,
        "prompt_tokens": answer.usage.prompt_tokens, "completion_tokens": answer.usage.completion_tokens,
        "latency": rounded(answer.latency),
    }  # fmt: skip


def rounded(latency: Mapping[str, float]) -> dict[str, float]:
    """Seconds by phase, to the microsecond; of rows: those of the whole request that a row was part of."""
    return {phase: round(seconds, 6) for phase, seconds in latency.items()}


def error_of(error: ServingError) -> dict[str, Any]:
    """Why there is no answer, as plain data."""
    return {"error": error.reason, "why": error.text}


class Results:
    """The answers of one run; a context manager.

    Parameters
    ----------
    output : Path
        ``.jsonl`` or ``.csv``, written whole by :meth:`finish`; until then answers are in ``.OUTPUT.partial``.
    key : str
        Of :func:`key_of`.
    restart : bool
        Forget what an interrupted run has answered.

    Attributes
    ----------
    done : dict of int to mapping
        Answers by row, those of an interrupted run included; rows without an answer are asked again.

    Raises
    ------
    ServingError
        ``bad-request``: the output is of another kind, or what lies there is of a run with other settings.
    """

    def __init__(self, output: Path, key: str, *, restart: bool = False) -> None:
        if output.suffix not in (".jsonl", ".csv"):
            raise ServingError("bad-request", f"Answers are written to .jsonl or .csv, not to {output}.")
        self.output, self._key = output, key
        self.partial = output.with_name(f".{output.name}.partial")
        self.done: dict[int, dict[str, Any]] = {}
        self.audits: list[dict[str, Any]] = []
        if restart:
            self.partial.unlink(missing_ok=True)
        self._go_on()
        self._file: IO[str] | None = None

    def _go_on(self) -> None:
        if not self.partial.is_file():
            return
        lines = self.partial.read_text(encoding="utf-8").split("\n")[:-1]  # what a kill cut off has no line end
        if not lines or json.loads(lines[0]).get("key") != self._key:
            raise ServingError(
                "bad-request",
                f"{self.partial} holds answers of an interrupted run on another file or with other settings. Run that "
                "command again to finish it, or give --restart to forget them.",
            )
        for line in lines[1:]:
            found = json.loads(line)
            if AUDIT in found:
                self.audits.append(found[AUDIT])
            elif "error" not in found:
                self.done[found["row"]] = found

    def __enter__(self) -> Self:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        kept: list[dict[str, Any]] = [
            {"key": self._key},
            *({AUDIT: audit} for audit in self.audits),
            *self.done.values(),
        ]
        with atomic_path(self.partial) as path:
            path.write_text("".join(map(_line, kept)), encoding="utf-8")
        self._file = self.partial.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, records: Sequence[dict[str, Any]], audit: dict[str, Any] | None = None) -> None:
        """Keep answers; each has its ``row``. They are on disk when this returns."""
        assert self._file is not None
        told = [*records, *([] if audit is None else [{AUDIT: audit}])]
        self._file.write("".join(map(_line, told)))
        self._file.flush()
        self.done.update({record["row"]: record for record in records})
        self.audits += [] if audit is None else [audit]

    def finish(self, audit: Path | None = None) -> int:
        """Write the output, in the order of the file; returns how many rows have no answer.

        Rows without an answer say why, and the answers stay for another try.
        """
        records = [self.done[row] for row in sorted(self.done)]
        with atomic_path(self.output) as path:
            if self.output.suffix == ".csv":
                _write_csv(records, path)
            else:
                path.write_text("".join(map(_line, records)), encoding="utf-8")
        if audit is not None:
            with atomic_path(audit) as path:
                path.write_text("".join(map(_line, self.audits)), encoding="utf-8")
        failed = sum("error" in record for record in records)
        if not failed:
            self.partial.unlink()
        return failed


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _write_csv(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    flat = [_flat(record) for record in records]
    names = list(dict.fromkeys(name for record in flat for name in record))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table: weights as a=0.7,b=0.3, the whole latency in seconds."""
    found = dict(record)
    if "experts" in found:
        found["experts"] = ",".join(f"{name}={weight:g}" for name, weight in found["experts"].items())
    if "latency" in found:
        found["latency"] = found["latency"]["total"]
    return found
