"""Bank of stacked adapters: any mixture per row equals the adapters one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.store import save_adapter
from llm_experts.adapters.svf import spectra_in
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.decoder.cut import CutBase, Top
from llm_experts.mixtures.bank import AdapterBank, all_places
from tests.llm_experts.conftest import make_tiny_base

IDS = torch.tensor([[5, 9, 31, 7, 80], [11, 12, 13, 14, 15], [3, 2, 1, 90, 91], [60, 7, 8, 9, 10]])
ROWS = len(IDS)


@pytest.fixture(scope="module")
def tiny_base() -> Base:
    """One for all tests of this file: adapters are injected into copies."""
    return make_tiny_base()


@pytest.fixture(autouse=True)
def no_svd_cache() -> Iterator[None]:
    with spectra_in(None):
        yield


def logits(model: nn.Module, rows: slice = slice(None)) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS[rows]).logits
    return found


def adapted(base: Base, kind: str, rank: int | None = 4, seed: int = 0, layers: list[int] | None = None, size=0.1):
    """A PEFT model with an adapter that has learnt something."""
    copy = own_copy(base)
    model = inject(copy.model, ADAPTERS[kind].make_config(rank, layers, copy.model), seed)
    generator = torch.Generator().manual_seed(seed)
    state = adapter_state(model)
    set_adapter_state(model, {k: v + size * torch.randn(v.shape, generator=generator) for k, v in state.items()})
    return model


def source(model: Any) -> tuple[Any, dict[str, Tensor]]:
    return model.peft_config["default"], adapter_state(model)


@contextmanager
def one_by_one(base: Base, models: Sequence[Any], gate: Tensor) -> Iterator[nn.Module]:
    """A copy of the base whose matrices run each PEFT layer on its own and sum what it adds, weighted."""
    copy = own_copy(base)
    weights = gate if gate.ndim == 3 else gate[:, None] if gate.ndim == 2 else gate[None, None]

    def hook(place) -> Any:
        plain = base.model.get_decoder().layers[place.layer].get_submodule(place.name)
        others = [m.get_base_model().model.layers[place.layer].get_submodule(place.name) for m in models]

        def summed(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            each = [weights[..., k : k + 1] * (other(args[0]) - plain(args[0])) for k, other in enumerate(others)]
            return output + sum(each)

        return summed

    for place in all_places(base):
        copy.model.get_decoder().layers[place.layer].get_submodule(place.name).register_forward_hook(hook(place))
    yield copy.model


def mixtures(k: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, k, generator=torch.Generator().manual_seed(seed)) * 1.5 - 0.25


MIXES = [
    [("lora", 4), ("lora", 4), ("lora", 4)],
    [("lora", 4), ("rslora", 8), ("lora_fa", 2)],
    [("dora", 4), ("dora", 2)],
    [("ia3", 1), ("ia3", 1)],
    [("svf", None), ("svf", 8)],
    [("lora", 4), ("dora", 4), ("ia3", 1), ("svf", 16)],
]


@pytest.mark.parametrize("kinds", MIXES, ids=lambda kinds: "+".join(kind for kind, _ in kinds))
@pytest.mark.parametrize("shape", [(), (ROWS,), (ROWS, IDS.shape[1])], ids=["one", "rows", "tokens"])
def test_a_mixture_is_the_sum_of_its_adapters_one_by_one(tiny_base: Base, kinds, shape: tuple[int, ...]) -> None:
    models = [adapted(tiny_base, kind, rank, seed) for seed, (kind, rank) in enumerate(kinds)]
    bank = AdapterBank.from_adapters(tiny_base, [source(model) for model in models])
    gate = mixtures(len(models), *shape)
    with one_by_one(tiny_base, models, gate) as reference:
        expected = logits(reference)
    with bank.gate(gate):
        found = logits(tiny_base.model)
    assert (expected - logits(tiny_base.model)).abs().max() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("kinds", MIXES, ids=lambda kinds: "+".join(kind for kind, _ in kinds))
def test_zero_is_the_base_and_one_hot_the_adapter(tiny_base: Base, kinds) -> None:
    models = [adapted(tiny_base, kind, rank, seed) for seed, (kind, rank) in enumerate(kinds)]
    bank = AdapterBank.from_adapters(tiny_base, [source(model) for model in models])
    base = logits(tiny_base.model)
    with bank.gate(torch.zeros(ROWS, len(models))):
        assert torch.equal(logits(tiny_base.model), base)
    rows = [row % len(models) for row in range(ROWS)]
    with bank.gate(torch.eye(len(models))[rows]):
        found = logits(tiny_base.model)
    for row, k in enumerate(rows):
        one = slice(row, row + 1)
        torch.testing.assert_close(found[one], logits(models[k], one), atol=2e-5, rtol=1e-4)
    assert torch.equal(logits(tiny_base.model), base)


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "svf"])
def test_identical_experts_are_the_expert(tiny_base: Base, kind: str) -> None:
    model = adapted(tiny_base, kind)
    bank = AdapterBank.from_adapters(tiny_base, [source(model)] * 3)
    gate = torch.softmax(mixtures(3, ROWS), -1)
    with bank.gate(gate):
        torch.testing.assert_close(logits(tiny_base.model), logits(model), atol=2e-5, rtol=1e-4)


def test_dora_with_a_bias_is_exact() -> None:
    tiny_base = make_tiny_base()
    for layer in tiny_base.model.get_decoder().layers:
        for place in ("q_proj", "k_proj"):
            module = layer.self_attn.get_submodule(place)
            module.bias = nn.Parameter(torch.linspace(-1, 1, module.out_features), requires_grad=False)
    models = [adapted(tiny_base, kind, 4, seed) for seed, kind in enumerate(("dora", "ia3"))]
    bank = AdapterBank.from_adapters(tiny_base, [source(model) for model in models])
    gate = mixtures(2, ROWS)
    with one_by_one(tiny_base, models, gate) as reference:
        expected = logits(reference)
    with bank.gate(gate):
        torch.testing.assert_close(logits(tiny_base.model), expected, atol=2e-5, rtol=1e-4)


def test_gradients_reach_the_gate(tiny_base: Base) -> None:
    models = [adapted(tiny_base, kind, 4, seed) for seed, kind in enumerate(("lora", "dora", "ia3", "svf"))]
    bank = AdapterBank.from_adapters(tiny_base, [source(model) for model in models])
    gate = mixtures(4, ROWS).requires_grad_()

    def loss(weights: Tensor, model: nn.Module) -> Tensor:
        return model(input_ids=IDS).logits[:, -1, :50].logsumexp(-1).sum()

    with bank.gate(gate):
        loss(gate, tiny_base.model).backward()
    other = gate.detach().clone().requires_grad_()
    with one_by_one(tiny_base, models, other) as reference:
        loss(other, reference).backward()
    assert gate.grad.abs().min() > 1e-4
    torch.testing.assert_close(gate.grad, other.grad, atol=1e-4, rtol=1e-3)


def test_folders_slots_and_the_least_recently_used(tiny_base: Base, tmp_path: Path) -> None:
    folders = {}
    models = {}
    for seed, (name, rank) in enumerate([("a", 4), ("b", 2), ("c", 4)]):
        models[name] = adapted(tiny_base, "lora", rank, seed)
        folders[name] = tmp_path / name
        save_adapter(folders[name], tiny_base, *source(models[name]))
    bank = AdapterBank(tiny_base, ranks=[4, 4])
    assert bank.names == ("", "")
    assert bank.load("a", folders["a"]) == 0 and bank.load("b", folders["b"]) == 1
    bank.weights([{"a": 1.0}])  # used: b is now the older one
    assert bank.load("c", folders["c"]) == 1 and bank.names == ("a", "c")
    assert bank.load("a", folders["a"]) == 0
    gate = bank.weights([{"a": 1.0}, {"c": 1.0}, {}, {"a": 1.0}])
    with bank.gate(gate):
        found = logits(tiny_base.model)
    base = logits(tiny_base.model)
    for row, model in enumerate([models["a"], models["c"], None, models["a"]]):
        expected = base if model is None else logits(model)
        torch.testing.assert_close(found[row], expected[row], atol=2e-5, rtol=1e-4)
    with pytest.raises(AdapterError, match="'b' is not in the bank"):
        bank.weights([{"b": 1.0}])
    bank.clear_slot(0)
    assert bank.names == ("", "c")
    with bank.gate(torch.tensor([1.0, 0.0])):
        assert torch.equal(logits(tiny_base.model), base)


def test_a_smaller_adapter_leaves_nothing_of_the_one_before(tiny_base: Base) -> None:
    bank = AdapterBank(tiny_base, ranks=[8])
    for kind, rank, layers in (("dora", 8, None), ("svf", None, None), ("ia3", 1, None), ("lora", 2, [2])):
        model = adapted(tiny_base, kind, rank, layers=layers)
        bank.load_slot(0, source(model), kind)
        assert bank.names == (kind,)
        with bank.gate(torch.ones(1)):
            torch.testing.assert_close(logits(tiny_base.model), logits(model), atol=2e-5, rtol=1e-4)


def test_attached_to_a_copy_of_the_last_layers(tiny_base: Base) -> None:
    models = [adapted(tiny_base, "lora", 4, seed, layers=[1, 2]) for seed in range(2)]
    bank = AdapterBank.from_adapters(tiny_base, [source(model) for model in models])
    gate = mixtures(2, ROWS)
    with bank.gate(gate):
        expected = logits(tiny_base.model)[:, -1]
    head = tiny_base.model.get_output_embeddings().weight
    cut = CutBase(tiny_base, 1)
    top = cut.top((0, 1))
    bank.attach(top.layers, start=1)
    tokens = IDS.shape[1]
    segment = torch.zeros(IDS.shape, dtype=torch.int8)
    segment[:, -1] = 1
    from llm_experts.decoder.layout import Layout

    answers = torch.full((ROWS, 2), tokens - 1)
    layout = Layout(torch.arange(tokens).expand(ROWS, -1), segment, answers)
    with torch.no_grad(), bank.gate(gate):
        found = top(cut.lower(IDS, layout), layout)
    bank.detach()
    torch.testing.assert_close(found.logits[:, 0], expected @ torch.eye(len(head))[:, :2], atol=1e-4, rtol=1e-4)
    assert isinstance(top, Top) and not any(m._forward_hooks for m in tiny_base.model.modules())


def test_hooks_come_off_also_after_an_error(tiny_base: Base) -> None:
    bank = AdapterBank.from_adapters(tiny_base, [source(adapted(tiny_base, "ia3"))])
    with pytest.raises(AdapterError, match="gate is for 3 rows"), bank.gate(torch.ones(3, 1)):
        logits(tiny_base.model)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny_base.model.modules())
    bank.attach()
    base = logits(own_copy(tiny_base).model)
    assert torch.equal(logits(tiny_base.model), base)  # attached without a gate
    with pytest.raises(AdapterError, match="attached already"):
        bank.attach()
    bank.detach()


def test_odd_requests_are_refused(tiny_base: Base) -> None:
    lora = source(adapted(tiny_base, "lora"))
    bank = AdapterBank.from_adapters(tiny_base, [lora])
    for shape in ((2,), (ROWS, 2), (1, 1, 1, 1)):
        with pytest.raises(AdapterError, match="does not fit 1 adapters"), bank.gate(torch.ones(shape)):
            pass
    with pytest.raises(AdapterError, match="is for 4 rows and 2 tokens"), bank.gate(torch.ones(ROWS, 2, 1)):
        logits(tiny_base.model)
    with pytest.raises(AdapterError, match="rank 8, slot 0 takes 4"):
        bank.load_slot(0, source(adapted(tiny_base, "lora", 8)))
    with pytest.raises(AdapterError, match="slots 0 to 0"):
        bank.load_slot(1, lora)
    small = AdapterBank.from_adapters(tiny_base, [source(adapted(tiny_base, "lora", 4, layers=[2]))])
    with pytest.raises(AdapterError, match="no slots in this bank"):
        small.load_slot(0, lora)
    with pytest.raises(AdapterError, match="virtual tokens"):
        AdapterBank.from_adapters(tiny_base, [source(adapted(tiny_base, "soft_prompt"))])
    with pytest.raises(AdapterError, match="at least one slot"):
        AdapterBank(tiny_base, [])


def test_an_adapter_of_another_base_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    from dataclasses import replace

    save_adapter(tmp_path / "a", replace(tiny_base, hash="f" * 64), *source(adapted(tiny_base, "lora")))
    with pytest.raises(AdapterError, match="f" * 64):
        AdapterBank.from_adapters(tiny_base, [tmp_path / "a"])


QUANTISED = [("nf4", "lora"), ("nf4", "ia3"), ("nf4", "svf"), ("nf4", "dora"), ("int8", "lora"), ("int8", "svf")]
QUANTISED += [("int8", "ia3"), ("int8", "dora")]


def quantised(base: Base, folder: Path, quantisation: str) -> Base:
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return load_base(str(folder), quantisation=quantisation, dtype="float32")


@pytest.mark.parametrize(("quantisation", "kind"), QUANTISED)
def test_quantised_bases_run_as_they_are(tiny_base: Base, tmp_path: Path, quantisation: str, kind: str) -> None:
    base = quantised(tiny_base, tmp_path, quantisation)
    said = logits(base.model)
    model = adapted(base, kind)
    bank = AdapterBank.from_adapters(base, [source(model)])
    generator = torch.Generator().manual_seed(0)
    for place in all_places(base):
        plain = base.model.get_decoder().layers[place.layer].get_submodule(place.name)
        other = model.get_base_model().model.layers[place.layer].get_submodule(place.name)
        x = torch.randn(ROWS, 3, plain.in_features, generator=generator)
        with torch.no_grad():
            expected = plain(x) + 0.6 * (other(x) - plain(x))
            with bank.gate(torch.tensor([0.6])):
                found = plain(x)
        torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
    assert torch.equal(logits(base.model), said)
    with bank.gate(torch.zeros(1)):
        assert torch.equal(logits(base.model), said)


def test_threads_have_gates_of_their_own(tiny_base: Base) -> None:
    """Each thread holds its gate open while the other computes; hooks come off with the last one."""
    models = [adapted(tiny_base, kind, rank, seed) for seed, (kind, rank) in enumerate((("lora", 4), ("ia3", 1)))]
    bank = AdapterBank.from_adapters(tiny_base, [source(model) for model in models])
    gates = [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])]
    expected = []
    for gate in gates:
        with bank.gate(gate):
            expected.append(logits(tiny_base.model))
    together = threading.Barrier(2, timeout=60)

    def work(which: int) -> list[Tensor]:
        found = []
        with torch.no_grad(), bank.gate(gates[which]):
            together.wait()
            for _ in range(3):
                found.append(logits(tiny_base.model))
                together.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(work, range(2)))
    for which in range(2):
        for found in answers[which]:
            torch.testing.assert_close(found, expected[which])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny_base.model.modules())
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3


def test_a_gate_of_one_thread_is_not_that_of_another(tiny_base: Base) -> None:
    bank = AdapterBank.from_adapters(tiny_base, [source(adapted(tiny_base, "lora", 4))])
    base = logits(tiny_base.model)
    with bank.gate(torch.ones(1)), ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(logits, tiny_base.model).result(), base)
        assert not torch.equal(logits(tiny_base.model), base)
