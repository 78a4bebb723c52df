"""Adapters for vLLM: the exported LoRA changes the base exactly as the adapter did, or is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import KINDS, kind_named
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.store import SavedAdapter
from serving.error import ServingError
from serving.vllm.command import KEY, command, program
from serving.vllm.export import export
from serving.vllm.exported import Exported
from tests.llm_experts.expert_fixtures import BASE, VIRTUAL, make_adapter

CHANGING = tuple(kind for kind in KINDS if kind not in VIRTUAL)
TOKENS = torch.tensor([[5, 9, 42, 7, 100, 31]])


def saved(kind: str, state: dict[str, torch.Tensor] | None = None, base_hash: str = BASE.hash) -> SavedAdapter:
    adapter = make_adapter(kind, start=0)
    return SavedAdapter(kind, adapter.config, state or adapter.state, BASE.id, base_hash, {}, {})


def logits(saved_one: SavedAdapter) -> torch.Tensor:
    model = inject(own_copy(BASE).model, saved_one.config, None)
    set_adapter_state(model, saved_one.state)
    with torch.no_grad():
        return model.eval()(TOKENS).logits


@pytest.mark.parametrize("kind", CHANGING)
def test_the_exported_lora_says_what_the_adapter_says(kind: str, tmp_path: Path) -> None:
    one = saved(kind)
    made = export("one", one, BASE, tmp_path)
    read = PeftModel.from_pretrained(own_copy(BASE).model, made.folder).eval()
    with torch.no_grad():
        found, base = read(TOKENS).logits, BASE.model(TOKENS).logits
    assert (logits(one) - base).abs().max() > 1e-2
    torch.testing.assert_close(found, logits(one), atol=2e-4, rtol=2e-4)
    config = json.loads((made.folder / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["r"] == config["lora_alpha"] == made.rank
    assert not config["use_rslora"]
    assert not config["use_dora"]


@pytest.mark.parametrize("kind", ["lora", "rslora", "lora_fa"])
def test_low_rank_kinds_keep_their_rank(kind: str, tmp_path: Path) -> None:
    one = saved(kind)
    assert export("one", one, BASE, tmp_path).rank == one.config.r


def test_svf_has_the_rank_of_the_multipliers_that_differ_from_one(tmp_path: Path) -> None:
    whole = saved("svf")
    start = adapter_state(inject(own_copy(BASE).model, kind_named("svf").make_config(None, None, BASE.model), 0))
    few = {key: torch.cat([whole.state[key][:3], value[3:]]) for key, value in start.items()}
    one = saved("svf", few)
    made = export("one", one, BASE, tmp_path)
    assert made.rank == 3
    read = PeftModel.from_pretrained(own_copy(BASE).model, made.folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(read(TOKENS).logits, logits(one), atol=2e-4, rtol=2e-4)


def test_an_adapter_that_changes_nothing_is_a_lora_of_zeros(tmp_path: Path) -> None:
    start = adapter_state(inject(own_copy(BASE).model, kind_named("svf").make_config(None, None, BASE.model), 0))
    made = export("one", saved("svf", start), BASE, tmp_path)
    assert made.rank == 1
    assert all(not value.any() for value in load_file(made.folder / "adapter_model.safetensors").values())


@pytest.mark.parametrize("kind", VIRTUAL)
def test_virtual_tokens_are_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="virtual tokens"):
        export("one", saved(kind), BASE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="trained on"):
        export("one", saved("lora", base_hash="0" * 64), BASE, tmp_path)


def test_a_rank_above_what_vllm_serves_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.vllm.export.RANKS", (2,))
    with pytest.raises(ServingError, match="rank 4, and vLLM serves ranks up to 2"):
        export("one", saved("lora"), BASE, tmp_path)


def test_the_command_line_names_adapters_and_their_rank_and_hides_the_key(tmp_path: Path) -> None:
    adapters = [Exported("a", tmp_path / "a", "lora", 4), Exported("b b", tmp_path / "b b", "svf", 20)]
    found = command("/opt/vllm", "base/folder", adapters, host="127.0.0.1", port=8000, slots=8, key="secret key")
    assert found.words[:3] == ("/opt/vllm", "serve", "base/folder")
    assert found.words[found.words.index("--max-lora-rank") + 1] == "32"
    assert found.words[found.words.index("--max-loras") + 1] == "2"
    assert found.words[-2:] == (f"a={tmp_path / 'a'}", f"b b={tmp_path / 'b b'}")
    assert found.environment == {KEY: "secret key"}
    assert "secret" not in found.text
    assert f"'b b={tmp_path}/b b'" in found.text


def test_a_base_alone_needs_no_lora() -> None:
    assert "--enable-lora" not in command("vllm", "base", [], host="::1", port=1, slots=8).words


def test_without_vllm_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServingError, match="pip install vllm"):
        program(None)
    with pytest.raises(ServingError, match="missing"):
        program(tmp_path / "missing")


def test_the_command_starts_the_program_with_its_environment(tmp_path: Path) -> None:
    """Run for real, with a stand-in for vLLM that tells what it was given."""
    import subprocess
    import sys

    stand_in = tmp_path / "vllm"
    stand_in.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\necho "${KEY}" >> {tmp_path}/told\n')
    stand_in.chmod(0o755)
    code = (
        "import sys; from serving.vllm.command import command, program\nfrom pathlib import Path\n"
        "command(program(Path(sys.argv[1])), 'b', [], host='127.0.0.1', port=9, slots=1, key='k').start()"
    )
    subprocess.run([sys.executable, "-c", code, str(stand_in)], check=True, timeout=60)
    assert (tmp_path / "told").read_text() == "serve b --host 127.0.0.1 --port 9 --served-model-name base\nk\n"
