"""The same experts by TRL's trainers, for those who need accelerate's many devices.

The loop of this room is the default: it trains experts together, computes frozen layers once and goes on after a kill
with the same result, none of which TRL does. This file lends TRL the same items, adapter and settings, and writes the
same folder.
"""

from __future__ import annotations

import importlib
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation.folder_lock import folder_lock
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.decoder.program import Adapter
from llm_experts.training.loop.assignment import Assignment, Fitted
from llm_experts.training.loop.judging import Examiner
from llm_experts.training.loop.method import method_named
from llm_experts.training.loop.order import Order, items_of
from llm_experts.training.loop.presets import learning_rate
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.loop.writing import note, read_expert, write_expert
from llm_experts.training.sequences.batch import Item
from llm_experts.training.sequences.lanes import SequenceLanes

ENGINE = "trl"
METHODS = ("sft", "dpo")
"""Methods that TRL has a trainer for and that learn from given answers."""
SCHEDULES = {"constant": "constant_with_warmup"}
"""Where TRL's word is another: its ``constant`` has no warm-up."""


def fit_by_trl(base: Base, assignments: Sequence[Assignment], *, folder: Path) -> list[Fitted]:
    """Train experts one after the other with TRL, and write each one's folder as :func:`fit` does.

    The last weights are kept, as TRL has no evaluation by a task's own score; both their score and that of the first
    weights are in the history.

    Raises
    ------
    SettingsError
        If TRL is not installed, or the method or a setting is not one that it has.
    """
    trl = _library()
    found = []
    for assignment in assignments:
        place = folder / assignment.name
        with folder_lock(place, f"training of {assignment.name}"):
            there = read_expert(place, base, assignment, ENGINE)
            found.append(there or _fit(trl, base, assignment, place))
    return found


def _library() -> Any:
    try:
        return importlib.import_module("trl")
    except ImportError as error:
        raise SettingsError(
            "The engine trl needs TRL, which is not installed. Run `pip install trl`, or leave the engine out: the "
            "project's own needs nothing more."
        ) from error


def _fit(trl: Any, base: Base, assignment: Assignment, folder: Path) -> Fitted:
    own, started = assignment.settings, time.perf_counter()
    if assignment.after is not None:
        raise SettingsError(
            f"The engine trl trains fresh adapters only, and {assignment.name} goes on from {assignment.after}. Leave "
            "the engine out."
        )
    if own.method not in METHODS or own.packing:
        what = "packing" if own.packing else f"the method {own.method}"
        raise SettingsError(
            f"The engine trl does not have {what} here; it has {' and '.join(METHODS)} without packing. Leave the "
            "engine out."
        )
    need: Any = "pair" if own.method == "dpo" else "completion"
    items = items_of(assignment.train, base, own, need)
    order, examiner = Order(items, own), Examiner(base, assignment, need)
    lanes = SequenceLanes.fresh(base, own.kind, [own.rank], [own.seed], own.start, own.adapter_options)
    if own.weight_decay and bool(lanes.anchor.any()):
        raise SettingsError(
            f"weight_decay of TRL draws weights to 0, which is not the base for {own.kind} adapters. Set weight_decay "
            "to 0, or leave the engine out."
        )
    before = examiner.score(lanes, lanes.start)
    note(folder, f"begins with TRL {trl.__version__}: {order.steps} steps; score {before.value:.6g}")
    model = inject(own_copy(base).model, lanes.layers.config, None)
    set_adapter_state(model, lanes.state(0, lanes.start[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL's own settings, deprecated by its own dependencies
        trainer = _trainer(trl, base, assignment, items, order, model, folder / "trl")
        loss = float(trainer.train().training_loss)
    adapter = Adapter(lanes.layers.config, adapter_state(model))
    after = examiner.score(lanes, lanes.theta_of([adapter]))
    history: list[dict[str, Any]] = [{"step": 0, "epoch": 0.0, **before._asdict()}]
    history.append({"step": order.steps, "epoch": order.steps / order.per_epoch, **after._asdict(), "loss": loss})
    for row in history:
        row["score"] = row.pop("value")
    stopped = "" if math.isfinite(loss) else "The loss became infinite or undefined."
    fitted = Fitted(
        assignment.name, adapter, after.value, order.steps, order.steps, history, stopped, folder,
        lanes.parameter_count, time.perf_counter() - started, (f"trained by TRL {trl.__version__}",),
    )  # fmt: skip
    write_expert(base, assignment, fitted, ENGINE)
    note(folder, f"done: score {after.value:.6g} at step {order.steps}")
    return fitted


def _trainer(
    trl: Any, base: Base, assignment: Assignment, items: Sequence[Item], order: Order, model: Any, folder: Path
) -> Any:
    from datasets import Dataset

    own, tokenizer = assignment.settings, base.tokenizer
    shared = {
        "output_dir": str(folder),
        "max_steps": order.steps,
        "per_device_train_batch_size": max(1, own.batch_size // own.accumulation),
        "gradient_accumulation_steps": own.accumulation,
        "learning_rate": own.lr or learning_rate(own.kind, base),
        "lr_scheduler_type": SCHEDULES.get(own.schedule, own.schedule),
        "warmup_steps": own.warm_up,
        "max_grad_norm": own.clip,
        "weight_decay": own.weight_decay,
        "optim": {"adamw": "adamw_torch", "adamw_8bit": "adamw_8bit"}.get(own.optimiser, own.optimiser),
        "seed": own.seed,
        "use_cpu": base.device.type == "cpu",
        "bf16": False,
        "gradient_checkpointing": own.checkpointing,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "pad_token": tokenizer.pad_token or tokenizer.eos_token,
    }
    if own.method == "sft":
        rows = [item.parts[0] for item in items]
        labels = [[i if on else -100 for i, on in zip(row.ids, row.learnt, strict=True)] for row in rows]
        data = Dataset.from_dict({"input_ids": [list(row.ids) for row in rows], "labels": labels})
        config = trl.SFTConfig(
            **shared, max_length=None, completion_only_loss=False, remove_unused_columns=False,
            eos_token=tokenizer.eos_token, dataset_kwargs={"skip_prepare_dataset": True},
        )  # fmt: skip
        return trl.SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    pairs = Dataset.from_list([_pair(item) for item in items])
    config = trl.DPOConfig(**shared, **_preferences(own.options), max_length=None)
    return _with_tokens(trl.DPOTrainer)(model=model, args=config, train_dataset=pairs, processing_class=tokenizer)


def _preferences(given: Mapping[str, Any]) -> dict[str, float]:
    """Our options of ``dpo`` in TRL's words."""
    options = method_named("dpo").options(**given)
    if options.normalised:
        raise SettingsError(
            "The engine trl compares whole answers, not tokens of them (normalised); leave one of the two out."
        )
    return {"beta": options.beta, "label_smoothing": options.smoothing}


def _with_tokens(trainer: Any) -> Any:
    """TRL's trainer of pairs that takes tokens as they are: it would write prompts in another form than ours."""
    return type(trainer.__name__, (trainer,), {"_prepare_dataset": lambda _self, dataset, *_given: dataset})


def _pair(item: Item) -> dict[str, list[int]]:
    """Tokens of a pair as TRL takes them, which are ours; of two cut prompts the shorter one stands before both."""
    begins = [row.learnt.index(True) for row in item.parts]
    chosen, rejected = (list(row.ids[begin:]) for row, begin in zip(item.parts, begins, strict=True))
    shorter = item.parts[begins.index(min(begins))]
    return {"prompt_ids": list(shorter.ids[: min(begins)]), "chosen_ids": chosen, "rejected_ids": rejected}
