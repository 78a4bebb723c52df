"""Labelled prompts: whose each is, of what kind, and whether it is for fitting or for testing; JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from serving.router.error import RouterError
from serving.router.outcomes import BASE
from serving.router.profile import ExpertProfile

DATA = Path(__file__).parent / "data"
TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class LabelledPrompt:
    """A prompt and who should answer it.

    Attributes
    ----------
    text : str
    experts : frozenset of str
        Empty: the base.
    kind : str
        Such as ``paraphrase``, ``negative``, ``sense`` (a keyword in another sense), ``negation``, ``form`` (case,
        Unicode), ``stuffing``.
    split : {"train", "test"}
    """

    text: str
    experts: frozenset[str]
    kind: str = "prompt"
    split: str = TEST

    @property
    def label(self) -> str:
        """The expert, or the base; of several experts the first by name."""
        return min(self.experts, default=BASE)


def read_prompts(path: Path) -> list[LabelledPrompt]:
    """Prompts of a file: one JSON object per line with ``text``, ``experts``, and ``kind`` and ``split`` if wanted.

    Raises
    ------
    RouterError
        If a line is not such an object, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RouterError(f"the prompts {path} cannot be read ({error})") from error
    found = [_prompt(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise RouterError(f'{path} holds no prompts: write lines such as {{"text": "…", "experts": ["sql-expert"]}}')
    return found


def split_of(prompts: Iterable[LabelledPrompt], split: str) -> list[LabelledPrompt]:
    """Prompts of a split."""
    return [one for one in prompts if one.split == split]


def own_prompts() -> list[LabelledPrompt]:
    """The project's own set: six experts, training prompts, paraphrases, negatives and adversarial prompts."""
    return read_prompts(DATA / "prompts.jsonl")


def own_profiles() -> list[ExpertProfile]:
    """The experts of the project's own set."""
    facts = json.loads((DATA / "experts.json").read_text(encoding="utf-8"))
    return [ExpertProfile.of_json(one) for one in facts]


def _prompt(line: str, where: str) -> LabelledPrompt:
    try:
        facts = json.loads(line)
        text, experts = facts["text"], facts["experts"]
        kind, split = facts.get("kind", "prompt"), facts.get("split", TEST)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RouterError(f'{where}: no object with "text" and "experts" ({error!r})') from error
    plain = isinstance(experts, list) and all(isinstance(one, str) for one in (*experts, text, kind, split))
    if not plain or split not in (TRAIN, TEST):
        raise RouterError(f"{where}: text and kind are texts, experts a list of names, split is {TRAIN} or {TEST}")
    return LabelledPrompt(text, frozenset(experts) - {BASE}, kind, split)
