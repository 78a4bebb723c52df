"""A tokenizer that is frugal with rows: byte-level BPE on generated text, and one token per statement of a card.

A row is mostly template, and what it can say of a category is known from the card: "The applicant's job class is
skilled." is one token, so are "The applicant's age is", its unit, and each question. Numbers are tokens of up to two
digits. Everything else, names and categories of other data sets too, is spelt in pieces by BPE, down to bytes: every
text can be written and read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from llm_experts.bases.nano.schema import LEVELS, MADE_UP, SIDES, Subject, Trait
from tasks.templates import FORMATS, UNKNOWN, Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
PIECES = r" ?\d{1,2}(?=(?:\d{2})*(?!\d))| ?[A-Za-z]+|'s| ?[^\sA-Za-z\d]+|\s"
"""Words with the blank before them, pairs of digits counted from the right, punctuation: merges stay within these."""
ANSWERS = (" no", " yes")


def phrases(subjects: Iterable[Subject]) -> list[str]:
    """Texts that are one token each: statements, names of numbers in each template, units, questions and options."""
    found = [" Question:", "\nQuestion:", " Options:", " yes or no. Answer:", " no or yes. Answer:"]
    found += [f"{ask}Question: Is this true?" for ask in (" ", "\n")]
    found += [
        " Rule for yes:",
        " Either:",
        " Both:",
        " above",
        " below",
        *(f" {question} Options:" for question in MADE_UP),
    ]
    found += [f" {word}." for word in (*LEVELS, *SIDES)]
    for subject in subjects:
        found += [f" {question} Options:" for question in subject.questions if question]
        for place, trait in enumerate(subject.traits):
            for template in FORMATS.values():
                said = _sayings(template, subject.name, trait)
                found += [template.between + text for text in said]
                found += said if not place else []
    return list(dict.fromkeys(found))


def _sayings(template: Template, subject: str, trait: Trait) -> list[str]:
    """What a template can say of a column: each category and unknown, and the beginning and end of a number."""
    before, behind = template.around(subject, trait.text)
    said = [f"{before}{value}{behind}" for value in (*trait.values, UNKNOWN)]
    return said if trait.values else [*said, before.rstrip()]


def units(subjects: Iterable[Subject]) -> list[str]:
    """Units with what stands behind them, one token each."""
    found = (
        f" {trait.unit}{end}" for subject in subjects for trait in subject.traits if trait.unit for end in ("", ".")
    )
    return list(dict.fromkeys(found))


def spoken(subjects: Iterable[Subject]) -> Iterator[str]:
    """The words of schemas, often enough for BPE to join each of them."""
    for subject in subjects:
        for trait in subject.traits:
            for value in (*trait.values, trait.unit):
                if value:
                    yield f" {value}" * 8
            yield f"{subject.name[:1].upper()}{subject.name[1:]}'s {trait.text} is {UNKNOWN}. " * 2
    for pair in range(100):
        yield f" {pair} 10{pair:02d}" * 40


def train_tokenizer(
    texts: Iterator[str] | Iterable[str], subjects: Iterable[Subject], vocabulary: int
) -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same texts give the same tokenizer.

    Parameters
    ----------
    texts : iterable of str
        What BPE learns its merges from.
    subjects : iterable of Subject
        Schemas whose phrases become tokens.
    vocabulary : int
        Tokens learnt by BPE; the phrases come on top.

    Raises
    ------
    ValueError
        If an answer word is not one token: the texts do not hold it often enough.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[PAD, END],
        show_progress=False,
    )
    subjects = tuple(subjects)
    tokenizer.train_from_iterator(chain(texts, spoken(subjects)), trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in [*phrases(subjects), *units(subjects)]])
    fast: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )
    for word in ANSWERS:
        if len(fast(word).input_ids) != 1:
            raise ValueError(f"The answer {word!r} is not one token; train the tokenizer on more texts that have it.")
    return fast


def numbers_of(tokenizer: PreTrainedTokenizerFast) -> dict[int, int]:
    """Tokens that are numbers of up to two digits, with or without a blank, and the number."""
    found = {}
    for text in (form for pair in range(100) for form in (f" {pair}", f"{pair}", f"{pair:02d}")):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) == 1:
            found[int(ids[0])] = int(text)
    return found
