"""Loading bases: folders written by save_pretrained stand for real models; each way to fail has its own text."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import hash_of
from llm_experts.bases.load import load_base
from tests.llm_experts.conftest import make_tiny_base


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, path = make_tiny_base(), tmp_path_factory.mktemp("model")
    base.model.save_pretrained(path)
    base.tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def logits(base, text="The applicant's age is 23 years."):
    return base.model(input_ids=torch.tensor([base.tokenizer(text).input_ids])).logits


def test_a_folder_gives_the_model_that_was_saved(folder: Path) -> None:
    base = load_base(str(folder))
    assert torch.equal(logits(base), logits(make_tiny_base()))
    assert not base.model.training
    assert not any(p.requires_grad for p in base.model.parameters())
    assert (base.hidden_size, base.n_layers, base.context, base.device.type) == (64, 3, 1024, "cpu")
    assert base.model.dtype == torch.float32


def test_settings_reach_the_model(folder: Path) -> None:
    base = load_base(str(folder), dtype="bf16", attention="eager")
    assert base.model.dtype == torch.bfloat16
    assert base.model.config._attn_implementation == "eager"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_quantised_bases_answer_like_the_original(folder: Path, quantisation: str) -> None:
    pytest.importorskip("bitsandbytes")
    base = load_base(str(folder), quantisation=quantisation)
    assert base.quantisation == quantisation
    exact, found = logits(load_base(str(folder))).flatten(), logits(base).float().flatten()
    assert torch.corrcoef(torch.stack([exact, found]))[0, 1] > 0.9
    assert base.hash == load_base(str(folder)).hash


def test_the_hash_follows_weights_configuration_and_tokenizer_and_nothing_else(own: Path) -> None:
    first = hash_of(own)
    (own / "README.md").write_text("notes")
    assert hash_of(own) == first
    weights = load_file(own / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    second = hash_of(own)
    (own / "config.json").write_text((own / "config.json").read_text() + " ")
    third = hash_of(own)
    (own / "tokenizer.json").write_text((own / "tokenizer.json").read_text() + " ")
    assert len({first, second, third, hash_of(own)}) == 4


def refusal(*args: object, **options: object) -> str:
    with pytest.raises(BaseError) as caught:
        load_base(*args, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_an_unknown_id_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    text = refusal("nobody/no-such-model", revision="v2")
    assert "nobody/no-such-model at revision v2" in text
    assert "no folder here" in text
    assert str(tmp_path) in text
    assert "HF_HOME" in text


def test_a_name_that_cannot_be_an_id() -> None:
    assert "cannot be had" in refusal("not an id!")


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    assert "is not a folder" in refusal(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refusal(str(tmp_path / "file"))


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert "no config.json" in refusal(str(tmp_path))


def test_missing_weights(own: Path) -> None:
    (own / "model.safetensors").unlink()
    assert "has no weights" in refusal(str(own))


def test_pickled_weights_are_refused(own: Path) -> None:
    (own / "model.safetensors").rename(own / "pytorch_model.bin")
    text = refusal(str(own))
    assert "pytorch_model.bin" in text
    assert "can run code" in text


def test_weights_that_lack_a_matrix_are_refused_not_drawn_at_random(own: Path) -> None:
    weights = load_file(own / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    assert "model.layers.1.mlp.up_proj.weight" in refusal(str(own))


def test_a_damaged_weight_file(own: Path) -> None:
    (own / "model.safetensors").write_bytes(b"not weights")
    assert "cannot be loaded" in refusal(str(own))


def test_an_architecture_that_nobody_knows(own: Path) -> None:
    text = (own / "config.json").read_text()
    (own / "config.json").write_text(text.replace('"qwen3"', '"made_up"'))
    assert "bring their own code" in refusal(str(own))


def test_a_model_without_tokenizer(own: Path) -> None:
    for path in own.glob("tokenizer*"):
        path.unlink()
    assert "tokenizer" in refusal(str(own))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dtype": "int3"}, "no dtype 'int3'; choose one of auto"),
        ({"dtype": "float16"}, "float16 is not supported on a CPU"),
        ({"quantisation": "gptq"}, "choose one of none, nf4, int8"),
        ({"attention": "fast"}, "choose one of sdpa, eager"),
        ({"device": "toaster"}, "no device 'toaster'"),
    ],
)
def test_settings_that_do_not_fit(folder: Path, options: dict[str, str], expected: str) -> None:
    assert expected in refusal(str(folder), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(folder: Path) -> None:
    assert "torch finds no GPU" in refusal(str(folder), device="cuda")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
def test_a_weight_that_is_no_number_is_found_whatever_is_made_of_it(own: Path, value: float, quantisation: str) -> None:
    weights = load_file(own / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    text = refusal(str(own), quantisation=quantisation)
    assert "not finite" in text and "model.layers.1.mlp.up_proj.weight" in text


CODE = """
from pathlib import Path
Path({mark!r}).write_text("ran")
from transformers import Qwen3Config as Own
"""


def test_code_in_the_folder_never_runs_and_nobody_is_asked(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word on it the library asks on the console, and a y would run the code."""

    asked: list[object] = []

    def yes(*args: object) -> str:
        asked.extend(args)
        return "y"

    monkeypatch.setattr("builtins.input", yes)
    mark = own / "mark"
    (own / "configuration_own.py").write_text(CODE.format(mark=str(mark)))
    config = json.loads((own / "config.json").read_text())
    own_classes = {"AutoConfig": "configuration_own.Own", "AutoModelForCausalLM": "configuration_own.Own"}
    changed = config | {"model_type": "own", "auto_map": own_classes}
    (own / "config.json").write_text(json.dumps(changed))
    assert "bring their own code" in refusal(str(own))
    (own / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((own / "tokenizer_config.json").read_text())
    tokenizer |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["configuration_own.Own", None]}}
    (own / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert torch.equal(logits(load_base(str(own))), logits(make_tiny_base()))  # read as what it is without the code
    assert not mark.exists() and not asked


def test_quantised_products_take_any_shape_and_do_not_meet_other_rows(folder: Path) -> None:
    """What bitsandbytes' own modules fail at: four dimensions, lanes, slopes, a row whatever stands beside it."""
    for quantisation in ("nf4", "int8"):
        module = load_base(str(folder), quantisation=quantisation).model.model.layers[1].mlp.down_proj
        x = torch.randn(2, 3, 4, 128, generator=torch.Generator().manual_seed(0))
        x[0, 0, 0, 7] = 50.0  # an outlier, for which INT8 modules compute a column of all rows in another precision
        expected = x @ module.weight.T
        torch.testing.assert_close(module(x), expected)
        assert torch.equal(module(x[1]), torch.vmap(module)(x)[1])
        (slope,) = torch.autograd.grad(torch.vmap(module)(x.requires_grad_()).square().sum(), x)
        torch.testing.assert_close(slope, 2 * expected @ module.weight, atol=1e-3, rtol=1e-4)


def test_quantised_weights_are_those_that_the_library_dequantises(folder: Path) -> None:
    from bitsandbytes.functional import int8_vectorwise_dequant, int8_vectorwise_quant

    plain = load_base(str(folder)).model.model.layers[1].mlp.down_proj.weight
    codes, scales, _ = int8_vectorwise_quant(plain.half())
    found = load_base(str(folder), quantisation="int8").model.model.layers[1].mlp.down_proj.weight
    torch.testing.assert_close(found, int8_vectorwise_dequant(codes, scales), rtol=1e-6, atol=0)
    assert float((found - plain).abs().max()) < float(plain.abs().max()) / 127


def test_a_kernel_that_is_not_installed_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    spoken = logging.getLogger("bitsandbytes.backends.cpu.ops")
    spoken.warning("Failed to load CPU gemm_4bit_forward from kernels-community: No module named 'kernels'.")
    spoken.warning("Something else.")
    assert caplog.messages == ["Something else."]


def test_no_room_loads_the_library_before_it_is_told_so() -> None:
    """In a process of its own, adapters first: they import PEFT, and PEFT bitsandbytes."""
    asked = "import llm_experts.adapters.registry, bitsandbytes"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=300, check=True)
    assert "gemm_4bit_forward" not in done.stderr
