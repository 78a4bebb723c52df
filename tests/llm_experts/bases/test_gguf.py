"""GGUF files as bases: the same numbers as the model that was written, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from foundation.hashing import hash_file
from llm_experts.bases.agreement import agreement
from llm_experts.bases.base import Base
from llm_experts.bases.dequantised import dequantised, write_base
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import base_key, base_key_of
from llm_experts.bases.load import base_hash, load_base
from llm_experts.prompts.chat import encode_chat
from llm_experts.reading.reader import Reader
from tests.llm_experts.bases.gguf_fixtures import q4_k, tiny_llama, write_gguf
from tests.llm_experts.conftest import tiny_tokenizer
from tests.llm_experts.expert_fixtures import ROWS, SCM

TEXT = "The applicant's age is 23 years."


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path, tiny_llama())
    return path


def test_a_file_gives_the_model_that_was_written(plain: Path) -> None:
    base = load_base(str(plain))
    ids = torch.tensor([tiny_tokenizer()(TEXT).input_ids])
    assert base.tokenizer(TEXT).input_ids == ids[0].tolist()
    torch.testing.assert_close(base.model(input_ids=ids).logits, tiny_llama()(input_ids=ids).logits, atol=1e-5, rtol=0)
    assert (base.hidden_size, base.n_layers, base.context, base.quantisation) == (64, 2, 256, "none")
    assert base.model.dtype == torch.float32 and not any(p.requires_grad for p in base.model.parameters())


def test_its_identity_is_the_sha256_of_the_file(plain: Path) -> None:
    base = load_base(str(plain))
    assert base.hash == hash_file(plain) == base_hash(str(plain))
    assert base_key(base) == base_key_of(str(plain))


def test_experts_read_rows_with_it_and_chats_have_its_template(plain: Path) -> None:
    base = load_base(str(plain))
    assert Reader(base, "record").margins([None], SCM, ROWS).isfinite().all()
    bos, eos = base.tokenizer.bos_token_id, base.tokenizer.eos_token_id
    ids = encode_chat(base, [{"role": "user", "content": "age"}])
    assert (ids[0], ids[-1]) == (bos, eos)


def test_a_quantised_file_is_unpacked_to_what_it_was_rounded_to(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    path, model = tmp_path / "q8.gguf", tiny_llama()
    write_gguf(path, model, quantised=True)
    base = load_base(str(path), dtype="bfloat16")
    assert base.model.dtype == torch.bfloat16
    found = load_base(str(path)).model.model.layers[1].mlp.up_proj.weight
    exact = model.model.layers[1].mlp.up_proj.weight
    step = exact.view(-1, 32).abs().amax(1, keepdim=True) / 127
    difference = (found.view(-1, 32) - exact.view(-1, 32)).abs()
    assert float(difference.max()) > 0 and bool((difference <= 0.51 * step + 127 * step * 2**-11).all())


@pytest.fixture(scope="module")
def wide() -> LlamaForCausalLM:
    """Wide enough for blocks of 256."""
    return tiny_llama(256, 256, 1)


def loaded(model: LlamaForCausalLM, kind: str, folder: Path) -> tuple[Base, np.ndarray, np.ndarray]:
    """A base of a file of a type, one of its matrices, and that matrix as it was."""
    pytest.importorskip("gguf")
    write_gguf(folder / f"{kind}.gguf", model, quantised=kind)
    base = load_base(str(folder / f"{kind}.gguf"))
    place: Any = base.model.get_submodule("model.layers.0.mlp.up_proj")
    return base, place.weight.numpy(), model.model.layers[0].mlp.up_proj.weight.numpy()


@pytest.mark.parametrize(("kind", "bits"), [("Q4_0", 4), ("Q4_1", 4), ("Q5_0", 5), ("Q5_1", 5)])
def test_blocks_of_four_and_five_bits(kind: str, bits: int, wide: LlamaForCausalLM, tmp_path: Path) -> None:
    """32 numbers share a scale: nothing is further away than a step, the highest number of a block apart."""
    base, found, exact = loaded(wide, kind, tmp_path)
    blocks = exact.reshape(-1, 32)
    step = (2 * np.abs(blocks).max(1) if kind.endswith("0") else np.ptp(blocks, 1)) / (2**bits - 1)
    assert (np.abs(found.reshape(-1, 32) - blocks) <= 1.01 * step[:, None]).all() and not np.array_equal(found, exact)
    assert agreement(load_base(str(tmp_path / f"{kind}.gguf")), dequantised(base)).top1 == 1.0


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0"])
def test_ternary_blocks_are_unpacked_exactly(kind: str, wide: LlamaForCausalLM, tmp_path: Path) -> None:
    """256 numbers share their largest size d as a float16; a number is d times -1, 0 or 1."""
    _, found, exact = loaded(wide, kind, tmp_path)
    blocks = exact.reshape(-1, 256)
    largest = np.abs(blocks).max(1, keepdims=True)
    expected = largest.astype(np.float16).astype(np.float32) * np.round(blocks / largest)
    assert np.array_equal(found.reshape(-1, 256), expected)


def test_k_blocks_are_unpacked_exactly(wide: LlamaForCausalLM, tmp_path: Path) -> None:
    _, found, exact = loaded(wide, "Q4_K", tmp_path)
    assert np.array_equal(found, q4_k(exact)[1]) and np.abs(found - exact).max() < np.ptp(exact) / 15


def test_half_precision_of_a_file_becomes_float32(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    write_gguf(tmp_path / "q8.gguf", tiny_llama(), quantised=True)
    base = load_base(str(tmp_path / "q8.gguf"), dtype="bfloat16")
    found = dequantised(base)
    assert {weight.dtype for weight in found.model.parameters()} == {torch.float32}
    assert base.model.dtype == torch.bfloat16 and found.hash != base.hash
    write_base(found, tmp_path / "plain", {})
    again = load_base(str(tmp_path / "plain"))
    assert agreement(found, again).largest == 0.0


def refusal(path: Path, **options: str) -> str:
    with pytest.raises(BaseError) as caught:
        load_base(str(path), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_refused(plain: Path, tmp_path: Path) -> None:
    assert "second time" in refusal(plain, quantisation="nf4")
    assert "is not a folder" in refusal(tmp_path / "nowhere.gguf")
    (tmp_path / "text.gguf").write_text("hello")
    assert "does not begin with GGUF" in refusal(tmp_path / "text.gguf")
    (tmp_path / "half.gguf").write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    assert "cannot be loaded" in refusal(tmp_path / "half.gguf")
    (tmp_path / "head.gguf").write_bytes(plain.read_bytes()[:200])
    assert "cannot be loaded" in refusal(tmp_path / "head.gguf")


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    model = tiny_llama()
    model.model.layers[0].mlp.up_proj.weight[0, 0] = float("nan")
    write_gguf(tmp_path / "nan.gguf", model)
    assert "not finite: 1 of the tensors" in refusal(tmp_path / "nan.gguf")


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "tiny.gguf", tiny_llama())
    monkeypatch.setattr("llm_experts.bases.gguf.find_spec", lambda name: None)
    assert "pip install gguf" in refusal(tmp_path / "tiny.gguf")
