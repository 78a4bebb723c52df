"""Preference optimisation on real lanes, and TRL's trainer as a witness."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.methods.dpo import DPO, DPOOptions
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.methods.method_fixtures import EXAMPLES, batches_of, run_of, settings_of


def moved(start: torch.Tensor, seed: int = 3) -> torch.Tensor:
    return start + 0.05 * torch.randn(start.shape, generator=torch.Generator().manual_seed(seed))


def test_a_fresh_adapter_costs_the_logarithm_of_two_and_micro_batches_add_up() -> None:
    base, settings = make_tiny_base(), settings_of("dpo")
    method, run = run_of(base, settings)
    (whole,) = batches_of(base, settings, method)
    loss, figures = method.loss(run.lanes, run.lanes.start, whole)
    torch.testing.assert_close(loss, torch.full((2,), math.log(2)))
    torch.testing.assert_close(figures["accuracy"], torch.full((2,), 0.5))
    theta = moved(run.lanes.start)
    loss, figures = method.loss(run.lanes, theta, whole)
    parts = [method.loss(run.lanes, theta, part) for part in batches_of(base, settings, method, tokens=64)]
    assert len(parts) > 1
    torch.testing.assert_close(sum(part for part, _ in parts), loss)
    for name, value in figures.items():
        torch.testing.assert_close(sum(told[name] for _, told in parts), value)


def test_the_loss_is_that_of_log_ratios_of_whole_answers() -> None:
    base, settings = make_tiny_base(), settings_of("dpo", {"beta": 0.3, "smoothing": 0.1})
    method, run = run_of(base, settings)
    (batch,) = batches_of(base, settings, method)
    theta = moved(run.lanes.start)
    loss, _ = method.loss(run.lanes, theta, batch)
    ratio = (run.lanes.token_logprobs(theta, batch) - run.lanes.base_logprobs(batch)).sum(-1)
    h = 0.3 * (ratio[:, :4] - ratio[:, 4:])
    expected = 0.9 * torch.log1p(torch.exp(-h)) + 0.1 * torch.log1p(torch.exp(h))
    torch.testing.assert_close(loss, expected.mean(-1))


def test_length_is_divided_out_where_it_is_asked_for() -> None:
    base = make_tiny_base()
    settings = settings_of("dpo", {"normalised": True, "beta": 2.0})
    method, run = run_of(base, settings)
    (batch,) = batches_of(base, settings, method)
    theta = moved(run.lanes.start)
    loss, _ = method.loss(run.lanes, theta, batch)
    ratio = (run.lanes.token_logprobs(theta, batch) - run.lanes.base_logprobs(batch)).sum(-1) / batch.learnt.sum(-1)
    torch.testing.assert_close(loss, torch.log1p(torch.exp(-2.0 * (ratio[:, :4] - ratio[:, 4:]))).mean(-1))


def test_held_out_pairs_choose_the_checkpoint() -> None:
    base, settings = make_tiny_base(), settings_of("dpo")
    method, run = run_of(base, settings)
    theta = moved(run.lanes.start)
    (batch,) = batches_of(base, settings, method)
    _, figures = method.loss(run.lanes, theta, batch)
    found = method.examine(1, run.lanes.select(torch.tensor([1])), theta[1:])
    assert found is not None
    assert found == pytest.approx((figures["accuracy"][1].item(), figures["margin"][1].item()), abs=1e-5)


@pytest.mark.parametrize("options", [{"beta": 0.0}, {"smoothing": 0.5}, {"smoothing": -0.1}])
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        DPO(DPOOptions(**options))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_loss_is_trls(tmp_path: Path) -> None:
    """The same base, adapter and pairs in TRL's DPOTrainer, on the tokens that it makes."""
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    from llm_experts.adapters.injection import inject, own_copy
    from llm_experts.adapters.state import set_adapter_state
    from llm_experts.training.sequences.batch import Item, Row, collate

    base = make_tiny_base()
    method, run = run_of(base, settings_of("dpo", {"beta": 0.2}), seeds=(0,))
    theta = moved(run.lanes.start)
    model = inject(own_copy(base).model, run.lanes.layers.config, 0)
    rows = [{"prompt": e.prompt, "chosen": f" {e.completion}", "rejected": f" {e.rejected}"} for e in EXAMPLES]
    arguments = DPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=4, beta=0.2, use_cpu=True, report_to=[], bf16=False,
        max_length=64,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer
    )
    inputs = next(iter(trainer.get_train_dataloader()))
    model.eval()
    set_adapter_state(model, run.lanes.state(0, theta[0]))  # TRL took the fresh adapter as its reference
    theirs = trainer.compute_loss(model, inputs)  # type: ignore[no-untyped-call]
    ids, learnt, there = inputs["input_ids"], inputs["completion_mask"].bool(), inputs["attention_mask"].sum(-1)
    parts = [
        Row.of(row[:end].tolist(), own[:end].tolist())
        for row, own, end in zip(ids, learnt, there.tolist(), strict=True)
    ]
    n = len(parts) // 2
    items = [Item(row, (EXAMPLES[row],), (parts[row], parts[n + row])) for row in range(n)]
    ours, _ = method.loss(run.lanes, theta, collate([items], base.device))
    assert abs(float(theirs) - math.log(2)) > 0.01
    torch.testing.assert_close(ours[0], theirs.detach(), rtol=1e-4, atol=1e-5)
