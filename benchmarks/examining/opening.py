"""Experts of a command on one base, as the candidates of an examination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.models.text_experts import GivenAdapter
    from llm_experts.bases.base import Base
    from llm_experts.evaluation.candidate import Candidate
    from llm_experts.runtime.resident import ResidentBase


@dataclass(frozen=True, eq=False)
class Opened:
    """Adapters on a base.

    Attributes
    ----------
    on : ResidentBase
        Knows all of them.
    given : tuple of GivenAdapter
    folders : dict of name -> Path
    """

    on: ResidentBase
    given: tuple[GivenAdapter, ...]
    folders: dict[str, Path]

    def candidate(self, name: str, weights: dict[str, float]) -> Candidate:
        """Some of them with their weights as one model."""
        from llm_experts.evaluation.candidate import Candidate

        return Candidate.of(name, weights, self.folders)


@contextmanager
def opened(experts: Sequence[str], base: Base, *, allow_untrusted: bool = False) -> Iterator[Opened]:
    """Adapters by whatever they are called, until the end.

    Raises
    ------
    ModelError, PackageError, RegistryError
        See :func:`benchmarks.models.text_experts.given_adapters`.
    AdapterError
        If one is damaged or of another base.
    """
    from benchmarks.models.text_experts import given_adapters
    from llm_experts.runtime.resident import ResidentBase, rank_in

    with given_adapters(experts, allow_untrusted=allow_untrusted) as given:
        rank = max((rank_in(adapter.place.folder) for adapter in given), default=1)
        on = ResidentBase(base, slots=max(1, len(given)), rank=max(1, rank))
        for adapter in given:
            on.load(
                adapter.name, adapter.place.folder, order=adapter.place.order, base_hash=adapter.place.base_hash
            )  # now, so that an error comes before the minutes of answers
        yield Opened(on, tuple(given), {adapter.name: adapter.place.folder for adapter in given})


def weights_of(text: str | None, names: Sequence[str]) -> dict[str, float]:
    """Weights as a command gives them: ``0.5,1`` in the order of the experts; 1 each by default.

    Raises
    ------
    EvaluationError
        If they are no numbers, or not one for each.
    """
    from llm_experts.evaluation.error import EvaluationError

    if text is None:
        return dict.fromkeys(names, 1.0)
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise EvaluationError(f"--weights {text} are no numbers; write one for each expert, such as 0.5,1.") from None
    if len(numbers) != len(names):
        raise EvaluationError(
            f"--weights {text} are {len(numbers)} for {len(names)} experts ({', '.join(names)}); write one for each."
        )
    return dict(zip(names, numbers, strict=True))
