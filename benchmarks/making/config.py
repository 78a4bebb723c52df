"""What is asked for: one language expert, its base, its data and how it is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmarks.making.error import ConfigError
from foundation.hashing import hash_json
from foundation.refusals import faults_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TRAINING = (
    "rank", "start", "lr", "epochs", "steps", "batch_size", "accumulation", "max_length", "packing", "warm_up",
    "schedule", "weight_decay", "clip", "optimiser", "checkpointing", "evaluate_every", "patience", "style",
)  # fmt: skip
"""Fields that a preset decides where nobody does."""
SOURCES = ("data", "family")


class Config(BaseModel):
    """One expert to train. What is None is decided by the preset, for the base, kind and number of examples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="of the expert and its folder; default: of data, method and kind")
    base: str = Field(default="nano", min_length=1, description="nano, a Hugging Face id or a folder")
    revision: str | None = Field(default=None, description="commit, tag or branch of a Hugging Face id")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantisation: Literal["none", "nf4", "int8", "ternary"] = "none"
    device: str = Field(default="auto", description="auto, cpu or cuda")

    data: Path | None = Field(default=None, description="JSON lines to learn from")
    validation: Path | None = Field(default=None, description="JSON lines to choose the checkpoint by")
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="of data, where there is no validation file")
    family: str | None = Field(default=None, description="family whose items are learnt, in place of data")
    count: int = Field(default=1000, ge=1, description="training items of the family")
    validation_count: int = Field(default=100, ge=1, description="validation items of the family")
    difficulty: float | None = Field(default=None, ge=0, le=1, description="of the family's items; default: all")
    judge: str | None = Field(default=None, description="family whose checker judges answers to data")

    after: Path | None = Field(default=None, description="folder of an expert that is trained on")
    method: str = "sft"
    kind: str = "lora"
    preset: Literal["auto", "none"] = Field(
        default="auto", description="settings where none are given: by base, kind and items, or the plain ones"
    )
    complexity: Literal["format", "grammar", "domain", "reasoning"] | None = Field(
        default=None, description="of the task: whether there are enough items for it is said"
    )
    engine: Literal["fairmoe", "trl"] = "fairmoe"
    use_unsloth: bool = False
    seed: int = 0
    seeds: tuple[int, ...] = Field(default=(), description="one expert each, trained together")

    rank: int | None = Field(default=None, ge=1)
    start: int | None = Field(default=None, description="first layer that the adapter changes; -1: the last")
    lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1, description="examples of an optimiser step")
    accumulation: int | None = Field(default=None, ge=1, description="parts that a step is computed in")
    max_length: int | None = Field(default=None, ge=2)
    packing: bool | None = None
    warm_up: float | None = Field(default=None, ge=0, lt=1, description="share of steps")
    warm_up_steps: int | None = Field(default=None, ge=0, description="the same as a number")
    schedule: Literal["cosine", "linear", "constant"] | None = None
    weight_decay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    optimiser: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] | None = None
    checkpointing: bool | None = Field(default=None, description="recompute activations to save memory")
    evaluate_every: int | None = Field(default=None, ge=1, description="steps; default: every epoch")
    patience: int | None = Field(default=None, ge=1, description="evaluations without a better one")
    style: Literal["auto", "chat", "plain", "instruct"] | None = None

    options: dict[str, Any] = Field(default_factory=dict, description="of the method")
    adapter_options: dict[str, Any] = Field(default_factory=dict, description="of the kind of adapter")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if name and not NAME.fullmatch(name):
            raise ValueError("letters, digits, '.', '_' and '-', the first a letter or digit, at most 100")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [source for source in SOURCES if getattr(self, source)]
        if len(given) != 1:
            raise ValueError(
                "name what is learnt from: exactly one of data (a file of JSON lines) and family; "
                f"{'both are' if given else 'none is'} given"
            )
        if self.family and (self.validation or self.judge):
            raise ValueError("validation and judge belong to data; a family has its own items and checker")
        if self.warm_up is not None and self.warm_up_steps is not None:
            raise ValueError("warm_up (a share) and warm_up_steps (a number) say the same; keep one")
        return self

    @property
    def called(self) -> str:
        """Its name, or one that says what it is."""
        what = self.family or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(str(self.data)).stem).lstrip("._-")
        return self.name or f"{what or 'data'}-{self.method}-{self.kind}"

    @property
    def given(self) -> dict[str, Any]:
        """Settings of training that are decided here."""
        return {name: value for name in TRAINING if (value := getattr(self, name)) is not None}

    @property
    def base_key(self) -> tuple[str, str, str, str]:
        """What must be equal for experts to share a base that is loaded once."""
        return self.base, self.dtype, self.quantisation, self.device

    def each(self) -> list[Config]:
        """One for every seed: the same with one seed, and a name of its own where there are several."""
        if not self.seeds:
            return [self.model_copy(update={"name": self.called})]
        alone = len(self.seeds) == 1
        return [
            self.model_copy(update={"seed": s, "seeds": (), "name": self.called if alone else f"{self.called}-s{s}"})
            for s in self.seeds
        ]

    @property
    def hash(self) -> str:
        """sha256 of all that is asked for but the name."""
        return hash_json(self.model_dump(mode="json", exclude={"name"}))


def config_of(values: Mapping[str, Any], where: str) -> Config:
    """A configuration from fields in our own names.

    Raises
    ------
    ConfigError
        If a field is unknown or has a value that it may not have; the text names each.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        faults = faults_of(error, Config.model_fields)
        raise ConfigError(f"The settings of {where} cannot be used: {faults}. Correct them and run again.") from error
