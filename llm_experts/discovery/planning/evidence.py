"""How alike domains are to learn, with what resampling their items says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foundation.seeding import numpy_generator
from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.discovery.planning.evidences.drawn import drawn_vectors
from llm_experts.discovery.planning.evidences.errors import error_vectors
from llm_experts.discovery.planning.evidences.gradients import gradient_vectors
from metrics.proportions import Z

EvidenceKind = Literal["gradients", "errors", "random"]
Array = NDArray[np.float64]
BLOCK = 5
"""Items whose vectors are averaged: the unit that is resampled."""
COLUMNS = 1 << 13
"""Numbers of the vectors that are multiplied at once."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Inner products of the vectors of all blocks of all domains: all that similarities need.

    Attributes
    ----------
    kind : str
    domains : tuple of str
    gram : [D, b, D, b] float64
    """

    kind: EvidenceKind
    domains: tuple[str, ...]
    gram: Array

    @classmethod
    def of(cls, kind: EvidenceKind, domains: Sequence[str], vectors: NDArray[np.floating]) -> Evidence:
        """Of vectors [D, b, p]."""
        many, blocks, length = vectors.shape
        flat = vectors.reshape(many * blocks, length)
        gram = np.zeros((len(flat), len(flat)))
        for at in range(0, length, COLUMNS):
            part = flat[:, at : at + COLUMNS].astype(np.float64)
            gram += part @ part.T
        return cls(kind, tuple(domains), gram.reshape(many, blocks, many, blocks))

    @property
    def blocks(self) -> int:
        """Of a domain."""
        return int(self.gram.shape[1])

    def similarity(self, weights: Array | None = None) -> Array:
        """[D, D] cosines of the domains' mean vectors; 0 for a domain whose mean is 0.

        Parameters
        ----------
        weights : [D, b] or [s, D, b], optional
            Of the blocks, one set or many; the result is then [s, D, D]. None: all alike.
        """
        many, blocks = self.gram.shape[:2]
        given = np.full((many, blocks), 1 / blocks) if weights is None else weights
        sets = given.reshape(-1, many, blocks)
        rows = np.stack([sets[:, i] @ self.gram[i].reshape(blocks, -1) for i in range(many)], 1)  # [s, D, D·b]
        products = (rows.reshape(-1, many, many, blocks) * sets[:, None]).sum(-1).reshape(*given.shape[:-1], many)
        norms = np.sqrt(np.clip(np.diagonal(products, axis1=-2, axis2=-1), 0, None))
        scale = norms[..., :, None] * norms[..., None, :]
        cosines = np.where(scale > 0, products / np.where(scale > 0, scale, 1), 0.0)
        found = np.clip(cosines, -1, 1)
        found[..., range(many), range(many)] = 1.0
        return found

    def intervals(self) -> tuple[Array, Array]:
        """Ends [D, D] of the similarities' 95 % intervals: jackknife over blocks, the k-th of every domain at once."""
        blocks = self.blocks
        left = (1 - np.eye(blocks)) / max(1, blocks - 1)
        each = self.similarity(np.repeat(left[:, None], len(self.domains), 1))
        half = Z * np.sqrt((blocks - 1) / blocks * np.square(each - each.mean(0)).sum(0))
        middle = self.similarity()
        return np.clip(middle - half, -1, 1), np.clip(middle + half, -1, 1)

    def reliability(self) -> Array:
        """[D] share of a domain's mean vector's squared length that is no noise, in [0, 1].

        The product of two different blocks' vectors has no noise in its mean; that of a block with itself has.
        """
        own = self.gram[range(len(self.domains)), :, range(len(self.domains))]  # [D, b, b]
        blocks = self.blocks
        whole, same = own.sum((1, 2)), np.trace(own, axis1=1, axis2=2)
        apart = (whole - same) / max(1, blocks * (blocks - 1))
        mean = whole / blocks**2
        return np.clip(np.where(mean > 0, apart / np.where(mean > 0, mean, 1), 0.0), 0, 1)

    def halves(self, draws: int, seed: int) -> tuple[Array, Array]:
        """Similarities [draws, D, D] of random halves of the blocks, and those of the other halves."""
        generator, blocks = numpy_generator(seed, "halves of the evidence"), self.blocks
        order = generator.random((draws, len(self.domains), blocks)).argsort(-1)
        half = blocks // 2
        return (
            self.similarity((order < half) / half),
            self.similarity(((order >= half) & (order < 2 * half)) / half),
        )

    def shuffled(self, seed: int) -> Evidence:
        """The same blocks dealt out to the domains at random: as if the domains were all alike."""
        many, blocks = self.gram.shape[:2]
        order = numpy_generator(seed, "blocks dealt out").permutation(many * blocks)
        flat = self.gram.reshape(many * blocks, -1)[np.ix_(order, order)]
        return Evidence(self.kind, self.domains, flat.reshape(self.gram.shape))


def gather(
    base: Base,
    domains: Sequence[Domain],
    kind: EvidenceKind = "gradients",
    *,
    items: int = 100,
    seed: int = 0,
    adapter: str = "lora",
    rank: int | None = None,
    start: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evidence:
    """Evidence of a kind for domains.

    Parameters
    ----------
    base : Base
    domains : sequence of Domain
    kind : {"gradients", "errors", "random"}
    items : int
        Of each domain, of the items of the capability report.
    seed : int
        Of the items, and of the adapter's first weights.
    adapter, rank, start
        Whose gradients are taken.
    progress : callable, optional
        ``progress(done, total, domain)``.

    Raises
    ------
    DataError
        If a domain has not so many items, or they are too few for two blocks.
    ValueError
        If there is no such kind.
    """
    if items < 2 * BLOCK:
        raise DataError(
            f"{items} items of each domain are too few to say how alike domains are: give {2 * BLOCK} at least, and "
            "better 100 (--items)."
        )
    if kind == "gradients":
        vectors = gradient_vectors(
            base, domains, items=items, block=BLOCK, seed=seed, kind=adapter, rank=rank, start=start, progress=progress
        )
    elif kind == "errors":
        vectors = error_vectors(base, domains, items=items, block=BLOCK, seed=seed, progress=progress)
    elif kind == "random":
        vectors = drawn_vectors(len(domains), items // BLOCK, seed)
    else:
        raise ValueError(f"there is no evidence {kind!r}; choose gradients, errors or random")
    return Evidence.of(kind, [domain.name for domain in domains], vectors)
