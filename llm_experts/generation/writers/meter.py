"""What a request costs, and the most that it could."""

from __future__ import annotations

from dataclasses import dataclass

from llm_experts.data.error import DataError

TOKENS_AROUND = 64
"""Tokens that a conversation has beside its texts, at most."""


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens.

    Attributes
    ----------
    read, written : float
        Of requests and of answers.
    """

    read: float
    written: float

    def __post_init__(self) -> None:
        if not (self.read >= 0 and self.written >= 0):
            raise DataError(f"A price of {self.read:g},{self.written:g} is none; give two numbers of at least 0.")

    def of(self, read: int, written: int) -> float:
        """Dollars for so many tokens."""
        return (read * self.read + written * self.written) / 1e6

    def most(self, texts: tuple[str, ...], longest: int) -> float:
        """The most that a request can cost: no token is shorter than a byte, no answer longer than ``longest``."""
        return self.of(sum(len(text.encode(errors="replace")) for text in texts) + TOKENS_AROUND, longest)


FREE = Price(0.0, 0.0)
