"""A set in parts that share no prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.seeding import derive_seed
from llm_experts.data.error import DataError
from llm_experts.data.example import Example


@dataclass(frozen=True)
class Parts:
    """Parts of a set, each in the order of the set."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]


def split(examples: Sequence[Example], *, validation: float, test: float = 0.0, seed: int) -> Parts:
    """Disjoint parts of a set; items with the same prompt stay together.

    Which part a prompt belongs to depends on the seed and the prompts, not on the order of the file. Shares are of
    prompts, rounded; a part that is asked for is never empty.

    Parameters
    ----------
    examples : sequence of Example
    validation, test : float
        Shares in [0, 1).
    seed : int

    Raises
    ------
    DataError
        If shares leave nothing to train on, or there are fewer prompts than parts.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(
            f"Shares of {validation} for validation and {test} for test leave nothing to train on. Give shares of at "
            "least 0 whose sum is below 1."
        )
    keys = [prompt_key(example) for example in examples]
    prompts = sorted(set(keys), key=lambda key: (derive_seed(seed, "split", key), key))
    sizes = [max(1, round(share * len(prompts))) if share else 0 for share in (validation, test)]
    if len(prompts) <= sum(sizes):
        raise DataError(
            f"{len(prompts)} different prompts are too few for parts with {sizes[0]} of validation and {sizes[1]} of "
            "test. Give more items, or smaller shares."
        )
    held = set(prompts[: sizes[0]])
    asked = set(prompts[sizes[0] : sum(sizes)])
    pairs = list(zip(examples, keys, strict=True))
    return Parts(
        tuple(example for example, key in pairs if key not in held and key not in asked),
        tuple(example for example, key in pairs if key in held),
        tuple(example for example, key in pairs if key in asked),
    )


def prompt_key(example: Example) -> str:
    """What makes two prompts the same: their words, whatever the case and the white space."""
    asked = example.prompt
    text = asked if isinstance(asked, str) else "\x1f".join(f"{turn.role}\x1e{turn.content}" for turn in asked)
    return " ".join(text.casefold().split())
