"""Adapters of language models: with raw rows as saved models, and as bare folders of PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

from artefacts.format.archive import open_package
from artefacts.format.error import PackageError
from artefacts.packing.adapters import BEYOND, FLAGS, METHODS, OWN, kind_told
from artefacts.packing.export import export
from artefacts.packing.pack import package
from artefacts.packing.told import Told
from benchmarks.cli import app
from benchmarks.models import ModelError, load_expert, load_model, save_model
from benchmarks.models.merging import merge, write_lora
from benchmarks.models.text_experts import given_adapters
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import FOREIGN, own_copy
from llm_experts.adapters.registry import ADAPTERS, kind_of
from llm_experts.adapters.soft_prompt import KEY
from llm_experts.adapters.store import load_adapter, read_adapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.mixtures.bank import AdapterBank
from llm_experts.prompts.asking import Asking
from llm_experts.prompts.shots import draw_shots
from llm_experts.reading.expert import LLMExpert
from llm_experts.reading.reader import Reader
from llm_experts.runtime.prepared import Source
from tasks.task import TaskView
from tests.benchmarks.models.conftest import assert_same
from tests.benchmarks.models.test_texts import FEW, base, mixtures, people  # noqa: F401
from tests.llm_experts.expert_fixtures import make_adapter

People = tuple[TaskView, pd.DataFrame]


@pytest.mark.parametrize("kind", ["lora", "svf"])
def test_text_experts_come_back(kind: str, base: Base, people: People, tmp_path: Path) -> None:  # noqa: F811
    view, raw = people
    expert = LLMExpert("utility", Reader(base), make_adapter(kind, 0, base=base), temperature=1.5)
    origin = {"params": {"lr": 0.25}, "mlflow_run": "ab12"}
    save_model(expert, view, tmp_path / "model", method="llm_utility", origin=origin)
    made = package(tmp_path / "model", tmp_path / "a.expert", Told(name="text"))
    manifest = made.manifest
    assert manifest.kind == "adapter" and manifest.base is not None
    assert (manifest.base.sha256, manifest.adapters[0].type) == (base.hash, kind)
    told = manifest.provenance
    assert (told.learning_rate, told.template, told.mlflow_run) == (0.25, "sentence", "ab12")
    assert {"peft", "transformers", "torch", "fairmoe"} <= set(told.versions)
    wanted = load_model(tmp_path / "model").predict_proba(raw.iloc[:FEW], unknown="missing")
    found = load_expert(made.path, allow_untrusted=True)
    assert_same(found.predict_proba(raw.iloc[:FEW], unknown="missing"), wanted)


def test_an_expert_that_acts_on_the_question_alone_stays_one(
    base: Base,  # noqa: F811
    people: People,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Scope suffix: the package predicts rows as the model does, and nothing else takes its adapter."""
    view, raw = people
    expert = LLMExpert("utility", Reader(base, scope="suffix"), make_adapter("lora", 0, base=base), temperature=1.5)
    save_model(expert, view, tmp_path / "model", method="llm_utility", origin={"params": {"lr": 0.25}})
    made = package(tmp_path / "model", tmp_path / "a.expert", Told(name="end"))
    assert made.manifest.provenance.params == {"lr": 0.25, "scope": "suffix"} and made.warnings == ()
    wanted = torch.sigmoid(expert.logits(view, torch.arange(FEW)).double()).numpy()
    found = load_expert(made.path, allow_untrusted=True).predict_proba(raw.iloc[:FEW], unknown="missing")[:, 1]
    assert_same(found, wanted)
    shown = CliRunner().invoke(app, ["inspect", str(made.path)])
    assert "scope        suffix: adapters act on the question" in shown.output
    with open_package(made.path) as opened:
        with pytest.raises(PackageError, match=r"trained with scope suffix.*another model.*\[form\]"):
            export(opened.manifest, opened.read, "peft", tmp_path / "peft")
        with pytest.raises(PackageError, match=r"trained with scope suffix"):
            merge(opened.manifest, opened.read, tmp_path / "merged")
    assert not (tmp_path / "peft").exists() and not (tmp_path / "merged").exists()
    alone = package(tmp_path / "model" / "expert" / "adapter", tmp_path / "b.expert", Told(name="alone"))
    assert [warning.partition(":")[0] for warning in alone.warnings] == ["The adapter was trained with scope suffix"]
    for path in (made.path, alone.path):
        with given_adapters([str(path)], allow_untrusted=True) as given:
            with pytest.raises(AdapterError, match=r"scope suffix.*fairmoe\s+predict"):
                Source.named(given[0].place.folder, 0, "").read(base)
            with pytest.raises(AdapterError, match=r"scope suffix"):
                AdapterBank.from_adapters(base, [given[0].place.folder])
        said = CliRunner().invoke(app, ["llm", "check", str(path), "--base", base.id, "--allow-untrusted"])
        assert said.exit_code == 1 and "scope suffix" in str(said.exception)


def test_rows_that_a_prompt_shows_are_told_before_others_have_them(
    base: Base,  # noqa: F811
    people: People,  # noqa: F811
    tmp_path: Path,
) -> None:
    view, _ = people
    asking = Asking(shots=draw_shots(view, 3, 0))
    expert = LLMExpert("utility", Reader(base, asking=asking), make_adapter("lora", 0, base=base))
    save_model(expert, view, tmp_path / "model", method="llm_utility", origin={})
    target = ["--output", str(tmp_path / "a.expert")]
    said = CliRunner().invoke(app, ["package", str(tmp_path / "model"), "--name", "shots", *target])
    assert said.exit_code == 0, said.output
    assert "NOTE 3 rows of the training data are in the package in clear text" in said.output


def test_mixtures_of_text_experts_come_back(base: Base, people: People, tmp_path: Path) -> None:  # noqa: F811
    view, raw = people
    for name in ("inside the layers", "across families"):
        save_model(mixtures(base, view)[name], view, tmp_path / name, method="mixture", origin={})
        made = package(tmp_path / name, tmp_path / f"{name}.expert")
        assert (made.manifest.kind, len(made.manifest.adapters)) == ("mixture", 2)
        wanted = load_model(tmp_path / name).predict_proba(raw.iloc[:FEW], unknown="missing")
        found = load_expert(made.path, allow_untrusted=True)
        assert_same(found.predict_proba(raw.iloc[:FEW], unknown="missing"), wanted)


def saved(base: Base, folder: Path) -> Path:  # noqa: F811
    adapter = make_adapter("lora", 0, base=base)
    save_adapter(folder, base, adapter.config, adapter.state)
    return folder


def test_a_bare_adapter(base: Base, tmp_path: Path) -> None:  # noqa: F811
    folder = saved(base, tmp_path / "My adapter")
    made = package(folder, tmp_path / "a.expert")
    assert (made.manifest.name, made.manifest.kind) == ("my-adapter", "adapter")
    (told,) = made.manifest.adapters
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (told.rank, told.alpha, told.path) == (config["r"], config["lora_alpha"], "adapter_model.safetensors")
    with open_package(made.path) as opened:
        opened.extract(tmp_path / "tree")
    state = read_adapter(folder).state
    again = read_adapter(tmp_path / "tree").state
    assert state.keys() == again.keys() and all(torch.equal(state[key], again[key]) for key in state)
    with pytest.raises(ModelError, match="holds no saved model"):
        load_expert(made.path, allow_untrusted=True)


def test_an_adapter_of_another_program_needs_the_hash_of_its_base(base: Base, tmp_path: Path) -> None:  # noqa: F811
    folder = saved(base, tmp_path / "plain")
    with pytest.raises(PackageError, match=r"not on f+\. \[wrong-base\]"):
        package(folder, tmp_path / "a.expert", Told(base_hash="f" * 64))
    (folder / "fairmoe.json").unlink()
    with pytest.raises(PackageError, match=r"--base-hash.*\[wrong-base\]"):
        package(folder, tmp_path / "a.expert")
    made = package(folder, tmp_path / "a.expert", Told(base_hash="e" * 64))
    assert made.manifest.base is not None and made.manifest.base.sha256 == "e" * 64
    assert made.manifest.base.name == Path(base.id).name


def test_adapters_go_back_to_peft(base: Base, people: People, tmp_path: Path) -> None:  # noqa: F811
    folder = saved(base, tmp_path / "one")
    save_model(mixtures(base, people[0])["inside the layers"], people[0], tmp_path / "m", method="m", origin={})
    one, two = (package(path, tmp_path / f"{path.name}.expert").path for path in (folder, tmp_path / "m"))
    with open_package(one) as opened:
        export(opened.manifest, opened.read, "peft", tmp_path / "peft")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "peft" / name).read_bytes() == (folder / name).read_bytes()
    with open_package(two) as opened:
        written = export(opened.manifest, opened.read, "peft", tmp_path / "both")
        export(opened.manifest, opened.read, "safetensors", tmp_path / "weights")
    assert sum(name.endswith("adapter_model.safetensors") for name in written) == 2
    assert len(list((tmp_path / "weights").rglob("*.safetensors"))) >= 2


WORDS = torch.tensor([[3, 5, 7, 11]])
CHANGING = ["lora", "rslora", "dora", "ia3", "svf"]
"""Kinds that change weights."""


@pytest.mark.parametrize("kind", CHANGING)
def test_an_adapter_melts_into_its_base_or_becomes_a_plain_lora(kind: str, base: Base, tmp_path: Path) -> None:  # noqa: F811
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = make_adapter(kind, 0, base=base)
    save_adapter(tmp_path / "a", base, adapter.config, adapter.state)
    with open_package(package(tmp_path / "a", tmp_path / "a.expert").path) as opened:
        merge(opened.manifest, opened.read, tmp_path / "merged")
        rank = write_lora(opened.manifest, opened.read, tmp_path / "lora")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_dora"], config["use_rslora"]) == (rank, rank, False, False)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    plain_lora = PeftModel.from_pretrained(own_copy(base).model, str(tmp_path / "lora"))
    with torch.no_grad():
        wanted = load_adapter(base, tmp_path / "a")(input_ids=WORDS).logits
        plain = base.model(input_ids=WORDS).logits
        for found in (merged(input_ids=WORDS).logits, plain_lora(input_ids=WORDS).logits):
            assert (found - wanted).abs().max() < 1e-4 < 1e-2 < (wanted - plain).abs().max()
    assert read_adapter(tmp_path / "lora").facts["written as a LoRA"] == kind


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")  # PEFT's, of what is tested
@pytest.mark.parametrize("matrices", [["lm_head"], ["q_proj", "embed_tokens"]], ids=["head", "embedding"])
def test_a_head_that_shares_its_weights_is_merged_alone(matrices: list[str], base: Base, tmp_path: Path) -> None:  # noqa: F811
    import peft
    from transformers import AutoModelForCausalLM

    assert base.model.config.tie_word_embeddings
    wanted = by_peft(peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=matrices), base, tmp_path / "theirs")
    with open_package(package(tmp_path / "theirs", tmp_path / "a.expert", Told(base_hash=base.hash)).path) as opened:
        merge(opened.manifest, opened.read, tmp_path / "merged", base.id)
    with torch.no_grad():
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(input_ids=WORDS).logits
    assert (found - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["soft_prompt", "prefix"])
def test_words_and_states_do_not_become_weights(kind: str, base: Base, tmp_path: Path) -> None:  # noqa: F811
    adapter = make_adapter(kind, 0, base=base)
    save_adapter(tmp_path / "a", base, adapter.config, adapter.state)
    with open_package(package(tmp_path / "a", tmp_path / "a.expert").path) as opened:
        with pytest.raises(AdapterError, match="adds words or states"):
            merge(opened.manifest, opened.read, tmp_path / "new")
        with pytest.raises(AdapterError, match="virtual tokens"):
            write_lora(opened.manifest, opened.read, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def peft_configs(base: Base) -> dict[str, Any]:  # noqa: F811
    """What newcomers train, by our name of the kind."""
    import peft

    given: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    matrices = {"r": 4, "target_modules": ["q_proj", "down_proj"]}
    gains = {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
    return {
        "lora": peft.LoraConfig(**given, **matrices), "rslora": peft.LoraConfig(**given, **matrices, use_rslora=True),
        "dora": peft.LoraConfig(**given, **matrices, use_dora=True), "ia3": peft.IA3Config(**given, **gains),
        "soft_prompt": peft.PromptTuningConfig(**given, num_virtual_tokens=3),
        "prefix": peft.PrefixTuningConfig(**given, num_virtual_tokens=3),
    }  # fmt: skip


def by_peft(config: Any, base: Base, folder: Path) -> torch.Tensor:  # noqa: F811
    """Logits of an adapter that PEFT itself makes and writes, moved away from its start."""
    import peft

    model: Any = peft.get_peft_model(own_copy(base).model, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (one for _, one in sorted(model.named_parameters()) if one.requires_grad):
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    model.peft_config["default"].base_model_name_or_path = "/home/ada/models/small-base"
    model.save_pretrained(str(folder), save_embedding_layers=False)  # else it asks the network for a vocabulary
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=WORDS).logits
    return found


def test_weights_of_the_base_among_those_of_an_adapter_are_refused_when_it_is_packed(
    base: Base,  # noqa: F811
    tmp_path: Path,
) -> None:
    """PEFT writes whole embeddings where the vocabulary has grown; nothing could load them beside other adapters."""
    from safetensors.torch import load_file, save_file

    by_peft(peft_configs(base)["lora"], base, tmp_path / "theirs")
    weights = tmp_path / "theirs" / "adapter_model.safetensors"
    state = load_file(weights)
    save_file(state | {"base_model.model.model.embed_tokens.weight": torch.ones(3, 2)}, weights)
    with pytest.raises(PackageError, match=r"embed_tokens.*save_embedding_layers=False\). \[kind\]"):
        package(tmp_path / "theirs", tmp_path / "a.expert", Told(base_hash=base.hash))
    weights.write_bytes(b"no safetensors")
    with pytest.raises(PackageError, match="tensors-header"):
        package(tmp_path / "theirs", tmp_path / "a.expert", Told(base_hash=base.hash))
    assert not (tmp_path / "a.expert").exists()


def test_packing_knows_what_the_weights_of_every_kind_are_called() -> None:
    on_embeddings = {"lora_embedding_A", "lora_embedding_B"}
    for name, kind in ADAPTERS.items():
        assert set(OWN[name]) - on_embeddings == set(kind.parts or (KEY,))


def test_ranks_of_single_matrices_are_packed_with_the_largest(base: Base, tmp_path: Path) -> None:  # noqa: F811
    import peft

    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "down_proj"], rank_pattern={"down_proj": 6},
        alpha_pattern={"q_proj": 3},
    )  # fmt: skip
    wanted = by_peft(config, base, tmp_path / "theirs")
    made = package(tmp_path / "theirs", tmp_path / "a.expert", Told(base_hash=base.hash))
    assert made.manifest.adapters[0].rank == 6
    with open_package(made.path) as opened:
        opened.extract(tmp_path / "tree")
        write_lora(opened.manifest, opened.read, tmp_path / "lora", base.id)
    for folder in ("tree", "lora"):
        with torch.no_grad():
            found = load_adapter(base, tmp_path / folder)(input_ids=WORDS).logits
        assert (found - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "soft_prompt", "prefix"])
def test_what_peft_wrote_is_packed_read_and_computes_the_same(kind: str, base: Base, tmp_path: Path) -> None:  # noqa: F811
    wanted = by_peft(peft_configs(base)[kind], base, tmp_path / "theirs")
    made = package(tmp_path / "theirs", tmp_path / "a.expert", Told(base_hash=base.hash))
    assert made.manifest.base is not None and made.manifest.base.name == "small-base"
    assert made.manifest.adapters[0].type == kind
    again = package(tmp_path / "theirs", tmp_path / "b.expert", Told(base_hash=base.hash))
    assert again.digest == made.digest
    with open_package(made.path) as opened:
        opened.extract(tmp_path / "tree")
    found = read_adapter(tmp_path / "tree")
    assert (found.kind, found.base_hash, found.libraries.keys()) == (kind, base.hash, {"peft"})
    with torch.no_grad():
        assert (load_adapter(base, tmp_path / "tree")(input_ids=WORDS).logits - wanted).abs().max() < 1e-5


def test_what_peft_wrote_and_cannot_be_run_here_is_refused_when_it_is_packed(base: Base, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "theirs"
    by_peft(peft_configs(base)["lora"], base, folder)
    config, told = json.loads((folder / "adapter_config.json").read_text()), Told(base_hash=base.hash)
    for change, message in (
        ({"peft_type": "LOHA"}, "method 'LOHA'"),
        ({"use_dora": True, "use_rslora": True}, "both dora and rslora"),
        ({"bias": "lora_only"}, "bias changes more"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save changes more"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights changes more"),
    ):
        (folder / "adapter_config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(PackageError, match=rf"{message}.*\[kind\]"):
            package(folder, tmp_path / "a.expert", told)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(PackageError, match=r"no hash of a base: 64 digits.*\[wrong-base\]"):
        package(folder, tmp_path / "a.expert", Told(base_hash="abc"))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(PackageError, match=r"adapter_model.bin is a pickle.*save_pretrained.*\[file-missing\]"):
        package(folder, tmp_path / "a.expert", told)


def test_kinds_and_options_are_those_of_the_adapters(base: Base) -> None:  # noqa: F811
    assert set(BEYOND) == set(FOREIGN)
    for name, config in peft_configs(base).items():
        assert (
            kind_told({**config.to_dict(), "peft_type": config.peft_type.value}, Path("a"))
            == name
            == kind_of(config).name
        )
    assert {*METHODS.values(), *FLAGS.values()} == {kind.name for kind in ADAPTERS.values() if not kind.written_as}


def test_the_commands_take_a_base_by_its_folder(base: Base, tmp_path: Path) -> None:  # noqa: F811
    def done(*words: str | Path) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"})

    by_peft(peft_configs(base)["ia3"], base, tmp_path / "theirs")
    first, second = tmp_path / "a.expert", tmp_path / "b.expert"
    assert done("package", tmp_path / "theirs", "--base", base.id, "--output", first).exit_code == 0
    with open_package(first) as opened:
        assert opened.manifest.base is not None and opened.manifest.base.sha256 == base.hash
    wrong = done("package", tmp_path / "theirs", "--base", base.id, "--base-hash", "f" * 64, "--output", second)
    assert base.hash in str(wrong.exception) and not second.exists()
    assert "is not a folder" in str(done("package", tmp_path / "theirs", "--base", "/no/base").exception)
    told = done("export", first, tmp_path / "lora", "--to", "lora", "--base", base.id)
    assert told.exit_code == 0 and "Its rank is " in told.output
    adapter = make_adapter("svf", 0, base=base)
    save_adapter(tmp_path / "own", base, adapter.config, adapter.state)
    assert done("package", tmp_path / "own", "--output", second).exit_code == 0
    refused = done("export", second, tmp_path / "peft", "--to", "peft")
    assert "SVF, which PEFT does not have" in str(refused.exception) and not (tmp_path / "peft").exists()
