"""Settings that are a good beginning, by the kind of adapter, the size of the base and the number of items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llm_experts.adapters.registry import kind_named
from llm_experts.bases.base import Base
from llm_experts.training.loop.settings import Settings, SettingsError

REFERENCE_WIDTH = 1024
"""Width of the base that the kinds' learning rates are meant for."""


def learning_rate(kind: str, base: Base) -> float:
    """Learning rate of a kind on a base: the geometric middle of the kind's range.

    Adam's rate for matrices goes with 1 / width (Yang & Hu, "Tensor Programs V", 2022).
    """
    chosen = kind_named(kind)
    low, high = chosen.lr_range
    scale = REFERENCE_WIDTH / base.hidden_size if chosen.trains_matrices else 1.0
    return float((low * high) ** 0.5 * scale)


@dataclass(frozen=True)
class Amounts:
    """How many items a task of one complexity wants (spec 001, "Dataset Size Guidelines").

    Attributes
    ----------
    least, recommended, most : int
        Fewer teach little, and more than ``most`` add nothing.
    """

    least: int
    recommended: int
    most: int


AMOUNTS = {
    "format": Amounts(500, 2_000, 5_000),
    "grammar": Amounts(2_000, 10_000, 30_000),
    "domain": Amounts(5_000, 20_000, 50_000),
    "reasoning": Amounts(10_000, 30_000, 100_000),
}
"""By complexity: simple formats, the grammar of a language, knowledge of a domain, reasoning in several steps."""
STEP_ITEMS = 16
"""Items of an optimiser step: 4 at once and 4 times accumulated in spec 001."""
LONGEST_PAUSE = 250
"""Steps between evaluations at most (spec 003); fewer where an epoch has fewer."""
GENTLER = {"dpo": 0.25, "rl": 0.25}
"""Methods that go on from what the base can do want smaller steps: spec 001 has 5e-5 for DPO beside 2e-4."""
DECAY = 0.01


def advice(items: int, complexity: str) -> str:
    """One sentence on a number of items; "" where it is what a task of the complexity wants.

    Raises
    ------
    SettingsError
        If there is no such complexity.
    """
    if complexity not in AMOUNTS:
        raise SettingsError(f"There is no complexity {complexity!r}; choose one of {', '.join(AMOUNTS)}.")
    wanted = AMOUNTS[complexity]
    if items < wanted.least:
        few = f"{items} items are few for {complexity}"
        return f"{few}: {wanted.least:,} teach something, {wanted.recommended:,} are good."
    if items > wanted.most:
        return f"{items} items are more than {complexity} needs: beyond {wanted.most:,} little is learnt."
    return ""


def settings_for(base: Base, kind: str, items: int, *, method: str = "sft", **changed: Any) -> Settings:
    """Settings to begin with; what is given by name goes before them.

    Where the specs contradict each other: the warm-up is a tenth of the steps (003) and not 100 steps (001), which few
    items do not even have; there is no dropout, which cached layers and lanes cannot have, and for which early
    stopping stands in; learning rates go with the kind and the width of the base, as 2e-4 (001) suits LoRA on wide
    bases alone and "5e-5 for small models" (003) is the wrong way round: small ones want larger steps.

    Parameters
    ----------
    base : Base
    kind : str
        Of adapters.
    items : int
        Number of training items.
    method : str
    changed
        Of :class:`Settings`.
    """
    steps_an_epoch = -(-items // STEP_ITEMS)
    size = sum(weight.numel() for weight in base.model.parameters())
    made = Settings(
        method=method,
        kind=kind,
        rank=_rank(kind, items),
        lr=learning_rate(kind, base) * GENTLER.get(method, 1.0),
        epochs=_epochs(items),
        batch_size=STEP_ITEMS,
        accumulation=1 if size < 500_000_000 else 4,
        optimiser="adamw" if size < 3_000_000_000 or base.device.type == "cpu" else "paged_adamw_8bit",
        checkpointing=size >= 3_000_000_000,
        weight_decay=DECAY,
        evaluate_every=None if steps_an_epoch <= LONGEST_PAUSE else LONGEST_PAUSE,
    )
    return replace(made, **changed)


def _rank(kind: str, items: int) -> int | None:
    """The kind's choices by the number of items: the smallest to 2,000, the largest from 20,000 (spec 001)."""
    choices = kind_named(kind).rank_choices
    if items < 2_000:
        return choices[0]
    return choices[-1] if items >= 20_000 else choices[len(choices) // 2]


def _epochs(items: int) -> float:
    """Between 2 and 5 (spec 001), the more the fewer the items."""
    return 5 if items < 1_000 else 3 if items < 20_000 else 2
