"""An examination is held: every model is asked the same, scored, and compared with the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.examining.material import Material
from foundation.progress import Tell, silent

if TYPE_CHECKING:
    from llm_experts.data.example import Example
    from llm_experts.evaluation.answers import Asking
    from llm_experts.evaluation.candidate import Candidate
    from llm_experts.evaluation.compare import Comparison
    from llm_experts.evaluation.contamination import Contamination
    from llm_experts.evaluation.examination import ScoreRow
    from llm_experts.evaluation.score import Answered
    from llm_experts.runtime.resident import ResidentBase

BASE = "base"
"""Name of the base in tables; experts are compared with it."""


@dataclass(frozen=True, eq=False)
class Examined:
    """One model of an examination.

    Attributes
    ----------
    name : str
    rows : list of ScoreRow
    items : list of Answered
    cut, unread : int
        Answers that ended at the limit of tokens, and those to prompts that do not fit.
    contamination : Contamination or None
        Where the training data were given.
    """

    name: str
    rows: list[ScoreRow]
    items: list[Answered]
    cut: int
    unread: int
    contamination: Contamination | None = None


@dataclass(frozen=True, eq=False)
class Held:
    """An examination.

    Attributes
    ----------
    material : Material
    models : list of Examined
        The base first.
    comparisons : list of Comparison
        Of every other model with the base, by every score.
    """

    material: Material
    models: list[Examined]
    comparisons: list[Comparison]


def hold(
    on: ResidentBase,
    candidates: Sequence[Candidate],
    material: Material,
    asking: Asking,
    *,
    learnt: Sequence[Example] = (),
    keep: Path | None = None,
    progress: Tell = silent,
) -> Held:
    """Examine the base and candidates on it.

    Parameters
    ----------
    on : ResidentBase
        Knows their adapters.
    candidates : sequence of Candidate
    material : Material
    asking : Asking
    learnt : sequence of Example
        Training data, for contamination.
    keep : Path, optional
        File in which answers are kept.
    progress : callable, optional
        ``progress(model, done, total)``.

    Raises
    ------
    EvaluationError
        If there are fewer than 30 items, or a candidate has the base's name.
    """
    from llm_experts.evaluation.candidate import Candidate
    from llm_experts.evaluation.compare import compare_all
    from llm_experts.evaluation.error import EvaluationError
    from llm_experts.evaluation.examination import check_enough

    check_enough(len(material.examples), material.name)
    if any(candidate.name == BASE for candidate in candidates):
        raise EvaluationError(
            f"An expert cannot be called {BASE!r} in an examination: that is the base beside it. Rename its folder."
        )
    models = [
        _examined(on, candidate, material, asking, () if candidate.name == BASE else learnt, keep, progress)
        for candidate in (Candidate(BASE), *candidates)
    ]
    told = [(model.name, model.items) for model in models]
    return Held(material, models, compare_all(material.scores, told[1:], told[0], seed=asking.seed))


def _examined(
    on: ResidentBase,
    candidate: Candidate,
    material: Material,
    asking: Asking,
    learnt: Sequence[Example],
    keep: Path | None,
    progress: Tell,
) -> Examined:
    from llm_experts.evaluation.answered import answered
    from llm_experts.evaluation.contamination import contamination
    from llm_experts.evaluation.examination import examine

    def told(done: int, total: int) -> None:
        progress(candidate.name, done, total)

    items, answers = answered(
        on, candidate, material.examples, material.scores, asking, judge=material.judge, keep=keep, progress=told
    )
    ends = [one.finish for some in answers for one in some]
    return Examined(
        candidate.name, examine(items, material.scores, seed=asking.seed), items, ends.count("length"),
        ends.count("unread"), contamination(learnt, items, material.scores, seed=asking.seed) if learnt else None,
    )  # fmt: skip
