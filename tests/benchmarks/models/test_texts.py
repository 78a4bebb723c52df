"""Text experts and mixtures with them are saved with what names their base, and read where the base is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.models import ModelError, load_model, save_model
from experts.expert import Expert
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from gates.dense import DenseGate, initial_tensors
from gates.static_simplex import StaticSimplexGate
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.mixtures.routers import GateRouter
from llm_experts.mixtures.row_mixture import RowMixture
from llm_experts.reading.expert import LLMExpert, base_expert
from llm_experts.reading.reader import Reader
from moe.mixture import Mixture
from tasks.load import load_task
from tasks.scm import generate
from tasks.task import TaskView
from tests.benchmarks.models.conftest import assert_same
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter

FEW = 12


def write_base(folder: Path, seed: int = 0) -> Path:
    """A tiny base as a folder."""
    tiny = make_tiny_base(seed=seed)
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return load_base(str(write_base(tmp_path_factory.mktemp("base"))))


@pytest.fixture(scope="module")
def people() -> tuple[TaskView, pd.DataFrame]:
    """A task that asks a question, and its raw rows."""
    task = load_task("scm", rows=300)
    return task.view(), generate(task.card.generator).iloc[task.rows.numpy()]


def experts(base: Base) -> tuple[LLMExpert, LLMExpert]:
    reader = Reader(base)
    return (
        LLMExpert("utility", reader, make_adapter("lora", 0, base=base), temperature=1.5, bias=0.2),
        LLMExpert("result", reader, make_adapter("lora", 1, base=base)),
    )


def mixtures(base: Base, view: TaskView) -> dict[str, Expert]:
    members, features = experts(base), len(view.feature_names)
    plain = base_expert(members[0].reader, "base")
    drawn = initial_tensors(features, 3, 8, torch.full((3,), 1 / 3), torch.Generator().manual_seed(0))
    gate = DenseGate(**drawn, visible=torch.ones(features), temperature=torch.tensor(1.0))
    tabular = MLPExpert.of_lane(view, "utility", LaneParameters.initial(features, 5, [1]))
    return {
        "adapter": members[0],
        "base": plain,
        "inside the layers": RowMixture((plain, *members), GateRouter((plain, *members), gate), 2.0, -0.5),
        "across families": Mixture((tabular, *members), StaticSimplexGate(torch.tensor([0.5, 0.2, 0.3]))),
    }


@pytest.mark.parametrize("name", ["adapter", "base", "inside the layers", "across families"])
def test_saved_and_read(name: str, base: Base, people: tuple[TaskView, pd.DataFrame], tmp_path: Path) -> None:
    view, raw = people
    expert, rows = mixtures(base, view)[name], torch.arange(FEW)
    save_model(expert, view, tmp_path / "model", method=name, origin={})
    model = load_model(tmp_path / "model")
    wanted = torch.sigmoid(expert.logits(view, rows).double()).numpy()
    assert_same(model.predict_proba(raw.iloc[:FEW], unknown="missing")[:, 1], wanted)
    assert not list((tmp_path / "model").rglob("*.bin"))


def test_another_base_is_refused(base: Base, people: tuple[TaskView, pd.DataFrame], tmp_path: Path) -> None:
    view, _ = people
    save_model(experts(base)[0], view, tmp_path / "model", method="llm_utility", origin={})
    other = write_base(tmp_path / "other", seed=5)
    with pytest.raises(ModelError, match=r"was made on .* with hash .* pass base= to name the folder"):
        load_model(tmp_path / "model", base=str(other))
    with pytest.raises(ModelError, match="pass base= to name the folder"):
        load_model(tmp_path / "model", base=str(tmp_path / "nowhere"))
