"""Settings of the training loop from a configuration: what is given, and what the preset says of the rest."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from benchmarks.making.config import Config
from benchmarks.making.error import ConfigError

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.training.loop.settings import Settings


def settings_of(config: Config, base: Base, examples: int) -> Settings:
    """How one expert is trained.

    Parameters
    ----------
    config : Config
    base : Base
    examples : int
        Training items.

    Raises
    ------
    SettingsError, ConfigError
        If settings do not fit together.
    """
    from llm_experts.training.loop.presets import learning_rate, settings_for
    from llm_experts.training.loop.settings import Settings

    given = {
        **config.given, "seed": config.seed, "options": config.options, "adapter_options": config.adapter_options,
    }  # fmt: skip
    if config.preset == "auto":
        found = settings_for(base, config.kind, examples, method=config.method, **given)
    else:
        own = {"lr": learning_rate(config.kind, base), "rank": None} | given
        found = Settings(method=config.method, kind=config.kind, **own)
    if config.warm_up_steps is not None:
        found = dataclasses.replace(found, warm_up=_share(config.warm_up_steps, found, examples))
    return found


def _share(warm_up: int, settings: Settings, examples: int) -> float:
    """A number of warm-up steps as a share of all."""
    steps = settings.steps or math.ceil(examples / settings.batch_size) * settings.epochs
    if warm_up >= steps:
        raise ConfigError(
            f"warm_up_steps = {warm_up} leaves none of the {steps:g} steps with the full learning rate; write a share "
            "(warm_up = 0.1), or train longer."
        )
    return warm_up / steps
