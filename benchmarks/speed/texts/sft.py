"""Supervised fine-tuning beside TRL's trainer on PEFT's adapters: same base, items, order, adapter and optimiser.

Run with ``python -m benchmarks.speed sft``; with ``FAIRMOE_REAL_BASE`` or ``--base`` also on a published model. Three
epochs of LoRA of rank 16, on all layers and on the last ones alone; everything counts but the loading of the base:
trainers, adapters, evaluations and files. One thread, sides interleaved, CPU time. Goals: never slower, and at least 3
times as fast where lower layers are computed once for all epochs.
"""

from __future__ import annotations

import importlib
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.speed.timing import base_arguments, interleaved, machine_load
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.families.registry import family_named
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.order import Order, items_of
from llm_experts.training.loop.presets import learning_rate
from llm_experts.training.loop.settings import Settings

EVERYWHERE, CACHED = 1.0, 3.0


def assignment(items: int, start: int, name: str = "expert", **changed: Any) -> Assignment:
    """Three epochs on generated arithmetic."""
    family = family_named("arithmetic")
    settings = Settings(start=start, batch_size=8, style="auto", **changed)
    return Assignment(name, family.make("train", items, 0, None), family.make("validation", 2, 0, None), settings)


def ours(base: Base, *given: Assignment) -> None:
    """Train experts together and write them."""
    with tempfile.TemporaryDirectory() as folder:
        fit(base, given, folder=Path(folder))


def by_trl(base: Base, given: Assignment) -> None:
    """The same by TRL, its adapter written by PEFT."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model

    from llm_experts.adapters.injection import own_copy
    from llm_experts.adapters.kind import ALL_LINEAR

    trl: Any = importlib.import_module("trl")
    own, rank = given.settings, given.settings.rank or 16
    items = items_of(given.train, base, own, "completion")
    order = Order(items, own)
    rows = [item.parts[0] for step in range(1, order.per_epoch + 1) for item in order.at(step)]
    labels = [[i if on else -100 for i, on in zip(row.ids, row.learnt, strict=True)] for row in rows]
    data = Dataset.from_dict({"input_ids": [list(row.ids) for row in rows], "labels": labels})
    layers = list(range(own.start, base.n_layers))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(
            task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules=list(ALL_LINEAR),
            layers_to_transform=layers,
        )  # fmt: skip
        model = get_peft_model(own_copy(base).model, config)
        tokenizer: Any = base.tokenizer
        settings = trl.SFTConfig(
            output_dir=folder, num_train_epochs=own.epochs, per_device_train_batch_size=own.batch_size,
            learning_rate=learning_rate(own.kind, base), lr_scheduler_type="cosine", warmup_steps=own.warm_up,
            max_grad_norm=own.clip, optim="adamw_torch", use_cpu=base.device.type == "cpu", report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, max_length=None, completion_only_loss=False,
            dataset_kwargs={"skip_prepare_dataset": True}, bf16=False, gradient_checkpointing=False,
            remove_unused_columns=False, eos_token=tokenizer.eos_token, pad_token=tokenizer.eos_token,
        )  # fmt: skip
        trainer = trl.SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
        trainer.train()
        model.save_pretrained(folder)


def measure(name: str, top: int, items: int, rounds: int) -> None:
    """Print a line for all layers and one for the last ``top`` alone."""
    base = load_base(name, dtype="float32")
    for start, goal in ((0, EVERYWHERE), (base.n_layers - top, CACHED)):
        given = assignment(items, start)
        found = interleaved(partial(ours, base, given), partial(by_trl, base, given), rounds, warm_up=rounds > 1)
        layers = f"layers {start} to {base.n_layers - 1} of {base.n_layers}"
        print(
            f"{Path(name).name}, LoRA on {layers}, {items} items, 3 epochs: {found.median_a:.2f} s against "
            f"{found.median_b:.2f} s by TRL, {found.ratio:.2f} times (goal {goal:g})",
            flush=True,
        )


def main() -> None:
    """Measure nano, and a published model where there is one."""
    arguments = base_arguments(__doc__)
    print(machine_load())
    measure("nano", 1, 96, arguments.rounds)
    if arguments.base:
        measure(arguments.base, 4, arguments.items, arguments.rounds)


if __name__ == "__main__":
    main()
