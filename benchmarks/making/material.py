"""What an expert learns from and is chosen by: items of a file or of a family, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.making.config import Config
from benchmarks.making.error import ConfigError
from benchmarks.making.methods import trainer

if TYPE_CHECKING:
    from llm_experts.data.example import Example
    from llm_experts.families.family import Family

FEWEST = 30
"""Validation items below which a choice of checkpoints says little."""
NAMED = 3
"""Items that an error names."""


@dataclass(frozen=True, eq=False)
class Material:
    """Items of one expert.

    Attributes
    ----------
    train, validation : tuple of Example
    judge : callable or None
        Score in [0, 1] of an answer to an item; None: the log-probability of its completion.
    longest_answer : int or None
        Most tokens of an answer that is judged; None: by the completions.
    sha256 : str
        Of all items, in order.
    notes : tuple of str
        What is to be said about them.
    family : str or None
        Whose checker judges, as ``--family`` takes it.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    judge: Callable[[Example, str], float] | None
    longest_answer: int | None
    sha256: str
    notes: tuple[str, ...] = field(default=())
    family: str | None = None


def material_of(config: Config) -> Material:
    """Items of a configuration.

    Raises
    ------
    ConfigError
        If there is no such family or method, or the method needs a checker and there is none.
    DataError
        If a file is damaged, lacks what the method needs, repeats itself or shares prompts with the validation items.
    """
    from llm_experts.data.fingerprint import hash_examples
    from llm_experts.families.registry import common_family
    from llm_experts.training.loop.presets import advice

    family = _family(config.family or config.judge)
    train, validation = _of_family(config, family) if config.family and family else _of_files(config)
    notes = _notes(train, validation)
    if config.complexity and (told := advice(len(train), config.complexity)):
        notes.append(told)
    if family is None and (family := common_family([*train, *validation])) is not None:
        notes.append(f"Answers are judged by the checker of the family {family.name}, which the items name.")
    judge = None if family is None else family.reward_of
    if judge is not None and validation:
        judge(validation[0], "")  # facts that are missing are told of before a base is loaded
    _check_judge(config, judge is not None, validation)
    digest = hash_examples([*train, *validation])
    longest = None if family is None else family.longest_answer
    named = None if family is None else config.family or config.judge or family.name
    return Material(tuple(train), tuple(validation), judge, longest, digest, tuple(notes), named)


def _family(name: str | None) -> Family | None:
    from llm_experts.families.registry import family_named

    if name is None:
        return None
    try:
        return family_named(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _of_family(config: Config, family: Family) -> tuple[Sequence[Example], Sequence[Example]]:
    train = family.make("train", config.count, config.seed, config.difficulty)
    return train, family.make("validation", config.validation_count, config.seed, config.difficulty)


def _of_files(config: Config) -> tuple[Sequence[Example], Sequence[Example]]:
    from llm_experts.data.error import DataError
    from llm_experts.data.overlap import overlap, repeated
    from llm_experts.data.reading import read_examples
    from llm_experts.data.splitting import split

    need, path = trainer(config.method).needs, config.data
    assert path is not None
    examples = read_examples(path, need=need)
    if twice := repeated(examples):
        names = "; ".join(" and ".join(ids[:NAMED]) for ids in twice[:NAMED])
        raise DataError(
            f"{path} holds {sum(len(ids) - 1 for ids in twice)} items twice, with the same prompt and answer "
            f"({names}). Each would count twice, and might be learnt and examined; leave one of each."
        )
    if config.validation is None:
        parts = split(examples, validation=config.validation_share, seed=config.seed)
        return parts.train, parts.validation
    validation = read_examples(config.validation, need=need)
    shared = overlap(examples, validation).same_prompts
    if shared:
        named = ", ".join(shared[:NAMED]) + (", …" if len(shared) > NAMED else "")
        raise DataError(
            f"{len(shared)} of the {len(validation)} prompts of {config.validation} are learnt from {path}, too "
            f"({named}): the score on them would say how much was learnt by heart. Take them out of one of the files, "
            "or leave --validation out for a split without."
        )
    return examples, validation


def _check_judge(config: Config, judged: bool, validation: Sequence[Example]) -> None:
    """A method that learns from prompts alone needs somebody who judges answers."""
    if not judged and not all(example.completion for example in validation):
        raise ConfigError(
            f"The items of {config.data} have no answers, so only a checker can judge them: name the family whose "
            'checker does (judge = "arithmetic", --judge arithmetic), or write completions.'
        )


def _notes(train: Sequence[Example], validation: Sequence[Example]) -> list[str]:
    notes = []
    if len(validation) < FEWEST:
        notes.append(
            f"{len(validation)} validation items choose the checkpoint: fewer than {FEWEST} say little. Give more."
        )
    if len(train) < FEWEST:
        notes.append(f"{len(train)} training items are few; a hundred and more teach something.")
    return notes
