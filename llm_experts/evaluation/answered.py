"""Items as a model answered them: generated, judged and read, as far as the scores need it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llm_experts.data.encoding import encode
from llm_experts.data.example import Example
from llm_experts.evaluation.answers import Asking, Progress, answer
from llm_experts.evaluation.candidate import Candidate
from llm_experts.evaluation.likelihood import Likelihood, likelihoods
from llm_experts.evaluation.score import Answered, Judge, Score
from llm_experts.evaluation.store import Told
from llm_experts.runtime.resident import ResidentBase


def answered(
    on: ResidentBase,
    candidate: Candidate,
    examples: Sequence[Example],
    scores: Sequence[Score],
    asking: Asking | None = None,
    *,
    judge: Judge | None = None,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> tuple[list[Answered], list[tuple[Told, ...]]]:
    """What a model makes of items.

    Parameters
    ----------
    on : ResidentBase
        Knows the adapters of the candidate.
    candidate : Candidate
    examples : sequence of Example
    scores : sequence of Score
        What they need is asked: answers, likelihoods of the completions, or both.
    asking : Asking, optional
    judge : callable, optional
        The checker of the items' family.
    keep, progress
        See :func:`llm_experts.evaluation.answers.answer`.

    Returns
    -------
    (list of Answered, list of tuple of Told)
        The second is empty where no score needs answers.
    """
    how, needs = asking or Asking(), {score.needs for score in scores}
    told: list[tuple[Told, ...]] = []
    if "answer" in needs:
        told = answer(on, candidate, examples, how, keep=keep, progress=progress)
    read = _read(on, candidate, examples, how) if "likelihood" in needs else [None] * len(examples)
    found = []
    for index, example in enumerate(examples):
        texts = tuple(one.text for one in told[index]) if told else ()
        verdicts = tuple(judge(example, text) for text in texts) if judge is not None else ()
        likely = read[index]
        found.append(
            Answered(example, texts, verdicts)
            if likely is None
            else Answered(example, texts, verdicts, likely.log_prob, likely.tokens)
        )
    return found, told


def _read(on: ResidentBase, candidate: Candidate, examples: Sequence[Example], how: Asking) -> list[Likelihood | None]:
    """Likelihoods of the completions; None for an item without one. A prompt too long loses its beginning."""
    with on.lease([candidate.composition]):
        room = on.base.context - on.prefix(candidate.composition).length
    kept = [index for index, example in enumerate(examples) if example.completion]
    pairs = []
    for index in kept:
        encoded = encode(examples[index], on.base, max_length=room, style=how.style)
        first = encoded.learnt.index(True)
        pairs.append((encoded.ids[:first], encoded.ids[first:]))
    found: list[Likelihood | None] = [None] * len(examples)
    for index, likely in zip(kept, likelihoods(on, candidate.composition, pairs), strict=True):
        found[index] = likely
    return found
