"""Prompts for anybody, as patterns: see :mod:`serving.router.policies.generic`, which reads them."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = (
    "what|who is|are|was|were a|an|the? <1-3>",
    "what s a|an|the? <1-3>",
    "what does <1-2> mean|stand for?",
    "what is the meaning|definition|purpose|capital of <1-3>",
    "define|explain|describe what? a|an|the? <1-2> is|means?",
    "who invented|wrote|made|discovered a|an|the? <1-3>",
    "tell me about a|an|the? <1-2>",
    "hi|hello|hey|thanks there|you?",
    "how are you doing|today?",
    "was ist ein|eine|der|die|das? <1-2>",
)
"""Prompts that are wholly so: the base answers, whatever keywords they have."""

START = (
    "what|who|when|where is|are|was|were",
    "explain|describe|define|summarise|summarize",
    "tell me a|about",
    "how do|does|to|can",
    "why is|are|do|does",
    "do you know|think|like",
    "give me ideas|advice",
)
"""Prompts that begin so: this speaks for the base, and a keyword outweighs it."""

WEIGHT = 0.5
"""Log-odds for the base of a prompt that begins like a question for anybody."""


@dataclass(frozen=True)
class GenericPatterns:
    """Patterns of prompts for anybody; see :mod:`serving.router.policies.generic`."""

    whole: tuple[str, ...] = WHOLE
    start: tuple[str, ...] = START
    weight: float = WEIGHT

    def __post_init__(self) -> None:
        for patterns in (self.whole, self.start):
            if not isinstance(patterns, tuple) or not all(isinstance(one, str) for one in patterns):
                raise TypeError("generic patterns are lists of texts")
