"""Verbaliser: a language model's answer is the logit of one word for yes against that of one word for no.

Two rows of the language-model head at the last position are all that is needed. How much probability the two words have
among all words, the *answer mass*, says whether the model answers the question at all: below 0.1 its preference between
them means little (folktexts' threshold).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

LOW_MASS = 0.1
BATCH_TOKENS = 1 << 12


class AnswerMass(NamedTuple):
    """How much of the probability of all words is on the two answers.

    Attributes
    ----------
    mean : float
    low : float
        Share of texts whose mass is below 0.1.
    """

    mean: float
    low: float

    @classmethod
    def of(cls, mass: Tensor, who: str) -> AnswerMass:
        """Summary of the mass [n] of texts; a warning that names ``who`` if its mean is below 0.1."""
        found = cls(float(mass.mean()), float((mass < LOW_MASS).float().mean()))
        if found.mean < LOW_MASS:
            log.warning(
                "%s puts %.1e of its probability on yes and no (%.0f %% of texts below %g): it does not answer the "
                "question; train an adapter, or take another base.",
                who,
                found.mean,
                100 * found.low,
                LOW_MASS,
            )
        return found


def answer_mass(logits: Tensor, answer_ids: tuple[int, int]) -> Tensor:
    """[...] P(no) + P(yes) from logits [..., V] of all words."""
    chosen = logits[..., list(answer_ids)].float().logsumexp(-1)
    return (chosen - logits.float().logsumexp(-1)).exp()


@torch.no_grad()
def score_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    answer_ids: tuple[int, int],
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> Tensor:
    """Logits of no and yes behind whole texts, for any causal model; batches are sorted by length.

    Parameters
    ----------
    model, tokenizer
    texts : sequence of n str
        Each ends where the answer is expected.
    answer_ids : (int, int)
        Token ids of the words for no and yes.
    batch_tokens : int
        Tokens of a batch, padding included.

    Returns
    -------
    [n, 2] float32. ``softmax`` of a row is what the full vocabulary's softmax says, restricted to the two words.

    Raises
    ------
    ValueError
        If a text has no tokens.
    """
    ids = [torch.tensor(one) for one in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
    empty = [index for index, one in enumerate(ids) if not len(one)]
    if empty:
        raise ValueError(f"Text {empty[0]} has no tokens, so there is no position to read an answer from.")
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    found = torch.empty(len(ids), 2)
    for batch in length_batches([len(ids[index]) for index in order], batch_tokens):
        members = order[batch]
        found[members] = _two_logits(model, [ids[index] for index in members], answer_ids).cpu()
    return found


def length_batches(lengths: Sequence[int], tokens: int) -> list[slice]:
    """Runs of texts of ascending lengths; each has at most ``tokens`` tokens once padded, and at least one text."""
    found, start = [], 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or lengths[stop] * (stop + 1 - start) > tokens:
            found.append(slice(start, stop))
            start = stop
    return found


def _two_logits(model: PreTrainedModel, ids: Sequence[Tensor], answer_ids: tuple[int, int]) -> Tensor:
    """[n, 2] float32 logits behind the last token of each text."""
    lengths = torch.tensor([len(one) for one in ids], device=model.device)
    padded = torch.nn.utils.rnn.pad_sequence(list(ids), batch_first=True).to(model.device)
    mask = torch.arange(padded.shape[1], device=model.device) < lengths[:, None]
    decoder, head = _parts(model)
    states = decoder(input_ids=padded, attention_mask=mask.long(), use_cache=False).last_hidden_state
    last = states[torch.arange(len(ids), device=states.device), lengths - 1]
    words = list(answer_ids)
    logits: Tensor = last @ head.weight[words].T
    if getattr(head, "bias", None) is not None:
        logits = logits + head.bias[words]
    cap = getattr(model.config, "final_logit_softcapping", None)
    return (logits if cap is None else torch.tanh(logits / cap) * cap).float()


def _parts(model: Any) -> tuple[Any, Any]:
    """Decoder and head of a causal model, whatever it is called."""
    return model.get_decoder(), model.get_output_embeddings()
