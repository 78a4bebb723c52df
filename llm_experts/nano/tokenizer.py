"""A tokenizer that is frugal with rows: byte-level BPE trained on generated text, and one token per phrase of a card.

A row is mostly template: "The applicant's loan duration is" says which column comes, in every row. Each such
phrase of a card, each category of several words and each question is one token, so that a column costs about three
tokens: what it is, its value, the full stop. Digits are tokens of their own. Everything else, names of other data sets
too, is spelt in pieces by BPE, down to bytes: every text can be written and read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from llm_experts.nano.schema import MADE_UP, Subject
from tasks.text import FORMATS, UNKNOWN

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
PIECES = r" ?\d| ?[A-Za-z]+|'s| ?[^\sA-Za-z\d]+|\s"
"""Words with the blank before them, single digits, punctuation: merges stay within these."""
ANSWERS = (" no", " yes")


def phrases(subjects: Iterable[Subject]) -> list[str]:
    """Texts that are one token each: names of columns in each template, long categories, questions and options."""
    found = [" Question:", "\nQuestion:", " Options:", " yes or no.", " no or yes.", " Answer:"]
    found += [f" {question}" for question in MADE_UP]
    for subject in subjects:
        found += [f" {question}" for question in subject.questions if question]
        for trait in subject.traits:
            for template in FORMATS.values():
                found.append(template.between + template.around(subject.name, trait.text)[0].rstrip())
            found += [f" {value}" for value in (*trait.values, trait.unit) if " " in value]
    return list(dict.fromkeys(found))


def spoken(subjects: Iterable[Subject]) -> Iterator[str]:
    """The words of schemas, often enough for BPE to join each of them."""
    for subject in subjects:
        for trait in subject.traits:
            for value in (*trait.values, trait.unit):
                if value:
                    yield f" {value}" * 8
            yield f"{subject.name[:1].upper()}{subject.name[1:]}'s {trait.text} is {UNKNOWN}. " * 2


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
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in phrases(subjects)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )
    for word in ANSWERS:
        if len(fast(word).input_ids) != 1:
            raise ValueError(f"The answer {word!r} is not one token; train the tokenizer on more texts that have it.")
    return fast
