"""Log-probabilities of token sequences under a composition: for perplexity, and for harnesses that rank answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llm_experts.bases.rope import texts_of
from llm_experts.evaluation.error import EvaluationError
from llm_experts.prompts.batches import length_batches
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.prefix import Prefix
from llm_experts.runtime.resident import ResidentBase

BATCH_TOKENS = 4096
"""Tokens of a batch, padding included."""
LOGITS = 1 << 24
"""Numbers of logits at once."""


@dataclass(frozen=True)
class Likelihood:
    """How likely a continuation is.

    Attributes
    ----------
    log_prob : float
        Sum over its tokens, in nats.
    tokens : int
    greedy : bool
        Whether it is what greedy generation says: each token is the likeliest.
    """

    log_prob: float
    tokens: int
    greedy: bool


@torch.no_grad()
def likelihoods(
    on: ResidentBase, composition: Composition, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[Likelihood]:
    """Log-probabilities of continuations given their contexts.

    Parameters
    ----------
    on : ResidentBase
        Knows the adapters of the composition.
    composition : Composition
    pairs : sequence of (context, continuation)
        Token ids; neither is empty.

    Returns
    -------
    list of Likelihood

    Raises
    ------
    EvaluationError
        If a pair is empty or does not fit the base, or a result is no number.
    """
    with on.lease([composition]):
        ahead = on.prefix(composition)
        _check(on, pairs, ahead.length)
        order = sorted(range(len(pairs)), key=lambda index: len(pairs[index][0]) + len(pairs[index][1]))
        lengths = [len(pairs[index][0]) + len(pairs[index][1]) for index in order]
        found: dict[int, Likelihood] = {}
        for batch in length_batches(lengths, BATCH_TOKENS) if order else ():
            rows = order[batch]
            found.update(zip(rows, _batch(on, composition, ahead, [pairs[row] for row in rows]), strict=True))
    return [found[index] for index in range(len(pairs))]


def _check(on: ResidentBase, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], virtual: int) -> None:
    room = on.base.context - virtual
    for context, continuation in pairs:
        if not context or not continuation:
            raise EvaluationError("A likelihood needs a context and a continuation of at least one token each.")
        if len(context) + len(continuation) - 1 > room:  # the last token is asked for, not read
            raise EvaluationError(
                f"A context of {len(context)} tokens and a continuation of {len(continuation)} do not fit into the "
                f"{room} tokens that {on.base.id} takes; shorten the context, or use a base that takes longer texts."
            )


def _batch(
    on: ResidentBase, composition: Composition, ahead: Prefix, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[Likelihood]:
    ids = [[*context, *continuation[:-1]] for context, continuation in pairs]
    hidden = _states(on, composition, ahead, ids)
    rows = [row for row, (_, said) in enumerate(pairs) for _ in said]
    places = [len(context) + k - 1 for context, said in pairs for k in range(len(said))]
    tokens = torch.tensor([token for _, said in pairs for token in said], device=hidden.device)
    values, best = _gathered(on, hidden[rows, places], tokens)
    if not torch.isfinite(values).all():
        raise EvaluationError(
            "The log-probability of a text is no number: a weight of an expert is broken, or too large for this "
            "precision. Check the experts with `fairmoe llm check`, or load the base with --dtype float32."
        )
    found, start = [], 0
    for _, said in pairs:
        part = slice(start, start + len(said))
        found.append(Likelihood(float(values[part].sum()), len(said), bool(best[part].all())))
        start += len(said)
    return found


def _states(on: ResidentBase, composition: Composition, ahead: Prefix, ids: Sequence[Sequence[int]]) -> Tensor:
    """[rows, T, d] hidden states of texts filled up on the right, which nothing before it sees."""
    from transformers import DynamicCache

    model: Any = on.base.model
    longest, rows = max(map(len, ids)), len(ids)
    filled = torch.tensor([[*text, *[0] * (longest - len(text))] for text in ids], device=on.base.device)
    cache = DynamicCache()
    if ahead.keys_and_values is not None:
        for layer, (keys, values) in enumerate(ahead.keys_and_values):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    embeddings = torch.cat([ahead.embeddings.expand(rows, -1, -1), model.get_input_embeddings()(filled)], 1)
    with ExitStack() as stack:
        stack.enter_context(on.run([composition] * rows))
        if on.base.rope_scaling is not None:
            stack.enter_context(texts_of(torch.tensor([ahead.length + len(text) for text in ids])))
        states = model.get_decoder()(inputs_embeds=embeddings, past_key_values=cache, use_cache=True).last_hidden_state
    found: Tensor = states[:, len(ahead.embeddings) :]
    return found


def _gathered(on: ResidentBase, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """[m] log-probabilities of tokens after hidden states [m, d], and whether each is the likeliest."""
    model: Any = on.base.model
    head = model.get_output_embeddings()
    step = max(1, LOGITS // int(model.config.vocab_size))
    values, best = [], []
    for part, asked in zip(torch.split(hidden, step), torch.split(tokens, step), strict=True):
        logits = head(part).float()
        values.append((logits.gather(1, asked[:, None])[:, 0] - logits.logsumexp(-1)).double().cpu())
        best.append((logits.argmax(-1) == asked).cpu())
    return torch.cat(values), torch.cat(best)
