"""The same item about somebody else: terms of one group exchanged for those of another.

What a model answers to "Ann has 3 books …" should be what it answers to "Ben has 3 books …". Words of one lexicon are
exchanged, each whole and in its case: names, pronouns, people, relations, titles; and of descents the two that have one
word for each and no other meaning. A name has its partner among the names that generated items are made of, so that
neither of the two is stranger to a model that learnt them. Exchanging twice gives the first text back, but for words
that two others stand for (Mrs and Ms; "her", which is "his" and "him").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llm_experts.data.example import Example, Message

PEOPLE = (
    ("man", "woman"), ("men", "women"), ("boy", "girl"), ("boys", "girls"), ("male", "female"), ("males", "females"),
    ("gentleman", "lady"), ("gentlemen", "ladies"), ("masculine", "feminine"),
    ("father", "mother"), ("fathers", "mothers"), ("dad", "mum"), ("son", "daughter"), ("sons", "daughters"),
    ("brother", "sister"), ("brothers", "sisters"), ("husband", "wife"), ("husbands", "wives"),
    ("uncle", "aunt"), ("uncles", "aunts"), ("nephew", "niece"), ("nephews", "nieces"),
    ("grandfather", "grandmother"), ("grandson", "granddaughter"), ("stepfather", "stepmother"),
    ("widower", "widow"), ("bridegroom", "bride"), ("king", "queen"), ("prince", "princess"),
    ("sir", "madam"), ("mr", "ms"), ("waiter", "waitress"), ("actor", "actress"), ("landlord", "landlady"),
    ("chairman", "chairwoman"), ("policeman", "policewoman"), ("salesman", "saleswoman"),
    ("businessman", "businesswoman"), ("congressman", "congresswoman"), ("spokesman", "spokeswoman"),
    ("he", "she"), ("himself", "herself"),
)  # fmt: skip
"""Written as here, with a capital, or in capitals."""
ONE_WAY = {"mrs": "mr", "mom": "dad", "hers": "his", "him": "her"}
NAMES = (
    ("Alan", "Amy"), ("Abel", "Ada"), ("Ben", "Ann"), ("Bob", "Bea"), ("Burt", "Beth"), ("Fred", "Fern"),
    ("Gus", "Fay"), ("Gary", "Gail"), ("Finn", "Gina"), ("Glen", "Gwen"), ("Otis", "Ora"), ("Pedro", "Patti"),
    ("Pete", "Petra"), ("Seth", "Sandra"), ("Amir", "Sara"),
    ("James", "Mary"), ("John", "Patricia"), ("Robert", "Jennifer"), ("Michael", "Linda"), ("David", "Elizabeth"),
    ("William", "Barbara"), ("Richard", "Susan"), ("Thomas", "Karen"), ("Charles", "Nancy"), ("Daniel", "Lisa"),
    ("Matthew", "Emily"), ("Anthony", "Sarah"), ("Paul", "Anna"), ("Peter", "Jane"), ("Tom", "Emma"),
    ("Jack", "Alice"), ("Lucas", "Laura"), ("Carlos", "Maria"), ("Mohammed", "Fatima"), ("Ahmed", "Aisha"),
)  # fmt: skip
"""Written as here alone: some are ordinary words without the capital."""
DESCENT = (("African-American", "Caucasian"),)

_ALONE = """
a about across after again against along an and any as at away back because before behind but by down during each early
every for forever from here hers him his how if in into is it its just later like more my near never next no not now of
off on once one or our out over past quickly said so some soon still than that the their then there they this through
to today together tomorrow too twice under until up very was we well what when where which while who why with without
yesterday you your her
"""
"""Words before which "her" is "him", and "his" is "hers": no noun begins with them."""
_ALONE_WORDS = frozenset(_ALONE.split())


def _lexicon() -> tuple[dict[str, str], dict[str, str]]:
    """Terms whose case is kept, in lower case, and terms that are written in one way."""
    words = {**dict(PEOPLE), **{right: left for left, right in PEOPLE}, **ONE_WAY, "his": "her", "her": "his"}
    exact = dict((*NAMES, *DESCENT))
    return words, {**exact, **{right: left for left, right in exact.items()}}


_WORDS, _EXACT = _lexicon()
_TERMS = re.compile(
    rf"(?<!\w)(?:(?i:{'|'.join(sorted(_WORDS, key=len, reverse=True))})|{'|'.join(map(re.escape, _EXACT))})(?!\w)"
)
_NEXT = re.compile(r"[ \t]+([A-Za-z']+)")


def swapped_text(text: str) -> str:
    """A text with its group terms exchanged; the same text where it has none.

    Examples
    --------
    >>> swapped_text("Ann lost her book. Her brother gave her his.")
    'Ben lost his book. His sister gave him hers.'
    """
    return _TERMS.sub(_other, text)


def swapped(example: Example) -> Example | None:
    """The item with the group terms of its prompt exchanged, and those of its answers and facts with them.

    Whether its answer is still right is for its family's checker to say.

    Returns
    -------
    Example or None
        Under the id with ``~swapped``; None where the prompt has no such term.
    """
    asked = example.prompt
    prompt: str | tuple[Message, ...]
    if isinstance(asked, str):
        prompt = swapped_text(asked)
    else:
        prompt = tuple(Message(turn.role, swapped_text(turn.content)) for turn in asked)
    if prompt == asked:
        return None
    rejected = None if example.rejected is None else swapped_text(example.rejected)
    facts = {key: value if key == "family" else _within(value) for key, value in example.facts.items()}
    return Example(f"{example.id}~swapped", prompt, swapped_text(example.completion), rejected, facts)


def _within(value: Any) -> Any:
    """Texts within plain JSON exchanged; keys stay."""
    if isinstance(value, str):
        return swapped_text(value)
    if isinstance(value, Mapping):
        return {key: _within(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_within(inner) for inner in value]
    return value


def _other(found: re.Match[str]) -> str:
    word = found[0]
    if word in _EXACT:
        return _EXACT[word]
    low = word.lower()
    other = _pronoun(low, found.string[found.end() :]) or _WORDS[low]
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def _pronoun(word: str, rest: str) -> str:
    """What "her" or "his" stands for, from what follows; "" for other words."""
    if word not in ("her", "his"):
        return ""
    after = _NEXT.match(rest)
    alone = after is None or after[1].lower() in _ALONE_WORDS
    if word == "her":
        return "him" if alone else "his"
    return "hers" if alone else "her"
