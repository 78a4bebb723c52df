"""Whether experts can be composed: what each, every pair and all of them do to the next token.

The effect of a composition S on a text is e_S = ℓ_S - ℓ, the difference of its centred logits of the next token from
the base's. Its size is told against the base, ‖e_S‖ / ‖ℓ‖; the interference of a pair is ‖e_ab - (e_a + e_b)‖ /
‖e_a + e_b‖: 0 where both do beside each other what each does alone. Norms are taken over all texts, and intervals are
percentiles of draws of texts with replacement.

What must hold, however large effects are: logits are finite; rows of the base beside rows of experts are the base;
a row computes the same alone; and it does not matter in which order adapters were loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from foundation.seeding import torch_generator
from llm_experts.adapters.error import AdapterError
from llm_experts.runtime.composition import BASE, Composition, CompositionError
from llm_experts.runtime.prefix import Prefix
from llm_experts.runtime.resident import ResidentBase

DRAWS = 1000
ROWS = 32
"""Rows of a pass at most."""
TOKENS = 48
TEXTS = (
    "The applicant is 34 years old, works full time and asks for a loan of 5,000. Will it be repaid?",
    "Question: Does the person earn more than 50,000 dollars a year? Options: yes or no. Answer:",
    "The defendant has two prior convictions and is 23 years old. Will they be arrested again?",
    "Write a query that lists users who are older than 30.",
    "Translate into French: the weather is fine today.",
    "What is the capital of the country where the river Danube begins?",
    "Explain in one sentence why the sky is blue.",
    "The nurse told the doctor that",
    "A train leaves at nine and travels at 80 kilometres an hour. How far is it at eleven?",
    "Summarise: the council met on Monday, heard both sides, and put the vote off until June.",
    "def mean(values):",
    "Dear customer, thank you for your letter about",
    "The patient complains of headaches and has a fever. The next step is",
    "Once upon a time there was a miller who had three sons.",
    "The savings of the student are unknown, and the housing is rented.",
    "Is it right to break a promise when keeping it would harm a friend?",
)
"""What experts are tried on where nobody gives texts: tasks of several domains."""


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval; NaN where it is not defined (nothing to compare with)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class PairEffect:
    """Two experts beside each other.

    Attributes
    ----------
    names : (str, str)
    size : Share
        Of their effect together, against the base.
    interference : Share
    defined : str
        Why they cannot be composed; "" if they can.
    """

    names: tuple[str, str]
    size: Share
    interference: Share
    defined: str = ""


@dataclass(frozen=True)
class Compatibility:
    """What was found about a set of experts.

    Attributes
    ----------
    effects : dict
        Size of each one's effect against the base.
    pairs : tuple of PairEffect
    whole : Share
        Size of the effect of all of them.
    whole_undefined : str
        Why all of them cannot be composed; "" if they can.
    problems : tuple of str
        What must hold and does not.
    texts : int
        Number of texts that it was measured on.
    """

    effects: dict[str, Share]
    pairs: tuple[PairEffect, ...]
    whole: Share
    whole_undefined: str
    problems: tuple[str, ...]
    texts: int


NOTHING = Share(float("nan"), float("nan"), float("nan"))


@torch.no_grad()
def check_set(
    on: ResidentBase, names: Sequence[str], texts: Sequence[str] = TEXTS, seed: int = 0, weight: float = 1.0
) -> Compatibility:
    """Try each of some experts, every pair and all of them, each with the same weight.

    Parameters
    ----------
    on : ResidentBase
        Knows the experts, and has a slot for each that changes matrices.
    names : sequence of str
    texts : sequence of str
        Of which the next token is predicted; the last 48 tokens of each count.
    seed : int
        Of the intervals.
    weight : float
        Of every expert that changes matrices; virtual tokens always have 1.

    Raises
    ------
    AdapterError
        If an expert is not known, cannot be read, or there are too few slots.
    """
    trial = _Trial(on, tuple(dict.fromkeys(names)), texts, seed, weight)
    effects = {name: trial.size((name,)) for name in trial.names}
    pairs = tuple(trial.pair(pair) for pair in combinations(trial.names, 2))
    whole = trial.undefined(trial.names)
    size = NOTHING if whole else trial.size(trial.names)
    trial.check_base()
    trial.check_alone()
    trial.check_order()
    return Compatibility(effects, pairs, size, whole, tuple(trial.problems), len(texts))


class _Trial:
    """Logits of compositions on the same texts, each computed once in batches with others."""

    def __init__(
        self, on: ResidentBase, names: tuple[str, ...], texts: Sequence[str], seed: int, weight: float
    ) -> None:
        self.on, self.names, self.problems = on, names, list[str]()
        self.ids, self.ends = _tokens(on, texts)
        generator = torch_generator(seed, "check")
        self._draws = torch.randint(len(texts), (DRAWS, len(texts)), generator=generator)
        self._weights = {name: self._weight(name, weight) for name in names}
        sets = [(name,) for name in names] + list(combinations(names, 2)) + [names]
        defined = [self.composition(one) for one in dict.fromkeys(sets) if not self.undefined(one)]
        self._found = _logits(on, [BASE, *defined], self.ids, self.ends)
        self.base = self._found[BASE]
        self.tolerance = torch.finfo(on.base.model.dtype).eps ** 0.5 * float(self.base.abs().max())
        for composition in defined:
            if not torch.isfinite(self._found[composition]).all():
                self.problems.append(f"The logits of {' + '.join(composition.names)} are not finite.")

    def _weight(self, name: str, weight: float) -> float:
        return 1.0 if self.on.prefix(Composition.of({name: 1.0})).length else weight

    def composition(self, names: tuple[str, ...]) -> Composition:
        """Experts with their weights."""
        return Composition.of({name: self._weights[name] for name in names})

    def undefined(self, names: tuple[str, ...]) -> str:
        """Why experts cannot be composed; "" if they can."""
        try:
            self.on.prefix(self.composition(names))
        except CompositionError as error:
            return str(error)
        return ""

    def effect(self, names: tuple[str, ...]) -> Tensor:
        """[texts, vocabulary] what experts change in the centred logits."""
        return _centred(self._found[self.composition(names)]) - _centred(self.base)

    def size(self, names: tuple[str, ...]) -> Share:
        """Size of an effect against the base."""
        return self._share(self.effect(names), _centred(self.base))

    def pair(self, names: tuple[str, str]) -> PairEffect:
        """Two experts beside each other."""
        why = self.undefined(names)
        if why:
            return PairEffect(names, NOTHING, NOTHING, why)
        both, summed = self.effect(names), self.effect(names[:1]) + self.effect(names[1:])
        return PairEffect(names, self.size(names), self._share(both - summed, summed))

    def _share(self, part: Tensor, of: Tensor) -> Share:
        """‖part‖ / ‖of‖ over all texts."""
        num, den = (t.double().square().sum(-1).cpu() for t in (part, of))
        if not float(den.sum()) > 0 or not torch.isfinite(num).all():
            return NOTHING
        estimate = float((num.sum() / den.sum()).sqrt())
        if len(num) < 2:
            return Share(estimate, float("nan"), float("nan"))
        drawn = (num[self._draws].sum(1) / den[self._draws].sum(1)).sqrt()
        low, high = torch.nanquantile(drawn, torch.tensor([0.025, 0.975], dtype=drawn.dtype)).tolist()
        return Share(estimate, low, high)

    # -- what must hold -----------------------------------------------------------------------------------------------

    def check_base(self) -> None:
        """Rows of the base beside rows of experts are the base."""
        alone = _logits(self.on, [BASE], self.ids, self.ends)[BASE]
        self._same(self.base, alone, "A weight of 0 is not the base: beside other requests its logits are off by")

    def check_alone(self) -> None:
        """A row computes the same in a batch with others and alone."""
        for name in self.names:
            one = self.composition((name,))
            alone = _logits(self.on, [one], self.ids, self.ends)[one]
            self._same(self._found[one], alone, f"{name} is not the same beside others as alone: its logits are off by")

    def check_order(self) -> None:
        """It does not matter in which order experts were loaded."""
        if self.undefined(self.names):
            return
        everything = self.composition(self.names)
        for name in self.names:
            self.on.unload(name)
        for name in reversed(self.names):
            self.on.load(name)
        found = _logits(self.on, [everything], self.ids, self.ends)[everything]
        self._same(self._found[everything], found, "The order in which the experts were loaded changes the logits by")

    def _same(self, one: Tensor, other: Tensor, words: str) -> None:
        off = float((one - other).abs().max())
        if off > self.tolerance:
            self.problems.append(f"{words} {off:.2g}, where {self.tolerance:.2g} is rounding.")


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def _tokens(on: ResidentBase, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """[texts, T] ids, filled up on the right, which nothing sees, and [texts] places of the last ones."""
    tokenizer: Any = on.base.tokenizer
    told = [list(tokenizer(text, add_special_tokens=False)["input_ids"])[-TOKENS:] for text in texts]
    if not told or not all(told):
        raise AdapterError("Experts are tried on texts, and there is none, or one without a token; give others.")
    longest = max(len(ids) for ids in told)
    filled = torch.tensor([ids + [0] * (longest - len(ids)) for ids in told], device=on.base.device)
    return filled, torch.tensor([len(ids) - 1 for ids in told], device=on.base.device)


def _logits(
    on: ResidentBase, compositions: Sequence[Composition], ids: Tensor, ends: Tensor
) -> dict[Composition, Tensor]:
    """[texts, vocabulary] float32 logits of the next token; compositions without virtual tokens share batches."""
    found: dict[Composition, Tensor] = {}
    texts, each = len(ids), max(1, ROWS // len(ids))
    plain = [c for c in dict.fromkeys(compositions) if not on.prefix(c).length]
    batches = [plain[start : start + each] for start in range(0, len(plain), each)]
    batches += [[c] for c in dict.fromkeys(compositions) if c not in set(plain)]
    for batch in batches:
        rows = [composition for composition in batch for _ in range(texts)]
        with on.lease(batch), on.run(rows):
            logits = _next(on, on.prefix(batch[0]), ids.repeat(len(batch), 1), ends.repeat(len(batch)))
        found.update(zip(batch, logits.view(len(batch), texts, -1), strict=True))
    return found


def _next(on: ResidentBase, ahead: Prefix, ids: Tensor, ends: Tensor) -> Tensor:
    """[rows, vocabulary] logits after the last token of each row."""
    from transformers import DynamicCache

    model: Any = on.base.model
    rows, cache = len(ids), DynamicCache()
    if ahead.keys_and_values is not None:
        for layer, (keys, values) in enumerate(ahead.keys_and_values):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    text = model.get_input_embeddings()(ids)
    embeddings = torch.cat([ahead.embeddings.expand(rows, -1, -1), text], 1)
    states = model.get_decoder()(inputs_embeds=embeddings, past_key_values=cache, use_cache=True).last_hidden_state
    last = states[torch.arange(rows, device=ids.device), len(ahead.embeddings) + ends]
    found: Tensor = model.get_output_embeddings()(last).float()
    return found
