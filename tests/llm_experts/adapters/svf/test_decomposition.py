"""Decompositions: exact, the same everywhere, computed once, and never taken from a damaged file."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import cache_folder, decompose, decomposition, spectra_in, spectrum_of, svf_layers
from llm_experts.adapters.svf.decomposition import weight_hash
from tests.llm_experts.adapters.svf.svf_fixtures import far, logits, own_cache, shake, svf_model  # noqa: F401
from tests.llm_experts.conftest import make_tiny_base


def matrix(rows: int = 6, columns: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes that torch.linalg.svd is asked for."""
    asked, real = [], torch.linalg.svd

    def counted(a: torch.Tensor, **options: bool) -> tuple[torch.Tensor, ...]:
        asked.append(tuple(a.shape))
        return real(a, **options)

    monkeypatch.setattr(torch.linalg, "svd", counted)
    return asked


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 3)])
def test_decomposes(shape):
    w = matrix(*shape)
    u, s, v = decompose(w)
    k = min(shape)
    torch.testing.assert_close(u * s @ v.T, w)
    torch.testing.assert_close(u.T @ u, torch.eye(k), atol=1e-5, rtol=0)
    torch.testing.assert_close(v.T @ v, torch.eye(k), atol=1e-5, rtol=0)
    assert bool((s[:-1] >= s[1:]).all())
    assert bool((u.gather(0, u.abs().argmax(0, keepdim=True)) > 0).all())


def test_signs_do_not_depend_on_the_driver(monkeypatch):
    w = matrix()
    expected, real = decompose(w), torch.linalg.svd

    def mirrored(a: torch.Tensor, **options: bool) -> tuple[torch.Tensor, ...]:
        u, s, vh = real(a, **options)
        return -u, s, -vh

    monkeypatch.setattr(torch.linalg, "svd", mirrored)
    for found, value in zip(decompose(w), expected, strict=True):
        assert torch.equal(found, value)


def test_zero_and_deficient_matrices():
    u, s, v = decompose(torch.zeros(3, 2))
    assert torch.equal(u * s @ v.T, torch.zeros(3, 2))
    w = matrix(5, 1) @ matrix(1, 4, 1)
    u, s, v = decompose(w)
    torch.testing.assert_close(u * s @ v.T, w)
    assert float(s[1]) < 1e-6


def test_the_slow_driver_takes_over(monkeypatch, caplog):
    expected = decompose(matrix())

    def fails(*args: object, **options: object) -> None:
        raise torch.linalg.LinAlgError("linalg.svd: The algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "svd", fails)
    with caplog.at_level(logging.WARNING):
        found = decompose(matrix())
    assert "failed to converge" in caplog.text
    assert "gesvd in float64" in caplog.text
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_result_that_is_no_decomposition_is_noticed(monkeypatch, caplog):
    expected, real = decompose(matrix()), torch.linalg.svd
    monkeypatch.setattr(torch.linalg, "svd", lambda a, **options: real(a * 1.01, **options))
    torch.testing.assert_close(decompose(matrix()).s, expected.s)
    assert "its result was no decomposition" in caplog.text


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_must_be_finite(bad):
    w = matrix()
    w[1, 2] = bad
    with pytest.raises(AdapterError, match="not finite"):
        decompose(w)


def test_hash_is_of_values():
    w = matrix()
    assert weight_hash(w) == weight_hash(w.T.contiguous().T) == weight_hash(w.double())
    assert weight_hash(w) != weight_hash(w.reshape(4, 6))
    assert weight_hash(w) != weight_hash(w + 1e-6)
    assert weight_hash(w.bfloat16()) == weight_hash(w.bfloat16().float()) != weight_hash(w)


def test_a_second_model_decomposes_nothing(calls, own_cache):  # noqa: F811
    first = svf_model(make_tiny_base())
    assert len(calls) == 21
    shake(first)
    expected = logits(first)
    assert len(list(own_cache.glob("*.safetensors"))) == 21
    second = svf_model(make_tiny_base(), rank=None)
    second.add_adapter("lower", second.peft_config["default"])
    shake(second)
    assert len(calls) == 21
    assert far(logits(second), expected) == 0
    svf_model(make_tiny_base(seed=1))
    assert len(calls) == 42


def test_a_rank_that_grows_reads_the_cache_again(calls):
    model = svf_model(make_tiny_base(), rank=3, target_modules=["q_proj"])
    config = model.peft_config["default"]
    config.rank = None
    model.add_adapter("more", config)
    assert len(calls) == 3
    assert {layer.svf_u.shape[1] for layer in svf_layers(model)} == {64}


@pytest.mark.parametrize("damage", ["cut", "bits", "header", "other"])
def test_a_damaged_file_is_reported_and_replaced(own_cache, calls, caplog, damage):  # noqa: F811
    w = matrix()
    expected = spectrum_of(w)
    (path,) = own_cache.glob("*.safetensors")
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-7])
    elif damage == "bits":
        path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 8]) + whole[-2:])
    elif damage == "header":
        path.write_bytes(b"\xff" * 20)
    else:
        other = matrix(3, 3)
        spectrum_of(other)
        path.write_bytes((own_cache / f"{weight_hash(other)}.safetensors").read_bytes())
    count = len(calls)
    with caplog.at_level(logging.WARNING):
        found = spectrum_of(w)
    assert "is damaged" in caplog.text
    assert path.name in caplog.text
    assert len(calls) == count + 1
    assert torch.equal(found.s, expected.s)
    assert path.read_bytes() == whole
    caplog.clear()
    spectrum_of(w)
    assert not caplog.text


def test_the_folder_can_be_chosen_or_left_out(tmp_path: Path, own_cache, calls, caplog):  # noqa: F811
    assert cache_folder() == own_cache
    with spectra_in(tmp_path / "mine"):
        assert cache_folder() == tmp_path / "mine"
        spectrum_of(matrix())
    assert len(list((tmp_path / "mine").iterdir())) == 1
    with spectra_in(None):
        assert cache_folder() is None
        spectrum_of(matrix())
        spectrum_of(matrix())
    assert len(calls) == 3
    assert not own_cache.exists()
    (tmp_path / "file").write_text("")
    with spectra_in(tmp_path / "file" / "below"):  # nothing can be written there
        spectrum_of(matrix())
    assert "cannot be written" in caplog.text


def test_who_waits_for_decompositions_is_told_once_what_takes_so_long(monkeypatch, own_cache, caplog):  # noqa: F811
    monkeypatch.setattr(decomposition, "PATIENCE", 0.0)
    monkeypatch.setattr(decomposition, "_spent", [0.0])
    weights = [torch.eye(3) * scale for scale in (1.0, 2.0)]
    with caplog.at_level(logging.WARNING):
        for weight in (*weights, *weights):
            spectrum_of(weight)
    assert caplog.text.count("computed once") == 1
    assert str(cache_folder()) in caplog.text
