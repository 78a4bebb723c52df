"""How a request's tokens are chosen: its settings, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass


class SamplingError(ValueError):
    """Settings that no text can be generated with; the text names the setting and its bounds."""


@dataclass(frozen=True)
class Sampling:
    """Settings of one request.

    Attributes
    ----------
    max_new_tokens : int
        Most tokens of the answer; the base's context ends it earlier.
    temperature : float
        Logits are divided by it; 0 takes the most likely token (greedy).
    top_p : float
        The most likely tokens whose probabilities sum to this are kept (nucleus; Holtzman et al., 2020).
    top_k : int
        As many of the most likely tokens are kept; 0 keeps all.
    repetition_penalty : float
        Logits of tokens of prompt and answer are divided by it if positive, multiplied if negative (Keskar et al.,
        2019).
    presence_penalty, frequency_penalty : float
        Taken off the logits of tokens of the answer: once, and once per occurrence.
    stop : tuple of str
        Texts that end the answer; they are not part of it.
    seed : int, optional
        The same seed draws the same numbers, whatever else is in the batch; None draws new ones.
    logprobs : int, optional
        Log-probabilities of the chosen token and of as many of the most likely ones; None gives none.
    ignore_eos : bool
        Whether the answer goes on behind the token that ends a text.

    Raises
    ------
    SamplingError
        If a setting is out of its bounds.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "top_k", "seed", "logprobs"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise SamplingError(f"{name} is {value!r}; it must be a whole number.")
        _within("max_new_tokens", self.max_new_tokens, 1, math.inf)
        _within("temperature", self.temperature, 0, 100)
        _within("top_p", self.top_p, 0, 1, open_below=True)
        _within("top_k", self.top_k, 0, math.inf)
        _within("repetition_penalty", self.repetition_penalty, 0, 100, open_below=True)
        _within("presence_penalty", self.presence_penalty, -100, 100)
        _within("frequency_penalty", self.frequency_penalty, -100, 100)
        _within("seed", self.seed or 0, -(2**63), 2**64 - 1)
        _within("logprobs", self.logprobs or 0, 0, 100)
        stop: object = self.stop
        if not isinstance(stop, tuple) or not all(isinstance(text, str) and text for text in stop):
            raise SamplingError("stop is a tuple of texts, none of them empty.")

    @property
    def penalised(self) -> bool:
        """Whether what was said changes what is said next."""
        return bool(self.repetition_penalty != 1 or self.presence_penalty or self.frequency_penalty)


@dataclass(frozen=True)
class TokenLogprob:
    """Log-probability of a token under the model, before temperature and filters.

    Attributes
    ----------
    token : int
    text : str
    logprob : float
    top : tuple of (token, text, logprob)
        The most likely tokens, best first.
    """

    token: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()


def _within(name: str, value: float, low: float, high: float, *, open_below: bool = False) -> None:
    if not isinstance(value, int | float):
        raise SamplingError(f"{name} is {value!r}; it must be a number.")
    sound = low < value <= high if open_below else low <= value <= high
    if isinstance(value, bool) or not sound:
        above = "above" if open_below else "at least"
        below = "" if high == math.inf else f" and at most {high:g}"
        raise SamplingError(f"{name} is {value}; it must be {above} {low:g}{below}.")
