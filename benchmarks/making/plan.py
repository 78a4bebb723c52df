"""What training would take: settings, parameters, steps, memory and time, without a step of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.making.config import Config
from benchmarks.making.together import assignment_of, ready
from foundation.numbers import GIB
from foundation.words import plural

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.training.loop.assignment import Assignment
    from llm_experts.training.sequences.batch import Item

TRIED_TOKENS = 512
"""Tokens of the pass that times are estimated from."""
BACKWARD = 2
"""A backward pass costs about two forward passes."""
ACTIVATIONS = 17
"""Numbers kept for the backward pass by token, layer and hidden unit, without attention's scores (Korthikanti et al.,
"Reducing Activation Recomputation in Large Transformer Models", 2023: 34 bytes of 16-bit numbers)."""


@dataclass(frozen=True)
class Cost:
    """What experts that train together take.

    Attributes
    ----------
    parameters : int
        Numbers that train, of one expert.
    steps : int
        Of the longest of them.
    tokens, learnt : int
        Of all items of one expert, and those of them that are learnt.
    memory : int
        Bytes: the base's weights, activations of a micro-batch, adapters and optimisers.
    seconds : float
        Of all steps, from one timed pass of the base; examinations come on top.
    """

    parameters: int
    steps: int
    tokens: int
    learnt: int
    memory: int
    seconds: float


def plan_of(configs: Sequence[Config], output: Path, load: Callable[..., Base]) -> Iterator[str]:
    """Lines about what would be trained."""
    from llm_experts.training.loop.fit import groups

    found = [ready(config) for config in configs]
    base = load(*configs[0].base_key)
    assignments = [assignment_of(one, base) for one in found]
    for one in found:
        for note in one.material.notes:
            yield f"note: {note}"
    for members in groups(assignments):
        settings = members[0].settings
        cost = cost_of(base, members)
        yield f"{', '.join(member.name for member in members)} in {output}"
        yield f"  {settings.method} of {settings.kind} adapters on {base.id} ({base.hash[:12]})"
        yield f"  items: {len(members[0].train):,} to learn, {len(members[0].validation):,} to choose by"
        yield f"  tokens of the items: {cost.tokens:,}, learnt {cost.learnt:,}"
        yield f"  {shown(settings)}"
        yield f"  {cost.parameters:,} parameters train; {cost.steps:,} steps"
        yield (
            f"  about {cost.memory / GIB:.2f} GiB, and {_duration(cost.seconds)} for the steps of "
            f"{plural(len(members), 'expert')} together; examinations come on top"
        )
    yield "Nothing was trained. Next: the same command without --dry-run"


def shown(settings: Any) -> str:
    """Settings in one line."""
    from llm_experts.training.loop.settings import Settings

    facts: dict[str, Any] = settings.as_json()
    plain = Settings().as_json()
    named = ("rank", "start", "lr", "batch_size", "max_length")
    keep = {name: value for name, value in facts.items() if name in named or value != plain[name]}
    told = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in keep.items()}
    return ", ".join(f"{name} {value}" for name, value in told.items() if name not in ("method", "kind"))


def cost_of(base: Base, members: Sequence[Assignment]) -> Cost:
    """What experts that train together would take; a pass over some tokens is timed."""
    from llm_experts.training.loop.method import method_named
    from llm_experts.training.loop.order import Order, items_of
    from llm_experts.training.sequences.lanes import SequenceLanes

    settings = members[0].settings
    needs = method_named(settings.method).needs
    each = [items_of(member.train, base, settings, needs) for member in members]
    orders = [Order(items, member.settings) for items, member in zip(each, members, strict=True)]
    lanes = SequenceLanes.fresh(
        base, settings.kind, [settings.rank], [settings.seed], settings.start, settings.adapter_options
    )
    tokens = sum(_tokens(item) for item in each[0])
    share = 1 - lanes.lower.start / base.n_layers
    second = _seconds_per_token(base)
    trained = sum(order.steps * tokens / order.per_epoch for order in orders) * second * share * (1 + BACKWARD)
    return Cost(
        lanes.parameter_count, max(order.steps for order in orders), tokens, sum(item.learnt for item in each[0]),
        _memory(base, len(members), lanes.parameter_count, share), trained + tokens * second * (1 - share),
    )  # fmt: skip


def _tokens(item: Item) -> int:
    return sum(len(part.ids) for part in item.parts)


def _memory(base: Base, lanes: int, parameters: int, share: float) -> int:
    from llm_experts.bases.quantised import weight_bytes
    from llm_experts.training.loop.order import MICRO_TOKENS

    tokens = MICRO_TOKENS.get(base.device.type, MICRO_TOKENS["cpu"])
    width = next(base.model.parameters()).element_size()
    activations = ACTIVATIONS * tokens * base.hidden_size * width * base.n_layers * share
    states = 5 * 4 * parameters * lanes  # weights, gradient, two moments, the best
    return int(weight_bytes(base.model) + activations + states)


def _seconds_per_token(base: Base) -> float:
    """Of a forward pass, the second of two: the first also warms up."""
    import torch

    model: Any = base.model
    length = min(TRIED_TOKENS, base.context)
    ids = torch.zeros((1, length), dtype=torch.int64, device=base.device)
    taken = 0.0
    with torch.no_grad():
        for _ in range(2):
            began = time.perf_counter()
            model(input_ids=ids, logits_to_keep=1)
            taken = time.perf_counter() - began
    return taken / length


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
