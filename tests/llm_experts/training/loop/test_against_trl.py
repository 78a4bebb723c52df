"""TRL and PEFT as oracles: the same base, adapter, items, order and rate give the same weights."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.order import Order, items_of
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.loop.fixtures import assignment

STEPS = 5


def by_trl(base: Base, kind: str, folder: Path, **changed: Any) -> dict[str, torch.Tensor]:
    """An adapter's weights after five steps of TRL's trainer on the items in our order."""
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from trl import SFTConfig, SFTTrainer

    given = assignment(kind=kind, steps=STEPS, schedule="constant", warm_up=0.0, lr=1e-3, **changed)
    own = given.settings
    order = Order(items_of(given.train, base, own, "completion"), own)
    rows = [item.parts[0] for step in range(1, STEPS + 1) for item in order.at(step)]
    lanes = SequenceLanes.fresh(base, kind, [own.rank], [own.seed])
    model = inject(own_copy(base).model, lanes.layers.config, None)
    set_adapter_state(model, lanes.state(0, lanes.start[0]))

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset if dataset is None else dataset)

    data = Dataset.from_list(
        [
            {
                "input_ids": list(row.ids),
                "labels": [i if on else -100 for i, on in zip(row.ids, row.learnt, strict=True)],
            }
            for row in rows
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = SFTConfig(
            output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=own.batch_size, learning_rate=own.lr,
            lr_scheduler_type="constant", warmup_steps=0, max_grad_norm=own.clip, weight_decay=own.weight_decay,
            optim="adamw_torch", use_cpu=True, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
            max_length=None, completion_only_loss=False, dataset_kwargs={"skip_prepare_dataset": True}, bf16=False,
            gradient_checkpointing=False, remove_unused_columns=False, eos_token="<eos>", pad_token="<pad>",
        )  # fmt: skip
        InOrder(model=model, args=config, train_dataset=data, processing_class=base.tokenizer).train()
    return adapter_state(model)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "changed"), [("lora", {"weight_decay": 0.1}), ("dora", {}), ("ia3", {"clip": 0.2})])
def test_five_steps_end_where_those_of_trl_end(kind: str, changed: dict[str, Any], tmp_path: Path) -> None:
    base = make_tiny_base()
    expected = by_trl(base, kind, tmp_path / "trl", **changed)
    given = assignment(
        kind=kind, steps=STEPS, schedule="constant", warm_up=0.0, lr=1e-3, evaluate_every=STEPS, **changed
    )
    (found,) = fit(base, [given], folder=tmp_path)
    assert found.best_step == STEPS
    moved = 0.0
    start = SequenceLanes.fresh(base, kind, [given.settings.rank], [given.settings.seed])
    for key, value in expected.items():
        moved = max(moved, float((value - start.state(0, start.start[0])[key]).abs().max()))
        assert torch.allclose(found.adapter.state[key], value, atol=1e-4), key
    assert moved > 2e-3  # or agreement would say nothing
