"""Mixture search beside one pass of the model per mixture.

Run with ``python -m benchmarks.speed mixture_search`` (``--random``: a random base of nano's shape, which needs neither
nano nor data; ``--base``: another base than nano; ``--start 0``: experts in all layers, not only in the last). One
thread. Side a is a whole search: anchors, surrogate, 5,000 evaluations by NSGA-II, true evaluation of its fronts, in
three rounds. Side b is what it replaces: each of 5,000 mixtures by its own forward pass over the same 512 rows, of
which a few are timed. Goals: a search within 5 minutes, 50 times faster than the passes. The error of the surrogate on
its fronts is printed beside. :func:`compare` takes any mixture model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from benchmarks.speed.timing import seconds
from foundation.seeding import torch_generator
from llm_experts.bases.nano.architecture import new_model
from llm_experts.bases.nano.settings import Shape
from llm_experts.search import MixtureModel, SearchResult, SearchRows, SearchSettings, search_mixtures
from llm_experts.search.books.book import Book

TASK = "adult:sex@2048"
ROWS, TOKENS, EXPERTS, VOCABULARY = 512, 120, 3, 6000
EVALUATIONS = 5000
CHUNK = 64
SPREAD = 0.15
LAMBDAS: dict[str, dict[str, float]] = {"utility": {}, "result": {"lambda_fair": 3.0}, "procedural": {"lambda_cf": 5.0}}
SETTINGS = SearchSettings(refuse_constant=False, stop_gain=None)
"""A constant costs as much as any, and the search goes to its end."""

Pass = Callable[[Tensor], Tensor]
"""Margins [n] of one mixture [K]."""


class RandomSvfMixture:
    """SVF experts with random vectors on a random Qwen3: z(α) = 1 + Σ α_k (z_k − 1) in every matrix of a layer.

    Parameters
    ----------
    rows, tokens, experts : int
        Sizes; the base has nano's shape.
    start : int
        First layer that experts change; what lies below is computed once for all mixtures.
    """

    def __init__(
        self, rows: int = ROWS, tokens: int = TOKENS, experts: int = EXPERTS, *, start: int = -1, seed: int = 0
    ) -> None:
        self.names = tuple(f"expert{k}" for k in range(experts))
        self.hash = f"random svf {rows} {tokens} {experts} {start} {seed}"
        generator = torch_generator(seed, "random svf")
        self.model: Any = new_model(Shape().config(VOCABULARY, 0, 1), seed)
        self.model.train(False).requires_grad_(False)
        self.ids = torch.randint(0, VOCABULARY, (rows, tokens), generator=generator)
        self.start = start % Shape().layers
        self._factors = {name: self._factor(name, generator) for name in self._matrices()}
        self._below = torch.cat([self._lower(ids) for ids in torch.split(self.ids, CHUNK)])

    def _matrices(self) -> list[str]:
        first = [f"model.layers.{layer}." for layer in range(self.start, len(self.model.model.layers))]
        return [n for n, w in self.model.named_parameters() if n.startswith(tuple(first)) and w.ndim == 2]

    def _factor(self, name: str, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u, s, v = torch.linalg.svd(self.model.get_parameter(name), full_matrices=False)
        offsets = SPREAD * torch.randn(len(self.names), len(s), generator=generator)
        return u, s, v, offsets

    def weights(self, alpha: Tensor) -> dict[str, Tensor]:
        """Matrices of one mixture [K]."""
        share = alpha.to(torch.float32)
        return {n: (u * (s * (1 + share @ z))) @ v for n, (u, s, v, z) in self._factors.items()}

    def _head(self, hidden: Tensor) -> Tensor:
        words: Tensor = self.model.lm_head.weight[:2]
        return hidden @ (words[1] - words[0])

    def _lower(self, ids: Tensor) -> Tensor:
        with torch.no_grad():
            states = self.model.model(ids, output_hidden_states=True).hidden_states
        below: Tensor = states[self.start]
        return below

    def margins(self, alphas: Tensor) -> Tensor:
        """[P, n] true margins; layers below ``start`` are not run again."""
        return torch.stack([self._upper(self.weights(alpha)) for alpha in alphas])

    def _upper(self, weights: dict[str, Tensor]) -> Tensor:
        decoder = self.model.model
        parts = []
        for hidden in torch.split(self._below, CHUNK):
            place = torch.arange(hidden.shape[1])[None]
            rotary = decoder.rotary_emb(hidden, place)
            for layer in range(self.start, len(decoder.layers)):
                head = f"model.layers.{layer}."
                own = {n.removeprefix(head): w for n, w in weights.items() if n.startswith(head)}
                found = functional_call(decoder.layers[layer], own, (hidden,), {"position_embeddings": rotary})
                hidden = found[0] if isinstance(found, tuple) else found
            parts.append(self._head(decoder.norm(hidden[:, -1])))
        return torch.cat(parts)

    @torch.no_grad()
    def own_pass(self, alpha: Tensor) -> Tensor:
        """[n] margins of one mixture by an ordinary forward pass of the whole model."""
        weights = self.weights(alpha)
        found = [
            functional_call(self.model, weights, (ids,), {"logits_to_keep": 1}).logits[:, -1]
            for ids in torch.split(self.ids, CHUNK)
        ]
        logits = torch.cat(found)
        return logits[:, 1] - logits[:, 0]


def labelled(model: MixtureModel, seed: int = 0) -> SearchRows:
    """Labels that half of the experts explain, and groups that go with them a little."""
    generator = torch_generator(seed, "labelled")
    k = len(model.names)
    target = model.margins(torch.full((1, k), 0.6, dtype=torch.float64))[0]
    noise = torch.randn(len(target), generator=generator) * target.std()
    labels = (target + 0.7 * noise > target.median()).to(torch.int64)
    groups = (torch.rand(len(target), generator=generator) < 0.35 + 0.3 * labels).to(torch.int64)
    return SearchRows(labels, groups, ("a", "b"))


def compare(
    model: MixtureModel,
    rows: SearchRows | Book,
    passes: Mapping[str, Pass],
    count: int = 3,
    settings: SearchSettings = SETTINGS,
) -> SearchResult:
    """Print what a search costs against one pass per mixture, and how far its surrogate was off.

    Parameters
    ----------
    model, rows : MixtureModel, SearchRows or Book
    passes : mapping of name -> Pass
        Ways to evaluate one mixture by a pass of its own.
    count : int
        Timed passes of each.
    settings : SearchSettings
    """
    generator = torch_generator(0, "passes")
    mixtures = torch.rand(count + 1, len(model.names), generator=generator, dtype=torch.float64)
    own = model.margins(mixtures[:1])[0]
    apart = {name: float((run(mixtures[0]) - own).abs().max()) for name, run in passes.items()}  # and a warm-up
    each = {name: sorted(seconds(_call(run, m)) for m in mixtures[1:])[count // 2] for name, run in passes.items()}
    start, clock = time.process_time(), time.perf_counter()
    result = search_mixtures(model, rows, settings)
    spent, clock = time.process_time() - start, time.perf_counter() - clock
    print(
        f"{len(rows)} rows, {len(model.names)} experts: search of {result.surrogate_evaluations} evaluations and "
        f"{result.true_evaluations} true ones {spent:.1f} s of CPU time, {clock:.1f} s by the clock (goal 300 s)"
    )
    for name, cost in each.items():
        print(
            f"  {name}: {cost * 1e3:.0f} ms (margins {apart[name]:.1e} apart), {EVALUATIONS} of them "
            f"{cost * EVALUATIONS:.0f} s: the search is {cost * EVALUATIONS / spent:.0f} times faster (goal 50)"
        )
    for report in result.rounds:
        errors = ", ".join(f"{id} {e.mae:.4f} (rank {e.spearman:.2f})" for id, e in report.deviation.items())
        print(f"  round {report.round}: {report.anchors} anchors; error on the front: {errors or 'nothing new'}")
    parts = ", ".join(f"{part} {cost:.1f} s" for part, cost in result.seconds.items())
    print(f"  {parts}. {result.winner.statement}", flush=True)
    return result


def _call(run: Pass, mixture: Tensor) -> Callable[[], object]:
    return lambda: run(mixture)


def random_comparison(start: int) -> None:
    """The comparison on a random base."""
    model = RandomSvfMixture(start=start)
    compare(model, labelled(model), {"a pass of the library's model": model.own_pass})


def trained_comparison(base_id: str, start: int) -> None:
    """The comparison with three trained SVF experts on a base, on validation rows of a task."""
    from llm_experts.bases.load import load_base
    from llm_experts.mixtures.svf_mixtures import SVFMixtures
    from llm_experts.reading.expert import LLMExpert
    from llm_experts.reading.reader import Reader
    from llm_experts.training.text_blocks import TaskTexts
    from llm_experts.training.trainer import Budget, LaneConfig, train_lanes
    from tasks.load import load_task

    view, base = load_task(TASK).view(), load_base(base_id)
    reader = Reader(base, start=start)
    texts, budget = TaskTexts(view, reader), Budget(steps=60, rungs=(), explained_rows=8, final_rows=0)
    adapters: dict[Any, Any] = {}
    for role, lambdas in LAMBDAS.items():
        config = LaneConfig(1e-2, rank=None, lambdas=lambdas)
        adapters[role] = train_lanes(texts, role, [config], budget, seed=0, kind="svf").adapter(0)  # type: ignore[arg-type]

    def mixtures(reading: Reader) -> SVFMixtures:
        experts = tuple(LLMExpert(role, reading, adapter) for role, adapter in adapters.items())
        return SVFMixtures(experts, view, view.split.validation)

    model, whole = mixtures(reader), mixtures(Reader(base, start=start, cache_bytes=0))
    labels, groups = (part[view.split.validation] for part in (view.labels, view.groups))
    passes: dict[str, Pass] = {
        "a pass of its own": lambda alpha: whole.margins(alpha[None])[0],
        "a pass of the experts' layers alone, the others computed once": lambda alpha: model.margins(alpha[None])[0],
    }
    compare(model, SearchRows(labels, groups, view.group_names), passes)


def main() -> None:
    """Print the comparison."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--random", action="store_true")
    options.add_argument("--base", default="nano")
    options.add_argument("--start", type=int, default=-1)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.random:
        random_comparison(chosen.start)
    else:
        trained_comparison(chosen.base, chosen.start)


if __name__ == "__main__":
    main()
