"""Suites: versioned lists of tasks, methods, seeds and budgets."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

SUITES = Path(__file__).parent / "suites"

METHODS = (
    "mixture", "gate_dense", "gate_top2", "static_simplex", "uniform", "best_single",
    "utility", "result", "procedural", "result_lambda0", "procedural_lambda0",
    "combined_mlp", "constant", "logistic_regression", "gradient_boosting",
)  # fmt: skip
"""Methods of the tabular suite, in the order of the leaderboard."""


class SuiteError(ValueError):
    """A suite that does not exist or cannot be read."""


class Suite(BaseModel):
    """What is compared on what, and with how much effort."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int = 1
    description: str = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    protocol: Literal["robust", "nifty"] = "robust"
    splits: int = Field(default=5, ge=1)
    seeds: int = Field(default=1, ge=1, description="repetitions of training per split")
    seed: int = Field(default=0, ge=0, description="the one seed that every other is derived from")
    trials: int = Field(default=30, ge=1, description="tuning trials per role")
    batch: int = Field(default=15, ge=1, description="trials trained at once as lanes")
    space: Literal["published", "wide"] = "published"
    epsilon: float = Field(default=0.02, ge=0, description="utility a fair expert may cost, on validation rows")
    folds: int = Field(default=5, ge=2, description="folds of the out-of-fold outputs that gates learn from")
    use_sensitive: tuple[Literal["keep", "drop"], ...] = ("keep",)
    methods: tuple[str, ...] = Field(default=METHODS, min_length=1)
    budget: dict[str, Any] = Field(default_factory=dict, description="overrides of experts.trainer.Budget")
    cfa: bool = Field(default=False, description="also compute REF and VEF in the form that CFA's code uses")

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in methods if name not in METHODS]
        if unknown:
            raise ValueError(f"there is no method {', '.join(unknown)}; known are {', '.join(METHODS)}")
        return methods

    @property
    def hash(self) -> str:
        """sha256 of everything in the suite."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def suite_names() -> list[str]:
    """Names of the suites that come with fairmoe."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load_suite(name: str, **overrides: Any) -> Suite:
    """A suite by name or by path to a TOML file; overrides that are None are ignored.

    Raises
    ------
    SuiteError
        If there is no such suite, or the file or an override breaks the schema.
    """
    path = Path(name) if name.endswith(".toml") else SUITES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        close = difflib.get_close_matches(name, suite_names(), n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise SuiteError(
            f"There is no suite {name!r}. {hint}Known suites: {', '.join(suite_names())}; "
            "or give the path of a .toml file."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path} is not valid TOML: {error}. Mend the file and run again.") from error
    return load_settings(
        f"suite {name!r}", data | {key: value for key, value in overrides.items() if value is not None}
    )


def load_settings(what: str, data: dict[str, Any]) -> Suite:
    """A suite from its fields; ``what`` names where they come from.

    Raises
    ------
    SuiteError
        If a field is unknown or has a value that it may not have; the text names each.
    """
    try:
        return Suite.model_validate(data)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SuiteError(f"The settings of {what} cannot be used: {lines}. Correct them and run again.") from error
