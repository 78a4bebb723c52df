"""What a mixture search found, and how it got there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from foundation.files import write_json, write_text
from foundation.numbers import finite
from llm_experts.search.guiding.guidance import AdviceSummary, Guidance
from llm_experts.search.rounds import Generation
from llm_experts.search.surrogate import Error
from llm_experts.search.validation import Rejection, Winner

Weights = dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """One mixture that was evaluated truly.

    Attributes
    ----------
    alphas : weight by expert
    kind : {"base", "single", "mixture"}
    origin : {"anchor", "front", "reference"}
        Anchor of the surrogate, member of a surrogate front, or base or single expert outside the box.
    round : int
        Round that evaluated it; 0: before the first.
    true : measure -> value on the search rows
    surrogate : measure -> value that the surrogate gave before, empty for anchors
    deviation : measure -> surrogate − true
    feasible : bool
    violation : float
    on_front : bool
        Not dominated by any mixture that was evaluated truly.
    """

    alphas: Weights
    kind: str
    origin: str
    round: int
    true: dict[str, float]
    surrogate: dict[str, float]
    deviation: dict[str, float]
    feasible: bool
    violation: float
    on_front: bool


@dataclass(frozen=True)
class RoundReport:
    """How good the surrogate of a round was.

    ``cross_validation``: error on anchors left out of the fit; ``deviation``: error on the members of its front, which
    are then evaluated truly.
    """

    round: int
    anchors: int
    generations: int
    stopped: bool
    cross_validation: dict[str, Error]
    deviation: dict[str, Error]


@dataclass(frozen=True)
class SearchResult:
    """Result of :func:`llm_experts.search.search.search_mixtures`.

    Attributes
    ----------
    names : tuple of str
        The experts.
    settings : dict
    candidates : list of Candidate
        Everything that was evaluated truly, references last.
    curve : list of Generation
        Hypervolume by generation.
    reference : measure -> value
        The hypervolume's reference point.
    rounds : list of RoundReport
    guidance : list of Guidance
    advice : AdviceSummary
    winner : Winner
    rejections : list of Rejection
    surrogate_evaluations, true_evaluations : int
        Mixtures judged by the surrogate; mixtures that went through the model in this process (cached ones do not).
    seconds : part -> seconds
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    candidates: list[Candidate]
    curve: list[Generation]
    reference: dict[str, float]
    rounds: list[RoundReport]
    guidance: list[Guidance]
    advice: AdviceSummary
    winner: Winner
    rejections: list[Rejection]
    surrogate_evaluations: int
    true_evaluations: int
    seconds: dict[str, float]

    @property
    def front(self) -> list[Candidate]:
        """Feasible mixtures that nothing dominates, in the order of ``candidates``."""
        return [c for c in self.candidates if c.on_front]

    def save(self, folder: Path) -> None:
        """Write ``search.json`` (all of it) and ``candidates.csv``, ``hypervolume.csv``, ``guidance.csv``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "search.json", plain(self))
        write_text(folder / "candidates.csv", _table(_candidate_row(c) for c in self.candidates))
        write_text(folder / "hypervolume.csv", _table(_curve_row(g, self.names) for g in self.curve))
        write_text(folder / "guidance.csv", _table(_guidance_row(g) for g in self.guidance))


def plain(value: Any) -> Any:
    """JSON-able form: data classes and named tuples become objects, nan and infinities None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(getattr(value, key)) for key in value.__dataclass_fields__}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return finite(value)


def _candidate_row(candidate: Candidate) -> dict[str, Any]:
    parts = {"alpha": candidate.alphas, "true": candidate.true}
    parts |= {"surrogate": candidate.surrogate, "deviation": candidate.deviation}
    row = {key: getattr(candidate, key) for key in ("kind", "origin", "round", "feasible", "violation", "on_front")}
    return row | {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def _curve_row(generation: Generation, names: tuple[str, ...]) -> dict[str, Any]:
    row = generation._asdict()
    for end in ("low", "high"):
        row |= {f"{end}.{name}": value for name, value in zip(names, row.pop(end), strict=True)}
    return row


def _guidance_row(entry: Guidance) -> dict[str, Any]:
    row = asdict(entry)
    for part in ("rule", "advice"):
        for name, (low, high) in (row.pop(part) or {}).items():
            row |= {f"{part}.{name}.low": low, f"{part}.{name}.high": high}
    return row


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV text; columns in order of first appearance, nan empty."""
    cleaned = [{k: "" if v is None else v for k, v in plain(row).items()} for row in rows]
    columns = list(dict.fromkeys(key for row in cleaned for key in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(cleaned)
    return text.getvalue()
