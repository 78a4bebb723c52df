"""The two class models of Bayesian dispatch: Gaussians of hidden states and word rates, and who is right for a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import torch
from torch import Tensor

Keywords = Sequence[AbstractSet[str]]


class DispatchError(ValueError):
    """A dispatcher that cannot be fitted or asked; the text says what to do."""


@dataclass(frozen=True)
class DispatchSettings:
    """How a dispatcher is fitted and used.

    Attributes
    ----------
    variance, components : float, int
        Principal components kept: as many as explain this share of the variance, at most so many.
    broad : float
        Covariance of the base in units of the covariance of all rows.
    min_rows, max_words : int
        Words that at least so many rows have; at most so many words, those that tell experts apart best.
    a, b : float
        Beta prior of an expert's success rate.
    temperature, w_states, w_keywords : float
        Weights of the evidence; :meth:`BayesDispatcher.calibrate` chooses temperature and w_keywords.
    top_k : int
        Experts blended per row.
    threshold : float
        Abstain when no posterior reaches it; 0: never for this reason.
    confidence : float
        Abstain when the state lies outside this quantile of every expert's Gaussian (chi-squared).
    """

    variance: float = 0.99
    components: int = 64
    broad: float = 4.0
    min_rows: int = 2
    max_words: int = 2000
    a: float = 1.0
    b: float = 1.0
    temperature: float = 1.0
    w_states: float = 1.0
    w_keywords: float = 1.0
    top_k: int = 2
    threshold: float = 0.0
    confidence: float = 0.99


def responsibilities(losses: Tensor, base_losses: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """[n, K] how much each expert is the right one for a row, from its loss on that row.

    r_ik is proportional to exp(-loss_ik / temperature): with log-losses of out-of-fold predictions and temperature 1,
    the posterior of the experts given the row's label. With ``base_losses`` [n] the base takes part, and its share is
    what a row's sum lacks of 1.
    """
    parts = losses if base_losses is None else torch.cat([base_losses[:, None], losses], dim=1)
    if not bool(torch.isfinite(parts).all()):
        raise DispatchError("losses are not finite: score the rows again, or drop those without an out-of-fold loss")
    shares = torch.softmax(-parts.to(torch.float64) / temperature, dim=1)
    return shares if base_losses is None else shares[:, 1:]


def one_hot(domains: Tensor, experts: int) -> Tensor:
    """[n, K] responsibilities from one right expert per row: 0..K-1, or -1 for the base."""
    if bool((domains < -1).any()) or bool((domains >= experts).any()):
        raise DispatchError(f"domains must be -1 (base) or 0..{experts - 1}, one number per row")
    return torch.nn.functional.one_hot(domains + 1, experts + 1)[:, 1:].to(torch.float64)


def check_finite(states: Tensor) -> None:
    """Refuse rows of hidden states [r, d] that hold nan or infinity."""
    broken = (~torch.isfinite(states).all(dim=1)).nonzero().flatten()
    if len(broken):
        raise DispatchError(
            f"{len(broken)} rows of states are not finite (first: row {int(broken[0])}): leave these rows out, or "
            "compute the hidden states in float32"
        )


def gaussians(states: Tensor, weights: Tensor, settings: DispatchSettings) -> dict[str, Tensor]:
    """Projection on whitened components, and there the experts' means with one shrunken covariance.

    ``whitened = (state - centre) @ projection`` has the identity as covariance over all rows; in ``whitened @
    scaling`` the covariance within experts is the identity, so that Mahalanobis distances are Euclidean. ``volume`` is
    half the log-determinant of the base's covariance in units of the experts'.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    centre = states.mean(dim=0)
    _, singular, directions = torch.linalg.svd(states - centre, full_matrices=False)
    kept = _components(singular, centre, settings)
    projection = directions[:kept].T * (math.sqrt(len(states)) / singular[:kept])
    whitened = (states - centre) @ projection
    rows = weights.sum(dim=0)
    means = (weights.T @ whitened) / rows[:, None]
    scatter = (whitened.T * weights.sum(dim=1)) @ whitened - (means.T * rows) @ means  # sum of r (z - mean)(z - mean)^T
    within = scatter / rows.sum()
    owned = weights.sum(dim=1) > 0
    residuals = (whitened - means[weights.argmax(dim=1)])[owned]
    shrinkage = float(ledoit_wolf_shrinkage(residuals.numpy(), assume_centered=True))
    spread = float(within.diagonal().mean())
    if spread < 1e-12:
        raise DispatchError(
            "the states of every expert's rows are all the same: give more rows per expert, or check the hidden states"
        )
    shrunken = (1 - shrinkage) * within + shrinkage * spread * torch.eye(kept, dtype=torch.float64)
    values, vectors = torch.linalg.eigh((shrunken + shrunken.T) / 2)
    values = values.clamp(min=1e-9 * spread)
    scaling = vectors * values.rsqrt()
    volume = (kept * math.log(settings.broad) - values.log().sum()) / 2
    return {
        "centre": centre,
        "projection": projection,
        "scaling": scaling,
        "means": means @ scaling,
        "volume": volume,
    }


def _components(singular: Tensor, centre: Tensor, settings: DispatchSettings) -> int:
    """Components that explain the wanted share of the variance."""
    real = singular > 1e-9 * max(float(singular.max()), float(centre.abs().max()))
    if not bool(real.any()):
        raise DispatchError("all states are the same: check that the hidden states come from different texts")
    shares = singular.square().cumsum(dim=0) / singular.square().sum()
    wanted = int((shares < settings.variance).sum()) + 1
    return max(1, min(wanted, int(real.sum()), settings.components))


def word_rates(
    keywords: Keywords, weights: Tensor, settings: DispatchSettings
) -> tuple[dict[str, int], Tensor, Tensor]:
    """Vocabulary, [K+1] log-probability of having none of its words, [V, K+1] log-odds of having each.

    The rate of word w for expert k is (1 + rows of k with w) / (2 + rows of k); the base's is that of all rows.
    """
    places: dict[str, list[int]] = {}
    for row, words in enumerate(keywords):
        for word in words:
            places.setdefault(word, []).append(row)
    known = sorted(word for word, rows in places.items() if settings.min_rows <= len(rows) < len(keywords))
    if not known:  # numbers only: no word tells anything
        none = torch.zeros(0, weights.shape[1] + 1, dtype=torch.float64)
        return {}, none.sum(dim=0), none
    shares = torch.cat([torch.ones(len(weights), 1, dtype=torch.float64), weights], dim=1)
    counts = torch.stack([shares[places[word]].sum(dim=0) for word in known])
    rates = (1 + counts) / (2 + shares.sum(dim=0))
    odds = rates.logit()
    if len(known) > settings.max_words:
        spread = odds.max(dim=1).values - odds.min(dim=1).values
        kept = spread.argsort(descending=True, stable=True)[: settings.max_words].sort().values
        known, odds, rates = [known[k] for k in kept.tolist()], odds[kept], rates[kept]
    return {word: index for index, word in enumerate(known)}, torch.log1p(-rates).sum(dim=0), odds
