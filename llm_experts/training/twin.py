"""One lane with given hyperparameters, and the λ = 0 twin: what a fair expert would be without its fairness terms."""

from __future__ import annotations

import dataclasses

from llm_experts.reading.expert import LLMExpert
from llm_experts.reading.origin import Origin
from llm_experts.training.out_of_fold import Recipe
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import train_lanes
from llm_experts.training.tuning import TunedAdapter


def train_fixed(texts: TaskTexts, recipe: Recipe, *, utility_floor: float | None = None) -> LLMExpert:
    """Train one configuration with the selector of its role: no search, no halving; ``recipe.steps`` is not used.

    Raises
    ------
    RuntimeError
        If the lane failed; the text gives the reason.
    """
    result = train_lanes(
        texts,
        recipe.role,
        [recipe.lane],
        dataclasses.replace(recipe.budget, rungs=(), final_rows=0),
        seed=recipe.seed,
        kind=recipe.kind,
        options=recipe.options,
        adapter_options=recipe.adapter_options,
        teacher=recipe.teacher,
        utility_floor=utility_floor,
    )
    if reason := result.failure(0):
        raise RuntimeError(
            f"Training the {recipe.role} role ({recipe.kind}) on {texts.view.name} with lr {recipe.lane.lr:g} failed: "
            f"{reason}"
        )
    temperature, bias = (float(part[0]) for part in result.calibration)
    made_on = (Origin.of_training(texts.view),)
    return LLMExpert(recipe.role, texts.reader, result.adapter(0), temperature, bias, made_on)


def twin(texts: TaskTexts, tuned: TunedAdapter) -> LLMExpert:
    """The chosen lane of a tuned role with every λ at 0.

    Learning rate, weight decay, rank, first weights, batches, budget and selector are those of the tuned expert, so
    that whatever differs is the work of the fairness terms and not of the selector.
    """
    recipe = tuned.recipe
    lane = dataclasses.replace(recipe.lane, lambdas=dict.fromkeys(recipe.lane.lambdas, 0.0))
    return train_fixed(texts, recipe._replace(lane=lane), utility_floor=tuned.floor)
