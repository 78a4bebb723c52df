"""Tokens from logits, for all rows of a batch at once; each row by its own settings, seed and past."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from foundation.seeding import torch_generator
from llm_experts.runtime.sampling import Sampling, TokenLogprob

WIDEST = 256
"""Most likely tokens that are looked at first: a nucleus is rarely larger, and sorting all words costs more."""


class Chooser:
    """What one request has said and drawn.

    Parameters
    ----------
    sampling : Sampling
    prompt : sequence of int
        Its tokens count for the repetition penalty.
    vocabulary : int
        Number of logits.
    device : torch.device
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int], vocabulary: int, device: torch.device) -> None:
        self.sampling = sampling
        self._random = torch_generator(secrets.randbits(63) if sampling.seed is None else sampling.seed, "sampling")
        self.said: Tensor | None = None
        self.seen: Tensor | None = None
        if sampling.penalised:
            self.said = torch.zeros(vocabulary, device=device)
            self.seen = torch.zeros(vocabulary, dtype=torch.bool, device=device)
            self.seen[torch.tensor(prompt, device=device)] = True

    def number(self) -> float:
        """The next random number, in [0, 1)."""
        return float(torch.rand((), generator=self._random, dtype=torch.float64))

    def note(self, token: int) -> None:
        """The token was said."""
        if self.said is not None and self.seen is not None:
            self.said[token] += 1
            self.seen[token] = True


def draw(logits: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """One token per row of ``logits`` [rows, words], float32.

    A row's token depends on its own logits, settings, seed and past alone.
    """
    logits = penalised(logits, choosers)
    tokens: list[int] = logits.argmax(-1).tolist()
    for filtered in (False, True):
        rows = [row for row, chooser in enumerate(choosers) if _kind(chooser.sampling) == (True, filtered)]
        if rows:
            some = [choosers[row] for row in rows]
            numbers = torch.tensor([chooser.number() for chooser in some], dtype=torch.float64, device=logits.device)
            chosen = _chosen(logits[rows], [chooser.sampling for chooser in some], numbers, filtered=filtered)
            for row, token in zip(rows, chosen.tolist(), strict=True):
                tokens[row] = token
    return tokens


def penalised(logits: Tensor, choosers: Sequence[Chooser]) -> Tensor:
    """Logits less what repetition, presence and frequency cost."""
    rows = [row for row, chooser in enumerate(choosers) if chooser.said is not None]
    if not rows:
        return logits
    some = [choosers[row] for row in rows]
    said = torch.stack([chooser.said for chooser in some if chooser.said is not None])
    seen = torch.stack([chooser.seen for chooser in some if chooser.seen is not None])
    repetition = _column(logits, [chooser.sampling.repetition_penalty for chooser in some])
    presence = _column(logits, [chooser.sampling.presence_penalty for chooser in some])
    frequency = _column(logits, [chooser.sampling.frequency_penalty for chooser in some])
    own = logits[rows].double()
    own = torch.where(seen, torch.where(own > 0, own / repetition, own * repetition), own)
    largest = torch.finfo(logits.dtype).max
    changed = logits.clone()
    changed[rows] = (own - presence * (said > 0) - frequency * said).clamp(-largest, largest).to(logits.dtype)
    return changed


def kept(logits: Tensor, samplings: Sequence[Sampling]) -> tuple[Tensor, Tensor]:
    """Probabilities [rows, n] float64 of the tokens that temperature, top-k and top-p leave, and their ids, best first.

    Those that are left out have probability 0; n is as large as the rows need.
    """
    scaled, words = _scaled(logits, samplings), logits.shape[-1]
    most = _column(logits, [float(sampling.top_k or words) for sampling in samplings])
    mass = _column(logits, [sampling.top_p for sampling in samplings])
    whole = scaled.logsumexp(-1, keepdim=True)
    widest = min(words, max(WIDEST, *(sampling.top_k for sampling in samplings), 1))
    while True:
        values, ids = scaled.topk(widest, sorted=True)
        rank = torch.arange(widest, device=logits.device)
        inside = values.masked_fill(rank >= most, -torch.inf)
        total = torch.where(most >= words, whole, inside.logsumexp(-1, keepdim=True))
        probabilities = (inside - total).exp()
        before = probabilities.cumsum(-1) - probabilities
        complete = (widest >= most) | (before[:, -1:] + probabilities[:, -1:] >= mass)
        if widest == words or bool(complete.all()):
            return probabilities.masked_fill((before >= mass) & (rank > 0), 0), ids
        widest = 16 * widest if 32 * widest < words else words


def logprobs(logits: Tensor, token: int, count: int, text_of: Callable[[int], str]) -> TokenLogprob:
    """Log-probabilities of the token and of the ``count`` most likely ones, from one row of raw logits [words]."""
    found = logits.float().log_softmax(-1)
    best = found.topk(min(count, len(found)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    top = tuple((index, text_of(index), value) for index, value in pairs)
    return TokenLogprob(token, text_of(token), float(found[token]), top)


def _kind(sampling: Sampling) -> tuple[bool, bool]:
    """Whether tokens are drawn, and whether from some of the words only."""
    return sampling.temperature > 0, sampling.top_k > 0 or sampling.top_p < 1


def _chosen(logits: Tensor, samplings: Sequence[Sampling], numbers: Tensor, *, filtered: bool) -> Tensor:
    """The token at which the distribution function of each row passes its number."""
    if filtered:
        probabilities, ids = kept(logits, samplings)
    else:
        probabilities, ids = _scaled(logits, samplings).softmax(-1), None
    sums = probabilities.cumsum(-1)
    total = sums[:, -1:]
    below = torch.minimum(numbers[:, None] * total, total.nextafter(torch.zeros_like(total)))
    places = torch.searchsorted(sums, below, right=True)
    return (places if ids is None else ids.gather(1, places))[:, 0]


def _scaled(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Logits over temperatures, the largest 0: the best one stays a number, however small the temperature is."""
    exact = logits.double()
    return (exact - exact.amax(-1, keepdim=True)) / _column(logits, [sampling.temperature for sampling in samplings])


def _column(like: Tensor, values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]
