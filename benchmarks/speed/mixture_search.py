"""Mixture search beside one pass of the model per mixture.

Run with ``python -m benchmarks.speed.mixture_search``. One thread. Side a is a whole search: anchors, surrogate, 5,000
evaluations by NSGA-II, true evaluation of its fronts, in three rounds. Side b is what it replaces: each of 5,000
mixtures by its own forward pass over 512 rows, of which a few are timed. Goals: a search within 5 minutes, 50 times
faster than the passes; deviation of the surrogate on its fronts is printed beside.

The mixtures are SVF vectors on a random base of small widths. :func:`compare` takes any mixture model.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from benchmarks.speed.timing import seconds
from llm_experts.search import Constraint, MixtureModel, SearchRows, SearchSettings, search_mixtures
from tasks.seeding import torch_generator

if TYPE_CHECKING:
    from llm_experts.search import SearchResult

ROWS, TOKENS, EXPERTS = 512, 120, 3
HIDDEN, LAYERS, VOCABULARY = 256, 4, 4096
EVALUATIONS = 5000
CHUNK = 64
SPREAD = 0.15


class RandomSvfMixture:
    """SVF experts with random vectors on a random Qwen3: z(α) = 1 + Σ α_k (z_k − 1) in every matrix of a layer.

    Parameters
    ----------
    rows, tokens, experts, hidden, layers : int
        Sizes.
    start : int
        First layer that experts change; what lies below is computed once for all mixtures.
    """

    def __init__(
        self,
        rows: int = ROWS,
        tokens: int = TOKENS,
        experts: int = EXPERTS,
        hidden: int = HIDDEN,
        layers: int = LAYERS,
        *,
        start: int = -1,
        seed: int = 0,
    ) -> None:
        from transformers import Qwen3Config, Qwen3ForCausalLM

        config = Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            intermediate_size=3 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=hidden // 4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        )
        self.names = tuple(f"expert{k}" for k in range(experts))
        self.hash = f"random svf {rows} {tokens} {experts} {hidden} {layers} {start} {seed}"
        generator = torch_generator(seed, "random svf")
        self.model: Any = Qwen3ForCausalLM(config)
        self.model.train(False).requires_grad_(False)
        for _, weight in sorted(self.model.named_parameters()):
            if weight.ndim == 2:
                weight.copy_(torch.randn(weight.shape, generator=generator) / weight.shape[1] ** 0.5)
        self.ids = torch.randint(0, VOCABULARY, (rows, tokens), generator=generator)
        self.start = start % layers
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


def compare(model: MixtureModel, rows: SearchRows, one_pass: Any = None, passes: int = 5) -> SearchResult:
    """Print what a search costs against one pass per mixture, and how far its surrogate was off.

    Parameters
    ----------
    model, rows : MixtureModel, SearchRows
    one_pass : callable or None
        Margins of one mixture [K] by a pass of its own; None: ``model.margins`` of one mixture.
    passes : int
        Timed passes.
    """
    k = len(model.names)
    slow = one_pass or (lambda alpha: model.margins(alpha[None])[0])
    settings = SearchSettings(constraints=(Constraint("dp@1", "<=", 0.2),), stop_gain=None)
    generator = torch_generator(0, "passes")
    mixtures = torch.rand(passes, k, generator=generator, dtype=torch.float64)
    for alpha in mixtures[:1]:
        apart = float((slow(alpha) - model.margins(alpha[None])[0]).abs().max())
    each = sorted(seconds(lambda a=alpha: slow(a)) for alpha in mixtures)[passes // 2]  # type: ignore[misc]
    start, wall = time.process_time(), time.perf_counter()
    result = search_mixtures(model, rows, settings)
    spent, wall = time.process_time() - start, time.perf_counter() - wall
    print(
        f"{len(rows)} rows, {k} experts: search of {result.surrogate_evaluations} evaluations and "
        f"{result.true_evaluations} true ones {spent:.1f} s of CPU time, {wall:.1f} s by the clock (goal 300 s); "
        f"one pass per mixture {each * 1e3:.0f} ms (the same margins to {apart:.1e}), {EVALUATIONS} of them "
        f"{each * EVALUATIONS:.0f} s: {each * EVALUATIONS / spent:.0f} times faster (goal 50)",
        flush=True,
    )
    for report in result.rounds:
        errors = ", ".join(f"{id} {e.mae:.4f} (rank {e.spearman:.2f})" for id, e in report.deviation.items())
        print(f"  round {report.round}: {report.anchors} anchors; error on the front: {errors or 'nothing new'}")
    print(f"  {result.winner.statement} {result.seconds}")
    return result


def main() -> None:
    """Print the comparison for two places where experts may begin."""
    torch.set_num_threads(1)
    for start, rows, words in ((-1, ROWS, "experts in the last layer"), (0, ROWS // 4, "experts in all layers")):
        model = RandomSvfMixture(rows, start=start)
        print(words, flush=True)
        compare(model, labelled(model), model.own_pass)


if __name__ == "__main__":
    main()
