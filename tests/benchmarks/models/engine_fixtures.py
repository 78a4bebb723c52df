"""A tiny base in a folder, two adapters and a model of rows as packages, installed in a profile of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from artefacts.packing.pack import package
from artefacts.packing.told import Told
from artefacts.registry.registry import Allowed, Registry
from benchmarks.methods.baselines import load_baseline
from benchmarks.models import save_model
from llm_experts.adapters.store import save_adapter
from llm_experts.bases.load import load_base
from tests.benchmarks.models.conftest import load
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter

KINDS = {"law": "lora", "med": "dora"}
WORDS = {"law": ["contract", "court"], "med": ["fever"]}


@dataclass(frozen=True)
class Shop:
    """Packages and what they stand on.

    Attributes
    ----------
    base : Path
        Folder of the base.
    packages : mapping of str to Path
        ``law``, ``med``: adapters; ``own-trees``: a model of rows.
    rows : DataFrame
        Raw rows of the last.
    """

    base: Path
    packages: dict[str, Path]
    rows: pd.DataFrame

    def install(self, *names: str) -> Registry:
        """Install into FAIRMOE_HOME; all when none is named."""
        registry = Registry.of_user()
        registry.install([str(self.packages[name]) for name in names or self.packages], Allowed(untrusted=True))
        return registry


def make_shop(folder: Path) -> Shop:
    """All of it, made in a folder."""
    tiny = make_tiny_base(layers=2, hidden=32)
    tiny.model.save_pretrained(folder / "base")
    tiny.tokenizer.save_pretrained(folder / "base")
    base = load_base(str(folder / "base"), dtype="float32")
    packages = {}
    for seed, (name, kind) in enumerate(KINDS.items()):
        adapter = make_adapter(kind, seed=seed, start=0, base=base, size=0.3)
        save_adapter(folder / name, base, adapter.config, adapter.state)
        further = {"routing": {"keywords": WORDS[name]}, "decoding": {"max_new_tokens": 3}}
        told = Told(name=name, author="Ada", licence="Apache-2.0", further=further)
        packages[name] = package(folder / name, folder / f"{name}.expert", told).path
    (folder / "toy").mkdir()
    task, raw = load(folder / "toy")
    params = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 10}
    expert = load_baseline("lightgbm").fit(task.view(), params, 0)
    save_model(expert, task.view(), folder / "model", method="lightgbm", origin={})
    told = Told(name="own-trees", author="Ada", licence="Apache-2.0")
    packages["own-trees"] = package(folder / "model", folder / "own-trees.expert", told).path
    return Shop(folder / "base", packages, raw.iloc[task.split.test.numpy()].reset_index(drop=True))
