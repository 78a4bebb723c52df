"""How fast REF and VEF by GraphLIME are: ``python -m benchmarks.speed explanations [--rounds N] [--output FILE]``.

Ours: 50 networks at once, from probabilities to REF and VEF (features prepared, nodes explained, most important feature
masked, networks run again, rows ranked). Baseline: one GraphLIME per node and model with its kernel matrices and
scikit-learn's LassoLars, then the same masking and ranking; measured on a sample of nodes of one network and scaled to
all nodes and networks, so the ratio compares seconds per network and node. Neighbourhoods (at most 32 neighbours) are
given to both. CPU time, one thread, A B A B, medians.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoLars
from torch import Tensor

from benchmarks.speed.timing import interleaved
from foundation.files import write_json
from metrics.counts.rates import gap
from metrics.explainers.graphlime import GraphLime, Neighbourhoods, neighbourhoods, top_feature
from metrics.procedural.fidelity import fidelity, ref_shares, vef_means
from tasks.load import load_task

MODELS, HIDDEN = 50, 8
SAMPLE = 40  # nodes of the baseline
COMPARED = 3  # models whose top features are compared, on every compared node
COMPARED_NODES = 250
GOAL = 200

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Networks:
    """T random networks with one hidden layer: first [T, h, d], second [T, 1, h]."""

    first: Tensor
    second: Tensor

    def probability(self, features: Tensor) -> Tensor:
        """[T, n] probabilities of class 1."""
        return self._output(self.first @ features.T)

    def masked(self, features: Tensor, masked: Tensor) -> Tensor:
        """[T, n] probabilities after feature ``masked`` [T, n] of each row was set to 0 (-1: none)."""
        index = masked.clamp(min=0)
        value = features.gather(1, index.T).T * (masked >= 0)  # [T, n]
        column = self.first.gather(2, index[:, None].expand(-1, self.first.shape[1], -1))  # [T, h, n]
        return self._output(torch.baddbmm(-column * value[:, None], self.first, features.T.expand(len(value), -1, -1)))

    def _output(self, hidden: Tensor) -> Tensor:
        return torch.sigmoid((self.second @ torch.nn.functional.leaky_relu(hidden))[:, 0])


@dataclass(frozen=True)
class Case:
    """Networks on the test rows of a graph."""

    features: Tensor  # [n, d] in [-1, 1]
    rows: Tensor
    groups: Tensor
    around: Neighbourhoods
    networks: Networks
    probability: Tensor  # [T, n]


@dataclass(frozen=True)
class Measurement:
    """One line of the table; seconds are for all nodes and networks."""

    data: str
    nodes: int
    ours: float
    baseline: float
    ratio: float
    agreement: float
    note: str


def make_case(name: str, seed: int = 0) -> Case:
    """The test rows of NIFTY's split, features min-maxed to [-1, 1]."""
    task = load_task(name, protocol="nifty", with_edges=True)
    assert task.edges is not None
    low, high = task.features.amin(0), task.features.amax(0)
    features = (2 * (task.features - low) / torch.where(high > low, high - low, 1.0) - 1).to(torch.float32)
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(MODELS, HIDDEN, features.shape[1], generator=generator) / features.shape[1] ** 0.5
    networks = Networks(first, torch.randn(MODELS, 1, HIDDEN, generator=generator) * 2)
    rows = task.split.test
    around = neighbourhoods(task.edges, len(features), rows, seed=seed)
    return Case(features, rows, task.groups[rows], around, networks, networks.probability(features))


def batched(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Top features [T, r], REF [T] and VEF [T] of all networks at once."""
    top = top_feature(GraphLime(case.features, case.around).explain(case.probability))
    masked = case.networks.masked(case.features[case.rows], top)
    return top, *_gaps(case.probability[:, case.rows], masked, case.groups)


def _gaps(before: Tensor, after: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    scores = fidelity(before, after)
    return gap(ref_shares(scores, groups, 2)), gap(vef_means(scores, scores, groups, 2))


def one_by_one(case: Case, model: int, nodes: list[int]) -> tuple[Tensor, ...]:
    """The same for one network, explained node by node."""
    x, p = case.features.numpy().astype(np.float64), case.probability[model].numpy().astype(np.float64)
    weights = [lars(feature_kernels(x[n]), p[n]) for n in (_nodes(case, node) for node in nodes)]
    top = torch.tensor([int(w.argmax()) if w.max() > 0 else -1 for w in weights])[None]
    single = Networks(case.networks.first[model : model + 1], case.networks.second[model : model + 1])
    rows = case.rows[nodes]
    masked = single.masked(case.features[rows], top)
    return top, *_gaps(case.probability[model : model + 1, rows], masked, case.groups[nodes])


def _nodes(case: Case, node: int) -> NDArray[np.int64]:
    inside: NDArray[np.int64] = case.around.nodes[case.around.start[node] : case.around.start[node + 1]].numpy()
    return inside


def feature_kernels(x: Array) -> Array:
    """[m m, d] centred and scaled kernels of the features of m nodes."""
    kernels = np.exp(-((x[:, None] - x[None]) ** 2) / (2 * x.shape[1] * 0.1))
    return _scaled(kernels).reshape(-1, x.shape[1])


def lars(kernels: Array, probability: Array) -> Array:
    """[d] non-negative lasso weights of the features."""
    output = np.exp(-2 * (probability[:, None] - probability[None]) ** 2 / (2 * 2 * 0.1))
    size = len(probability)
    model = LassoLars(alpha=0.1, fit_intercept=False, positive=True)  # type: ignore[no-untyped-call]
    weights: Array = model.fit(kernels * size, _scaled(output[:, :, None]).ravel() * size).coef_
    return weights


def _scaled(kernels: Array) -> Array:
    centred = kernels - kernels.mean(0)
    centred = centred - centred.mean(1, keepdims=True)
    scaled: Array = centred / (np.sqrt((centred**2).sum((0, 1))) + 1e-10)
    return scaled


def agreement(case: Case) -> float:
    """Share of compared networks and nodes whose top feature is the baseline's.

    Features with the same kernel in a neighbourhood are one: how they share a weight is not determined.
    """
    top = batched(case)[0]
    hits = []
    for node in range(0, len(case.rows), max(1, len(case.rows) // COMPARED_NODES)):
        inside = _nodes(case, node)
        kernels = feature_kernels(case.features[inside].numpy().astype(np.float64))
        owner = _owners(kernels)
        for model in range(COMPARED):
            weights = lars(kernels, case.probability[model, inside].numpy().astype(np.float64))
            total = np.bincount(owner, weights=weights, minlength=len(weights))
            theirs = int(total.argmax()) if total.max() > 0 else -1
            ours = int(top[model, node])
            hits.append(theirs == (int(owner[ours]) if ours >= 0 else -1))
    return float(np.mean(hits))


def _owners(kernels: Array) -> NDArray[np.int64]:
    """[d] the first feature with the same kernel."""
    same = kernels.T @ kernels > 1 - 1e-5
    np.fill_diagonal(same, True)
    first: NDArray[np.int64] = same.argmax(1)
    return first


def measure(name: str, rounds: int) -> Measurement:
    """Both sides on one graph."""
    case = make_case(name)
    nodes = list(range(0, len(case.rows), len(case.rows) // SAMPLE))[:SAMPLE]
    sampled = interleaved(lambda: batched(case), lambda: one_by_one(case, 0, nodes), rounds)
    scale = MODELS * len(case.rows) / len(nodes)
    note = f"baseline measured on {len(nodes)} nodes of one network, scaled by {scale:,.0f}"
    ours, baseline, ratio = sampled.median_a, sampled.median_b * scale, sampled.ratio * scale
    return Measurement(name, len(case.rows), ours, baseline, ratio, agreement(case), note)


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds per side (default 5)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # LARS drops one of two features with the same kernel
    table = Table("graph", "nodes", "ours, s", "baseline, s", "ratio", "goal", "same top feature", "note")
    lines = [measure(name, arguments.rounds) for name in ("german", "bail")]
    for line in lines:
        numbers = (f"{line.nodes:,}", f"{line.ours:.3f}", f"{line.baseline:,.0f}", f"{line.ratio:,.0f}x")
        table.add_row(line.data, *numbers, f"{GOAL}x", f"{line.agreement:.2%}", line.note)
    Console(width=160).print(table)
    if arguments.output:
        write_json(arguments.output, {"models": MODELS, "threads": 1, "measurements": [asdict(line) for line in lines]})
        print(f"Written to {arguments.output}")


if __name__ == "__main__":
    main()
