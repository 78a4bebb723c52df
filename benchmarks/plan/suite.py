"""Suites: versioned lists of tasks, methods, seeds and budgets."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError, to_jsonable_python

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.families import families, graph_families
from benchmarks.methods.own_method import is_own
from benchmarks.methods.registry import graph_methods, method_id, tabular_methods, text_methods
from benchmarks.plan.changed import changed_description
from experts.roles import ROLES
from foundation.hashing import hash_json
from foundation.refusals import did_you_mean, faults_of

WHERE = ("executor", "address", "gpus", "store", "unit_minutes", "unit_memory", "node_minutes", "storage")
"""Keys of a suite that say where and within which bounds it is computed: results do not depend on them."""
SUITES = Path(__file__).resolve().parent.parent / "suites"


class SuiteError(ValueError):
    """A suite that does not exist or cannot be read."""


class LLMSettings(BaseModel):
    """The language-model half of a suite: on which tasks, on which base, with how much effort."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[str, ...] = Field(min_length=1, description="tasks whose rows are also read as text")
    splits: int = Field(default=3, ge=1, description="splits that are read as text, at most")
    seeds: int = Field(default=1, ge=1, description="repetitions of training per split, at most those of the suite")
    base: str = Field(default="nano", description="nano, a Hugging Face id or a folder")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantisation: Literal["none", "nf4", "int8", "ternary"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    template: Literal["sentence", "list", "record"] = "sentence"
    start: int = Field(default=-1, description="first layer that adapters change; negative counts from the end")
    kind: str = Field(default="lora", description="adapter of the three roles")
    trials: int = Field(default=8, ge=1, description="tuning trials per role")
    batch: int = Field(default=8, ge=1, description="trials trained at once as lanes")
    kind_trials: int = Field(default=4, ge=1, description="tuning trials of every other kind of adapter")
    budget: dict[str, Any] = Field(default_factory=dict, description="overrides of llm_experts.training.trainer.Budget")
    search: dict[str, Any] = Field(default_factory=dict, description="overrides of llm_experts.search.SearchSettings")
    with_graph: bool = Field(
        default=False, description="mixtures of both families hold the suite's graph experts too, where there are edges"
    )
    bias_items: int = Field(default=0, ge=0, description="items of each language bias set, on the first split; 0: none")
    methods: tuple[str, ...] = Field(default_factory=text_methods, min_length=1)

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        return _checked(methods, text_methods())


def table_methods() -> tuple[str, ...]:
    """Methods of the tabular half of a suite, in the order of the leaderboard."""
    return (*tabular_methods(), *graph_methods(), *baseline_names())


def _checked(methods: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in methods if name not in known]
    if unknown:
        raise ValueError(f"there is no method {', '.join(unknown)}; known are {', '.join(known)}")
    return methods


def _graph_family(name: str) -> str:
    known = graph_families()
    if name not in known:
        *others, last = map(repr, known)
        expected = f"{', '.join(others)} or {last}" if others else last
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
    return name


GraphFamily = Annotated[str, AfterValidator(_graph_family)]


def _table_family(name: str) -> str:
    known = [family.name for family in families().values() if not family.needs_edges]
    family, colon, role = name.partition(":")
    if family not in known:
        raise ValueError(f"there is no family {family!r} of experts on tables; known are {', '.join(known)}")
    if colon and role not in ROLES:
        raise ValueError(f"the family {family!r} has no role {role!r} in mixtures; its roles are {', '.join(ROLES)}")
    return name


Family = Annotated[str, AfterValidator(_table_family)]


class Suite(BaseModel):
    """What is compared on what, and with how much effort."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int = 1
    description: str = ""
    tasks: tuple[str, ...] = ()
    protocol: Literal["robust", "large_test", "nifty"] = "robust"
    splits: int = Field(default=5, ge=1)
    seeds: int = Field(default=1, ge=1, description="repetitions of training per split")
    seed: int = Field(default=0, ge=0, description="the one seed that every other is derived from")
    trials: int = Field(default=30, ge=1, description="tuning trials per role")
    batch: int = Field(default=15, ge=1, description="trials trained at once as lanes")
    space: Literal["published", "wide"] = "published"
    epsilon: float = Field(default=0.02, ge=0, description="utility a fair expert may cost, on validation rows")
    folds: int = Field(default=5, ge=2, description="folds of the out-of-fold outputs that gates learn from")
    families: tuple[Family, ...] = Field(
        default=("mlp", "ple_mlp", "gbdt", "linear"),
        min_length=1,
        description="families of the mixtures' experts, or one role of a family, such as ple_mlp:utility",
    )
    fair_trials: int | None = Field(
        default=None, ge=1, description="tuning trials of fair roles of other families than mlp; default: as all"
    )
    bag_folds: int = Field(
        default=5, ge=2, description="folds of training and validation rows on which chosen configurations are refitted"
    )
    use_sensitive: tuple[Literal["keep", "drop"], ...] = ("keep",)
    methods: tuple[str, ...] = Field(
        default_factory=table_methods,
        description="built-in methods, baselines, and own ones as path/to/file.py:factory",
    )
    settings: Literal["tuned", "published"] = Field(
        default="tuned", description="published: methods that state the settings of their paper are not tuned"
    )
    graph_kinds: tuple[GraphFamily, ...] = Field(
        default=("gcn",), description="graph experts that mixtures hold beside the tabular ones"
    )
    graph_layers: Literal[1, 2] = 1
    graph_tasks: tuple[str, ...] | None = Field(
        default=None, description="tasks on which graph methods run; default: all that have edges"
    )
    method_seconds: float | None = Field(
        default=None, gt=0, description="longest time that a method may take to be tuned and fitted on one split"
    )
    budget: dict[str, Any] = Field(default_factory=dict, description="overrides of experts.networks.trainer.Budget")
    cfa: bool = Field(default=False, description="also compute REF and VEF in the form that CFA's code uses")
    rows_in_files: bool = Field(
        default=False, description="rows stay in Parquet files, for tables that memory does not hold: --max-memory"
    )
    executor: Literal["local", "ray"] = Field(default="local", description="where jobs run; results are the same")
    address: str = Field(default="auto", description="of a Ray cluster: auto, HOST:PORT, or local for one of its own")
    gpus: float = Field(default=0.0, ge=0, description="GPUs, or a share of one, that a text unit takes on a cluster")
    store: str = Field(default="", description="URL of a store (s3://…) where nodes do not share the output folder")
    unit_minutes: float | None = Field(
        default=None, gt=0, description="longest time of a unit on a cluster; one that takes longer is ended"
    )
    unit_memory: float | None = Field(
        default=None, gt=0, description="GiB that each unit asks of a node of a cluster, and may take at most"
    )
    node_minutes: float = Field(
        default=0.0,
        ge=0,
        description="how long to wait for nodes that a cluster which grows by itself does not have yet",
    )
    storage: str = Field(
        default="", repr=False, description="database of the studies, for several drivers: postgresql://…"
    )

    llm: LLMSettings | None = None

    @field_validator("gpus")
    @classmethod
    def _shared_or_whole(cls, gpus: float) -> float:
        if gpus > 1 and not gpus.is_integer():
            raise ValueError(f"a unit takes a share of one GPU, such as 0.5, or whole ones, not {gpus:g}")
        return gpus

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        _checked(tuple(m for m in methods if not is_own(m)), table_methods())
        ids = [method_id(m) for m in methods]
        twice = [name for name in dict.fromkeys(ids) if ids.count(name) > 1]
        if twice:
            raise ValueError(f"the method {twice[0]} is named twice; rename the function of your own method")
        return methods

    @model_validator(mode="after")
    def _has_tasks(self) -> Suite:
        if not self.all_tasks:
            raise ValueError("tasks: name at least one")
        if not self.methods and self.llm is None:
            raise ValueError("methods: name at least one")
        if self.llm is not None and self.protocol == "nifty":
            raise ValueError(
                "llm: text experts do not run under the protocol nifty; choose another, add --no-text, or drop [llm]"
            )
        return self

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """The tabular tasks, then those that are there for the text experts alone."""
        return (*self.tasks, *(task for task in (self.llm.tasks if self.llm else ()) if task not in self.tasks))

    def splits_of(self, task: str) -> int:
        """Splits of a task: a task that is there for the text experts alone has as many as they use."""
        if self.protocol == "nifty":
            return 1  # the published split is a single one
        return self.splits if task in self.tasks or self.llm is None else self.llm.splits

    def llm_on(self, task: str, split: int = 0) -> LLMSettings | None:
        """Settings of the text experts on a split of a task, None where there are none."""
        here = self.llm is not None and task in self.llm.tasks and split < self.llm.splits
        return self.llm if here else None

    @property
    def facts(self) -> dict[str, Any]:
        """Everything in the suite but where it runs, JSON-able: two runs of the same facts have the same results."""
        return self.model_dump(mode="json", exclude=set(WHERE))

    @property
    def hash(self) -> str:
        """sha256 of the facts."""
        return hash_json(self.facts)


def suite_names() -> list[str]:
    """Names of the suites that come with fairmoe."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load_suite(name: str, *, text: bool = True, **overrides: Any) -> Suite:
    """A suite by name or by path to a TOML file; overrides that are None are ignored.

    ``tasks`` and ``methods`` hold for text experts too: those that are not named do not run. ``llm`` overrides single
    settings of the text experts; ``text`` false leaves them out.

    Raises
    ------
    SuiteError
        If there is no such suite, or the file or an override breaks the schema.
    """
    path = Path(name) if name.endswith(".toml") else SUITES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = did_you_mean(name, suite_names())
        raise SuiteError(
            f"There is no suite {name!r}. {hint}Known suites: {', '.join(suite_names())}; "
            "or give the path of a .toml file."
        ) from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read as a suite: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of thousands of digits
        raise SuiteError(f"{path} is not valid TOML: {error}. Mend the file and run again.") from error
    given = {key: value for key, value in overrides.items() if value is not None}
    settings = {key: value for key, value in given.pop("llm", {}).items() if value is not None}
    if settings and "llm" not in data:
        raise SuiteError(f"Suite {name!r} has no text experts, so {', '.join(settings)} cannot be set; try 'llm'.")
    half = data.pop("llm", None)
    if half is not None and not (isinstance(half, dict) and isinstance(half.get("tasks"), list)):
        raise SuiteError(f"The settings of suite {name!r} cannot be used: [llm] needs tasks = [...]. Add them.")
    own = _own_values(data, half, given)
    half = _text_half(half if text else None, settings, given)
    suite = load_settings(f"suite {name!r}", data | given | ({"llm": half} if half else {}))
    return suite.model_copy(update={"description": changed_description(suite.name, own, suite.facts)})


def _own_values(data: dict[str, Any], half: dict[str, Any] | None, given: dict[str, Any]) -> dict[str, Any]:
    """Values that a suite file gives to what options may change."""
    asked = [key for key in given if key in Suite.model_fields and key not in WHERE]
    text = None if half is None else _values(LLMSettings, half, LLMSettings.model_fields)
    return {**_values(Suite, data, asked), "llm": text}


def _values(model: type[BaseModel], data: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Values of keys, or their defaults where there are none, JSON-able."""
    fields = model.model_fields
    found = {key: data[key] if key in data else fields[key].get_default(call_default_factory=True) for key in keys}
    return {key: to_jsonable_python(value) for key, value in found.items()}


def _text_half(half: dict[str, Any] | None, settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any] | None:
    """The text half of a suite after overrides; None when nothing is left of it. Moves its methods out of ``given``."""
    asked = tuple(given.get("methods", ()))
    known = text_methods()
    chosen = tuple(method for method in asked if method in known)
    if half is None:
        return None
    if asked:
        given["methods"] = tuple(method for method in asked if method not in known)
    tasks = [task for task in half["tasks"] if task in given["tasks"]] if "tasks" in given else half["tasks"]
    if not tasks or (asked and not chosen):
        return None
    return half | settings | {"tasks": tasks} | ({"methods": chosen} if chosen else {})


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
        faults = faults_of(error, Suite.model_fields)
        raise SuiteError(f"The settings of {what} cannot be used: {faults}. Correct them and run again.") from error
