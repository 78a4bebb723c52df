"""Bayesian dispatch: which expert a row belongs to, from its hidden state, its keywords and past outcomes.

For expert k of K (the base is expert 0, a background that fits anything a little)::

    log p(k | x) = log prior_k + w_states / T * log p(state | k) + w_keywords * log p(keywords | k) + const

- p(state | k): Gaussian around the mean of the states on which k was right, with one covariance for all experts
  (linear discriminant analysis), after projection on whitened principal components; Ledoit-Wolf shrinkage.
- p(keywords | k): Bernoulli naive Bayes with a Beta(1, 1) prior on every word's rate.
- prior_k is proportional to the mean of Beta(a + wins, b + losses), so outcomes move it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foundation.files import atomic_path, write_json
from llm_experts.mixtures.dispatch_models import (
    DispatchError,
    DispatchSettings,
    Keywords,
    check_finite,
    gaussians,
    one_hot,
    responsibilities,
    word_rates,
)

__all__ = ["BayesDispatcher", "DispatchError", "DispatchSettings", "Evidence", "one_hot", "responsibilities"]

_WEIGHTS, _SETTINGS = "dispatcher.safetensors", "dispatcher.json"
_TIE = 1e-9


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of base and K experts, for r rows: [r, K+1] log densities and [r, K] squared distances."""

    states: Tensor
    keywords: Tensor
    distances: Tensor


class BayesDispatcher:
    """Weights of base and experts for rows, by Bayes' rule; see the module.

    Parameters
    ----------
    settings : DispatchSettings

    Examples
    --------
    >>> dispatcher = BayesDispatcher().fit(states, keywords, responsibilities)     # doctest: +SKIP
    >>> dispatcher.calibrate(states_v, keywords_v, responsibilities_v)             # doctest: +SKIP
    >>> weights = dispatcher.weights(states_t, keywords_t)                         # doctest: +SKIP
    """

    def __init__(self, settings: DispatchSettings | None = None) -> None:
        self.settings = settings or DispatchSettings()
        self.names: tuple[str, ...] = ()
        self.vocabulary: dict[str, int] | None = None
        self._tensors: dict[str, Tensor] = {}

    @property
    def n_experts(self) -> int:
        """K, without the base."""
        return len(self.names) - 1

    def fit(
        self,
        states: Tensor,
        keywords: Keywords | None,
        responsibilities: Tensor,
        names: Sequence[str] | None = None,
    ) -> BayesDispatcher:
        """Fit on training rows.

        Parameters
        ----------
        states : [n, d] float
            Pooled hidden states of the base.
        keywords : n sets of str, or None
            None: dispatch without words. Words that few rows or all rows have tell nothing and are left out.
        responsibilities : [n, K] float in [0, 1]
            How much expert k is the right one for a row (:func:`responsibilities`, :func:`one_hot`); what a row's sum
            lacks of 1 is the base's.
        names : K names, optional

        Raises
        ------
        DispatchError
            If shapes do not fit, a state is not finite, all states are the same, or an expert has no rows.
        """
        weights = self._checked(states, keywords, responsibilities)
        self.names = ("base", *(names or [f"expert {k + 1}" for k in range(weights.shape[1])]))
        if len(self.names) != weights.shape[1] + 1:
            raise DispatchError(f"{len(self.names) - 1} names for {weights.shape[1]} experts: give one name per expert")
        empty = [name for name, rows in zip(self.names[1:], weights.sum(dim=0), strict=True) if rows < 1e-6]
        if empty:
            raise DispatchError(
                f"no rows for {', '.join(map(repr, empty))}: give rows on which it is the right expert, or leave it out"
            )
        fitted = gaussians(states.to("cpu", torch.float64), weights, self.settings)
        self._tensors = {name: tensor.contiguous() for name, tensor in fitted.items()}  # as they will be loaded
        self.vocabulary = None
        if keywords is not None:
            self.vocabulary, self._tensors["word_base"], self._tensors["word_odds"] = word_rates(
                keywords, weights, self.settings
            )
        self._tensors["wins"] = torch.zeros(len(self.names), dtype=torch.float64)
        self._tensors["losses"] = torch.zeros(len(self.names), dtype=torch.float64)
        return self

    def prior(self, thompson: np.random.Generator | None = None) -> Tensor:
        """[K+1] prior of base and experts: mean success rates (or one draw of them), normalised."""
        a = self.settings.a + self._tensors["wins"]
        b = self.settings.b + self._tensors["losses"]
        rates = a / (a + b) if thompson is None else torch.from_numpy(thompson.beta(a.numpy(), b.numpy()))
        return rates / rates.sum()

    def update(self, expert: int | str, won: bool, times: int = 1) -> None:
        """Record outcomes: expert 0 (or "base") to K, or a name."""
        if isinstance(expert, str):
            if expert not in self.names:
                raise DispatchError(f"no expert {expert!r}: known are {', '.join(self.names)}")
            expert = self.names.index(expert)
        if not 0 <= expert < len(self.names) or times < 0:
            raise DispatchError(f"expert {expert}, {times} times: experts are 0 (base) to {self.n_experts}, times >= 0")
        self._tensors["wins" if won else "losses"][expert] += times

    def evidence(self, states: Tensor, keywords: Keywords | None = None) -> Evidence:
        """Log densities of states and keywords under base and experts, and squared Mahalanobis distances."""
        t = self._fitted()
        self._check_rows(states, keywords)
        whitened = (states.to("cpu", torch.float64) - t["centre"]) @ t["projection"]
        placed = whitened @ t["scaling"]
        distances = (placed[:, None, :] - t["means"]).square().sum(dim=2)
        base = -whitened.square().sum(dim=1, keepdim=True) / (2 * self.settings.broad) - t["volume"]
        densities = torch.cat([base, -distances / 2], dim=1)
        return Evidence(densities, self._word_evidence(keywords, len(states)), distances)

    def posterior(
        self, states: Tensor, keywords: Keywords | None = None, thompson: np.random.Generator | None = None
    ) -> Tensor:
        """[r, K+1] p(base or expert | row), before abstention; with ``thompson`` the prior is one draw."""
        return self._posterior(self.evidence(states, keywords), thompson)

    def abstains(self, states: Tensor, keywords: Keywords | None = None) -> Tensor:
        """[r] bool: the row is far from every expert, or no posterior reaches the threshold."""
        return self.judged(states, keywords)[1]

    def judged(self, states: Tensor, keywords: Keywords | None = None) -> tuple[Tensor, Tensor]:
        """:meth:`posterior` and :meth:`abstains` of the same evidence."""
        evidence = self.evidence(states, keywords)
        posterior = self._posterior(evidence)
        return posterior, self._far(evidence) | self._unsure(posterior)

    def weights(
        self,
        states: Tensor,
        keywords: Keywords | None = None,
        top_k: int | None = None,
        thompson: np.random.Generator | None = None,
    ) -> Tensor:
        """[r, K+1] blended weights: the largest ``top_k`` posteriors, renormalised; all on the base where it abstains.

        Posteriors that tie with the k-th largest are kept, so that identical experts get equal weights.
        """
        count = self.settings.top_k if top_k is None else top_k
        if not count >= 1:
            raise DispatchError(f"top_k is {count}: at least one expert must be kept")
        evidence = self.evidence(states, keywords)
        posterior = self._posterior(evidence, thompson)
        last = posterior.topk(min(count, posterior.shape[1]), dim=1).values[:, -1:]
        blended = posterior * (posterior >= last - _TIE)
        blended = blended / blended.sum(dim=1, keepdim=True)
        base = torch.zeros_like(blended[:1])
        base[:, 0] = 1
        return torch.where((self._far(evidence) | self._unsure(posterior))[:, None], base, blended)

    def calibrate(self, states: Tensor, keywords: Keywords | None, responsibilities: Tensor) -> dict[str, float]:
        """Choose temperature and w_keywords by the negative log-likelihood of validation rows.

        The likelihood is -mean_i sum_k r_ik log p(k | x_i) with the base's share filled in. In (w_states / T,
        w_keywords) it is a convex function, so its minimum over the bounds is found from anywhere.

        Returns
        -------
        dict
            ``nll_before``, ``nll_after``, ``temperature``, ``w_keywords``.
        """
        from scipy.optimize import minimize

        weights = self._checked(states, keywords, responsibilities)
        if weights.shape[1] != self.n_experts:
            raise DispatchError(f"{weights.shape[1]} columns of responsibilities for {self.n_experts} experts")
        evidence = self.evidence(states, keywords)
        target = torch.cat([(1 - weights.sum(dim=1, keepdim=True)).clamp(min=0), weights], dim=1)
        log_prior = self.prior().log()
        parts = torch.stack([evidence.states, evidence.keywords])

        def loss(point: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
            scale = torch.tensor(point, dtype=torch.float64, requires_grad=True)
            logs = torch.log_softmax(log_prior + torch.einsum("p,prk->rk", scale, parts), dim=1)
            value = -(target * logs).sum(dim=1).mean()
            (slope,) = torch.autograd.grad(value, scale)
            return float(value.detach()), slope.numpy()

        s = self.settings
        start = (s.w_states / s.temperature, s.w_keywords)
        bounds = [
            (s.w_states * 1e-3, s.w_states * 1e2),
            (0.0, 10.0) if self.vocabulary is not None else (s.w_keywords, s.w_keywords),
        ]
        before, _ = loss(np.array(start))
        minimise: Any = minimize
        best = minimise(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        after, point = (float(best.fun), best.x.tolist()) if best.fun < before else (before, start)
        temperature, w_keywords = s.w_states / point[0], point[1]
        self.settings = dataclasses.replace(s, temperature=temperature, w_keywords=w_keywords)
        return {"nll_before": before, "nll_after": after, "temperature": temperature, "w_keywords": w_keywords}

    def explain(self, state: Tensor, keywords: AbstractSet[str] | None = None, words: int = 5) -> dict[str, Any]:
        """What spoke for and against each expert, for one row: state [d]."""
        sets = None if keywords is None else [keywords]
        evidence = self.evidence(state[None], sets)
        posterior, weights = self._posterior(evidence)[0], self.weights(state[None], sets)[0]
        limit = self._reach()
        far, unsure = bool(self._far(evidence)[0]), bool(self._unsure(posterior[None])[0])
        reasons = [f"every expert is further than {limit:.1f} (squared distance)"] * far
        reasons += [f"no posterior reaches {self.settings.threshold}"] * unsure
        s = self.settings
        return {
            "abstains": far or unsure,
            "reason": "; ".join(reasons),
            "experts": {
                name: {
                    "weight": float(weights[k]),
                    "posterior": float(posterior[k]),
                    "log_prior": float(self.prior().log()[k]),
                    "states": s.w_states / s.temperature * float(evidence.states[0, k]),
                    "keywords": s.w_keywords * float(evidence.keywords[0, k]),
                    "squared_distance": float(evidence.distances[0, k - 1]) if k else None,
                    "words": self._top_words(keywords, k, words),
                }
                for k, name in enumerate(self.names)
            },
        }

    def save(self, folder: Path) -> None:
        """Write ``dispatcher.safetensors`` and ``dispatcher.json``, outcomes included."""
        from safetensors.torch import save_file

        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            save_file(self._fitted(), temporary / _WEIGHTS)
            words = None if self.vocabulary is None else list(self.vocabulary)
            text = {"settings": dataclasses.asdict(self.settings), "names": list(self.names), "vocabulary": words}
            write_json(temporary / _SETTINGS, text)

    @classmethod
    def load(cls, folder: Path) -> BayesDispatcher:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DispatchError
            If the folder holds no dispatcher.
        """
        from safetensors.torch import load_file

        if not (folder / _SETTINGS).is_file() or not (folder / _WEIGHTS).is_file():
            raise DispatchError(f"{folder} holds no dispatcher ({_SETTINGS}, {_WEIGHTS}): fit and save one first")
        data = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        made = cls(DispatchSettings(**data["settings"]))
        made.names = tuple(data["names"])
        made.vocabulary = (
            None if data["vocabulary"] is None else {word: index for index, word in enumerate(data["vocabulary"])}
        )
        made._tensors = load_file(folder / _WEIGHTS)
        return made

    def _posterior(self, evidence: Evidence, thompson: np.random.Generator | None = None) -> Tensor:
        s = self.settings
        logs = self.prior(thompson).log() + s.w_states / s.temperature * evidence.states
        return torch.softmax(logs + s.w_keywords * evidence.keywords, dim=1)

    def _reach(self) -> float:
        """Largest squared distance of a row that an expert knows: quantile of chi-squared with q degrees."""
        from scipy.special import chdtri

        return float(chdtri(self._tensors["means"].shape[1], 1 - self.settings.confidence))

    def _far(self, evidence: Evidence) -> Tensor:
        return evidence.distances.min(dim=1).values > self._reach()

    def _unsure(self, posterior: Tensor) -> Tensor:
        return posterior.max(dim=1).values < self.settings.threshold

    def _word_evidence(self, keywords: Keywords | None, rows: int) -> Tensor:
        if not self.vocabulary or keywords is None:
            return torch.zeros(rows, len(self.names), dtype=torch.float64)
        index = self.vocabulary
        found = [[index[word] for word in words if word in index] for words in keywords]
        ends = np.cumsum([0, *map(len, found)])
        flat = torch.tensor([place for places in found for place in places], dtype=torch.int64)
        odds = torch.nn.functional.embedding_bag(
            flat, self._tensors["word_odds"], torch.from_numpy(ends[:-1]), mode="sum"
        )
        return self._tensors["word_base"] + odds

    def _top_words(self, keywords: AbstractSet[str] | None, expert: int, count: int) -> list[tuple[str, float]]:
        """Present words with the largest effect on this expert against the mean of all."""
        if keywords is None or not self.vocabulary:
            return []
        known = [word for word in sorted(keywords) if word in self.vocabulary]
        odds = self._tensors["word_odds"][[self.vocabulary[word] for word in known]]
        effect = self.settings.w_keywords * (odds[:, expert] - odds.mean(dim=1))
        order = effect.abs().argsort(descending=True, stable=True)[:count]
        return [(known[k], float(effect[k])) for k in order.tolist()]

    def _fitted(self) -> dict[str, Tensor]:
        if not self._tensors:
            raise DispatchError("the dispatcher is not fitted: call fit with training rows, or load a saved one")
        return self._tensors

    def _check_rows(self, states: Tensor, keywords: Keywords | None) -> None:
        width = len(self._fitted()["centre"])
        if states.ndim != 2 or states.shape[1] != width:
            raise DispatchError(f"states are {list(states.shape)}, the dispatcher was fitted on [rows, {width}]")
        check_finite(states)
        if (keywords is None) != (self.vocabulary is None):
            have, want = ("no ", "with") if keywords is None else ("", "without")
            raise DispatchError(
                f"{have}keywords are given to a dispatcher fitted {want} them: fit and ask the same way"
            )
        if keywords is not None and len(keywords) != len(states):
            raise DispatchError(f"{len(keywords)} sets of keywords for {len(states)} rows: give one set per row")

    @staticmethod
    def _checked(states: Tensor, keywords: Keywords | None, responsibilities: Tensor) -> Tensor:
        """Responsibilities as float64, after checks of all three."""
        if states.ndim != 2 or len(states) < 2:
            raise DispatchError(f"states are {list(states.shape)}: at least two rows of [n, d] are needed")
        check_finite(states)
        if keywords is not None and len(keywords) != len(states):
            raise DispatchError(f"{len(keywords)} sets of keywords for {len(states)} rows: give one set per row")
        weights = responsibilities.to("cpu", torch.float64)
        if weights.ndim != 2 or len(weights) != len(states) or weights.shape[1] < 1:
            raise DispatchError(
                f"responsibilities are {list(weights.shape)}: [{len(states)}, K] are needed, a column per expert"
            )
        if not bool((weights >= 0).all()) or bool((weights.sum(dim=1) > 1 + 1e-5).any()):
            raise DispatchError(
                "responsibilities must be finite, not negative and sum to at most 1 in every row (the rest is the "
                "base's): make them with responsibilities() or one_hot()"
            )
        return weights
