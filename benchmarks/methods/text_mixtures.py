"""Mixtures of text experts that are more than a gate on their outputs."""

from __future__ import annotations

from typing import Any

from benchmarks.methods.gates import EXPLAINER, TABULAR_ROLES, TEXT_RATE
from benchmarks.methods.method import TEXT, Method

BEST_SINGLE = (("text-mixtures", "llm_best_single"),)


def _mixture(name: str, label: str, about: str, recipe: str, **said: Any) -> Method:
    fixed: dict[str, Any] = {
        "kind": "gate", "family": "mixture", "reads": "text", "colour": "blue", "explainer": EXPLAINER[TEXT],
        "compared": BEST_SINGLE, "text": True, "networks": TABULAR_ROLES, "pool": TEXT, "rate": TEXT_RATE,
        "recipe": f"benchmarks.run.stages.text_mixtures:{recipe}",
    }  # fmt: skip
    return Method(id=name, label=label, about=about, **fixed | said)


FINE_TUNED = _mixture(
    "llm_mixture", "LLM mixture", "text experts and gate after joint fine-tuning", "FINE_TUNED", gate="dense"
)
BANK = _mixture("llm_bank", "LLM adapter bank", "adapters mixed row by row inside the layers", "BANK", gate="dense")
SEARCHED = _mixture(
    "llm_svf_search", "LLM SVF search", "singular-value vectors, weights by evolution", "SEARCHED", kind="static",
    colour="sky", family="llm", adapter="svf",
)  # fmt: skip
DISPATCHED = _mixture(
    "llm_dispatch", "LLM dispatch", "Bayesian dispatch by hidden state and keywords", "DISPATCHED",
    members=("llm_base",),
)  # fmt: skip
