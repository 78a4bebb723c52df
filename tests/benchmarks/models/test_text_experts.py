"""Text experts by folder, by name and by file; and what was measured of them, in their packages."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from artefacts.format.error import PackageError
from artefacts.format.manifest import Measured
from artefacts.packing.pack import package
from artefacts.packing.told import Told
from artefacts.registry.error import RegistryError
from artefacts.registry.registry import Allowed, Registry
from benchmarks.cli import app
from benchmarks.commands.llm.examining.bias import _promise
from benchmarks.commands.llm.loading import adapters_of
from benchmarks.models import open_engine
from benchmarks.models.error import ModelError
from benchmarks.models.text_experts import given_adapters, text_expert_folders
from benchmarks.saving import save_model
from foundation.console import plain_console
from llm_experts.bases.load import load_base
from llm_experts.reading.expert import LLMExpert, load_llm_expert
from llm_experts.reading.origin import Origin
from llm_experts.reading.reader import Reader
from serving.router.installed import installed_profiles
from tasks.load import load_task
from tests.benchmarks.commands.llm.test_llm import saved_base
from tests.llm_experts.expert_fixtures import make_adapter

TASK = "scm@200"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A saved model of texts, and the folder of its base."""
    folder = tmp_path_factory.mktemp("texts")
    name = str(saved_base(folder / "base"))
    base, view = load_base(name), load_task(TASK).view()
    expert = LLMExpert("utility", Reader(base), make_adapter("lora", start=1, base=base),
                       origins=(Origin.of_training(view),))  # fmt: skip
    save_model(expert, view, folder / "model", method="llm_utility", origin={"suite": "llm train", "split": 0})
    return folder / "model", name


@pytest.fixture
def installed(saved: tuple[Path, str], tmp_path: Path) -> Path:
    """The file of a package, which is installed as ``text``; its adapter alone as ``bare``."""
    made = package(saved[0], tmp_path / "text.expert", Told(name="text"))
    bare = package(saved[0] / "expert" / "adapter", tmp_path / "bare.expert", Told(name="bare"))
    Registry.of_user().install([str(made.path), str(bare.path)], Allowed(untrusted=True))
    return made.path


def fairmoe(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"})


def test_one_expert_is_found_by_every_name(saved: tuple[Path, str], installed: Path) -> None:
    model, name = saved
    base = load_base(name)
    wanted = load_llm_expert(model / "expert", base)
    which = [str(model), str(model / "expert"), "text", str(installed)]
    with text_expert_folders(which, allow_untrusted=True) as folders:
        found = [load_llm_expert(folder, base) for folder in folders]
        bare = adapters_of([folders[2]], base)
    assert all(not folder.exists() for folder in folders[3:])  # what was unpacked is gone
    assert wanted.adapter is not None
    with text_expert_folders(["bare"]) as folders:
        bare += adapters_of(folders, base)
    for adapter in (*(one.adapter for one in found), *bare):
        assert adapter is not None
        assert all(value.equal(adapter.state[key]) for key, value in wanted.adapter.state.items())


def test_a_word_means_the_same_wherever_experts_are_named(
    saved: tuple[Path, str], installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "loose").symlink_to(saved[0])
    monkeypatch.chdir(tmp_path)
    with text_expert_folders(["text", "loose"]) as folders, given_adapters(["text", "loose"]) as given:
        assert [one.name for one in given] == ["text", saved[0].name]  # a name beats a folder, a folder needs no name
        assert [one.place.folder for one in given] == [folder / "adapter" for folder in folders]
        assert [one.manifest is None for one in given] == [False, True]
    with pytest.raises(PackageError, match="There is no folder no/such"), given_adapters(["no/such"]):
        pass
    with pytest.raises(ModelError, match="Two of the experts are called 'text'"), given_adapters(["text", "text"]):
        pass


def test_what_bias_sets_say_goes_into_the_package(saved: tuple[Path, str], tmp_path: Path) -> None:
    model = Path(shutil.copytree(saved[0], tmp_path / "model"))
    refused = fairmoe("llm", "bias", saved[0] / "expert", "--promise")
    assert refused.exit_code == 2 and "model.json" in refused.output
    row = {"model": "m", "set": "bbq", "metric": "accuracy", "category": "macro", "estimate": 0.4, "low": 0.3,
           "high": 0.5, "status": "ok", "reason": "", "items": 20, "of": 58_492, "limit": 20, "seed": 0,
           "scoring": "s"}  # fmt: skip
    nothing = {"estimate": math.nan, "low": math.nan, "high": math.nan, "status": "not_estimable", "reason": "none"}
    rows = [row, {**row, "category": "Age", "estimate": 0.9}, {**row, "set": "winobias", "category": "all", **nothing}]
    _promise({"m": str(model)}, rows, plain_console())
    manifest = package(model, tmp_path / "text.expert", Told(name="text")).manifest
    assert manifest.fairness is not None and not manifest.fairness.metrics
    assert manifest.fairness.bias["bbq"]["accuracy"] == Measured(estimate=0.4, low=0.3, high=0.5)
    assert manifest.fairness.bias["winobias"]["accuracy"] == Measured(status="not_estimable", reason="none")
    assert "bbq 20 of 58,492" in manifest.fairness.note
    shown = fairmoe("inspect", tmp_path / "text.expert").output
    assert "bbq accuracy" in shown and "0.300 to 0.500" in shown


def test_prompts_are_routed_to_all_that_engines_ask(saved: tuple[Path, str], installed: Path) -> None:
    routed = [profile.name for profile in installed_profiles(Registry.of_user())]
    with open_engine(saved[1], allow_untrusted=True) as engine:
        asked = [info.name for info in engine.models() if info.kind == "adapter"]
    assert routed == asked == ["bare", "text"]


def test_packages_are_judged_and_what_is_not_there_is_told(saved: tuple[Path, str], installed: Path) -> None:
    with pytest.raises(RegistryError, match="untrusted-unsigned"), text_expert_folders([str(installed)]):
        pass
    with pytest.raises(RegistryError, match="there is bare, text"), text_expert_folders(["tekst"]):
        pass
    told = fairmoe("llm", "evaluate", "no/such", "--task", TASK, "--base", saved[1])
    assert "There is no no/such/expert.json" in str(told.exception)


def test_a_folder_around_an_adapter_is_told_what_can_be_packed(saved: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"It holds an adapter: .*adapter can be packed") as error:
        package(saved[0] / "expert", tmp_path / "a.expert")
    assert error.value.reason == "no-model"


def test_what_test_rows_say_goes_into_the_package_and_new_rows_are_compared_with_it(
    saved: tuple[Path, str], tmp_path: Path
) -> None:
    model, base = saved
    shared = ("--task", TASK, "--base", base)
    refused = fairmoe("llm", "evaluate", model / "expert", *shared, "--promise")
    assert refused.exit_code == 2 and "model.json" in refused.output
    told = fairmoe("llm", "evaluate", model, *shared, "--promise")
    assert told.exit_code == 0, told.output
    made = package(model, tmp_path / "text.expert", Told(name="text"))
    assert made.manifest.fairness is not None and "dp@1" in made.manifest.fairness.metrics
    Registry.of_user().install([str(made.path)], Allowed(untrusted=True))
    task = load_task(TASK)
    frame = task.frame.assign(y=task.labels.numpy())
    frame.to_csv(tmp_path / "rows.csv", index=False)
    shown = fairmoe("monitor", "--expert", "text", "--input", tmp_path / "rows.csv", "--labels", "y")
    assert shown.exit_code in (0, 4), (shown.output, shown.exception)
    assert "What was promised: fairmoe info text" in " ".join(shown.output.split())
