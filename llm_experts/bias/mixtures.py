"""Scorers made of scorers: mixtures with fixed weights or a dispatcher's, and one that remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_experts.bias.likelihood import LMScorer
from llm_experts.bias.scorer import Scored, Scorer
from llm_experts.bias.sources import BiasError
from llm_experts.prompts.keywords import words

if TYPE_CHECKING:
    from llm_experts.mixtures.dispatch import BayesDispatcher


class MixtureScorer:
    """A weighted mixture of next-token probabilities: P(token) = sum over k of w_k P_k(token).

    Parameters
    ----------
    scorers : sequence of Scorer
        Must cut texts into the same tokens.
    weights : [K] Tensor or callable
        Weights on the simplex; a callable (of a dispatcher, a gate) gives [n, K] for n texts. It sees the context, or
        the text where scoring begins at its first character; its weights hold for all tokens of the text, so that
        continuations of one context are weighed alike.
    """

    def __init__(self, scorers: Sequence[Scorer], weights: Tensor | Callable[[Sequence[str]], Tensor]) -> None:
        if not scorers:
            raise BiasError("a mixture needs at least one scorer")
        self._scorers, self._weights = tuple(scorers), weights

    def token_log_probs(self, texts: Sequence[str], start: Sequence[int] | None = None) -> list[Scored]:
        """Scored tokens of each text, see :class:`Scorer`."""
        if not texts:
            return []
        weights = self._weights
        if callable(weights):
            starts = [0] * len(texts) if start is None else start
            weights = weights([text[:at] or text for text, at in zip(texts, starts, strict=True)])
        logs = self._checked(weights, len(texts)).log()  # log 0 = -inf: such an expert does not count
        parts = [scorer.token_log_probs(texts, start) for scorer in self._scorers]
        return [self._mixed(experts, log) for experts, log in zip(zip(*parts, strict=True), logs, strict=True)]

    def _checked(self, weights: Tensor, n: int) -> Tensor:
        weights = weights.to(torch.float64).expand(n, -1)
        count = len(self._scorers)
        if weights.shape[1] != count:
            raise BiasError(f"{weights.shape[1]} weights for {count} scorers: give one weight per scorer")
        sums = weights.sum(dim=1)
        if not bool((weights >= 0).all()) or not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
            raise BiasError("mixture weights must be non-negative and sum to 1 in every row: normalise them first")
        return weights

    @staticmethod
    def _mixed(experts: tuple[Scored, ...], log: Tensor) -> Scored:
        if any(expert.spans != experts[0].spans for expert in experts):
            raise BiasError("the scorers of a mixture cut a text into different tokens: use experts of one tokenizer")
        table = torch.stack([expert.log_probs for expert in experts])
        return Scored(torch.logsumexp(table + log[:, None], dim=0), experts[0].spans)


def dispatched(dispatcher: BayesDispatcher, base: LMScorer) -> Callable[[Sequence[str]], Tensor]:
    """Weights of a mixture of the base and a dispatcher's experts, in this order, for texts.

    The dispatcher sees the base's last hidden state and, if it knows words, the words of the text. Texts that resemble
    no expert's rows go to the base.
    """

    def weights(texts: Sequence[str]) -> Tensor:
        keywords = None if dispatcher.vocabulary is None else [words(text) for text in texts]
        return dispatcher.weights(base.last_states(texts), keywords)

    return weights


class RememberingScorer:
    """Keeps what a scorer has answered, so that many mixtures of the same experts cost one pass per expert."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._known: dict[tuple[str, int], Scored] = {}

    def token_log_probs(self, texts: Sequence[str], start: Sequence[int] | None = None) -> list[Scored]:
        """Scored tokens of each text, see :class:`Scorer`."""
        keys = list(zip(texts, [0] * len(texts) if start is None else start, strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if new:
            answers = self._scorer.token_log_probs([text for text, _ in new], [at for _, at in new])
            self._known.update(zip(new, answers, strict=True))
        return [self._known[key] for key in keys]
