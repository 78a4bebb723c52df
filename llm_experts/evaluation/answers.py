"""Answers of a model to the items of a set, generated in one continuous batch.

A prompt is written as for learning (:mod:`llm_experts.data.encoding`), and only what is generated after it is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foundation.hashing import hash_json
from foundation.seeding import derive_seed
from llm_experts.bases.base import Base
from llm_experts.bases.identify import base_key
from llm_experts.data.encoding import Style, answer_ids, prompt_ids, stops_of
from llm_experts.data.example import Example
from llm_experts.evaluation.candidate import Candidate
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.store import AnswerStore, Told
from llm_experts.runtime.generation import Generation, TooLongError
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling

Progress = Callable[[int, int], None]
DRAWN = 0.8
"""Temperature of several answers to an item where none is given (Chen et al. 2021 for many answers)."""


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes
    ----------
    max_new_tokens : int
        Longest answer.
    samples : int
        Answers to each item; one is greedy by default.
    temperature : float, optional
        None: 0 for one answer, 0.8 for several.
    seed : int
        Of drawn answers: the same seed draws the same answer to an item, whatever else is asked.
    style : str
        How prompts are written (:data:`llm_experts.data.encoding.Style`).
    batch : int
        Requests at once.

    Raises
    ------
    EvaluationError
        If several answers are asked for at temperature 0: they would all be the same.
    """

    max_new_tokens: int = 128
    samples: int = 1
    temperature: float | None = None
    seed: int = 0
    style: Style = "auto"
    batch: int = 16

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batch < 1:
            raise EvaluationError(f"{self.samples} answers, {self.batch} at once: both are at least 1.")
        if self.samples > 1 and self.heat == 0:
            raise EvaluationError(
                f"{self.samples} answers at temperature 0 are {self.samples} times the same one; give a temperature "
                "above 0 (--temperature 0.8), or ask for one answer."
            )

    @property
    def heat(self) -> float:
        """The temperature."""
        if self.temperature is not None:
            return self.temperature
        return 0.0 if self.samples == 1 else DRAWN


def answer(
    on: ResidentBase,
    candidate: Candidate,
    examples: Sequence[Example],
    asking: Asking | None = None,
    *,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> list[tuple[Told, ...]]:
    """Answers of a model.

    Parameters
    ----------
    on : ResidentBase
        Knows the adapters of the candidate.
    candidate : Candidate
    examples : sequence of Example
    asking : Asking, optional
    keep : Path, optional
        File of answers that are kept: those that are there are not asked again.
    progress : callable, optional
        ``progress(done, total)`` of answers.

    Returns
    -------
    list of tuple of Told
        ``asking.samples`` for each item. A prompt that the base has no room for has answers without text.

    Raises
    ------
    AdapterError
        If an adapter cannot be loaded.
    ArithmeticError
        If what is computed is no number.
    """
    how = asking or Asking()
    base = on.base
    prompts = [prompt_ids(example, base, how.style) for example in examples]
    wanted = [
        (f"{index}/{sample}", _generation(base, candidate, example, prompt, how, f"{index}/{sample}", sample))
        for index, (example, prompt) in enumerate(zip(examples, prompts, strict=True))
        for sample in range(how.samples)
    ]
    store = AnswerStore(keep if candidate.identity else None)
    found = generated(on, candidate, wanted, store, how.batch, progress)
    spaced = [begins_with_space(example, base, how.style) for example in examples]
    return [
        tuple(bare(found[f"{index}/{sample}"], space) for sample in range(how.samples))
        for index, space in enumerate(spaced)
    ]


def _generation(
    base: Base, candidate: Candidate, example: Example, prompt: Sequence[int], how: Asking, id: str, sample: int
) -> Generation:
    sampling = Sampling(
        max_new_tokens=how.max_new_tokens, temperature=how.heat, stop=stops_of(example, base, how.style),
        seed=derive_seed(how.seed, "answer", example.id, sample) if how.heat else None,
    )  # fmt: skip
    return Generation(id, tuple(prompt), candidate.composition, sampling)


def generated(
    on: ResidentBase,
    candidate: Candidate,
    wanted: Sequence[tuple[str, Generation]],
    store: AnswerStore,
    batch: int,
    progress: Progress | None,
) -> dict[str, Told]:
    """Answers by the id of their request; those that are in the store are not asked for.

    Parameters
    ----------
    on, candidate
        See :func:`answer`.
    wanted : sequence of (id, Generation)
    store : AnswerStore
    batch : int
        Requests at once.
    progress : callable, optional
        ``progress(done, total)``.
    """
    keys = {id: _key(on.base, candidate, generation) for id, generation in wanted}
    found = {id: told for id, key in keys.items() if (told := store.get(key)) is not None}

    def end(id: str, told: Told) -> None:
        found[id] = told
        store.keep(keys[id], told)
        if progress is not None:
            progress(len(found), len(wanted))

    generator = Generator(on, max_rows=batch)
    for id, generation in wanted:
        if id in found:
            continue
        try:
            generator.add(generation)
        except TooLongError:
            end(id, Told("", "unread"))
    _run(generator, end)
    return found


def _run(generator: Generator, end: Callable[[str, Told], None]) -> None:
    texts: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    while not generator.idle:
        for piece in generator.step():
            texts.setdefault(piece.id, []).append(piece.text)
            counts[piece.id] = counts.get(piece.id, 0) + len(piece.tokens)
            if isinstance(piece.error, TooLongError):  # behind virtual tokens
                end(piece.id, Told("", "unread"))
            elif piece.error is not None:
                raise piece.error
            elif piece.finish is not None:
                end(piece.id, Told("".join(texts.pop(piece.id)), piece.finish, counts.pop(piece.id)))


def _key(base: Base, candidate: Candidate, generation: Generation) -> str:
    """What decides an answer."""
    sampling = {key: value for key, value in asdict(generation.sampling).items() if key != "logprobs"}
    return hash_json([base_key(base), candidate.identity, list(generation.prompt), sampling])


def begins_with_space(example: Example, base: Base, style: Style) -> bool:
    """Whether an answer is learnt with a space ahead of it, which is no part of it."""
    tokenizer: Any = base.tokenizer
    written = tokenizer.decode(answer_ids(example, base, "x", style), clean_up_tokenization_spaces=False)
    return str(written).startswith(" ")


def bare(told: Told, space: bool) -> Told:
    """An answer without the space that was learnt ahead of it."""
    text = told.text
    return Told(text[1:] if space and text.startswith(" ") else text, told.finish, told.tokens)
