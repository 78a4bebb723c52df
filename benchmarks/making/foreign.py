"""Names that other trainers have for our settings: Transformers, PEFT, TRL, bitsandbytes, Axolotl and guides of them.

Every name is mapped to ours, is true here anyway, or is refused with what to write instead. Nothing is ignored without
a word.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.making.error import ConfigError

Values = dict[str, Any]
Rule = Callable[[str, Any, Values], str | None]
"""``rule(name, value, ours)`` writes into ``ours`` and may say a note."""


def _same(ours: str) -> Rule:
    def rule(name: str, value: Any, found: Values) -> None:
        _put(found, ours, value, name)

    return rule


def _option(ours: str, table: str = "options") -> Rule:
    def rule(name: str, value: Any, found: Values) -> None:
        held = found.setdefault(table, {})
        if not isinstance(held, dict):
            raise ConfigError(f"{table} must be a table of options, not {str(held)[:80]!a}; write [{table}].")
        _put(held, ours, value, name)

    return rule


def _words(ours: str, words: Mapping[Any, Any]) -> Rule:
    def rule(name: str, value: Any, found: Values) -> None:
        key = value if isinstance(value, bool) else str(value).removeprefix("torch.").lower()
        if key not in words:
            raise ConfigError(f"{name} = {str(value)[:80]!a} has no counterpart: {ours} knows {_listed(words)}.")
        if words[key] is not None:
            _put(found, ours, words[key], name)

    return rule


def _flag(ours: str, value_if_true: Any) -> Rule:
    def rule(name: str, value: Any, found: Values) -> None:
        if _truth(name, value):
            _put(found, ours, value_if_true, name)

    return rule


def _unneeded(why: str) -> Rule:
    return lambda name, _value, _found: f"{name} is not needed: {why}."


def _refused(why: str) -> Rule:
    def rule(name: str, _value: Any, _found: Values) -> None:
        raise ConfigError(f"{name} cannot be had: {why}.")

    return rule


def _only(allowed: tuple[Any, ...], why: str) -> Rule:
    def rule(name: str, value: Any, _found: Values) -> None:
        if value not in allowed:
            raise ConfigError(f"{name} = {str(value)[:80]!a} cannot be had: {why}.")

    return rule


def _put(found: Values, ours: str, value: Any, name: str) -> None:
    if ours in found and found[ours] != value:
        raise ConfigError(
            f"{name} = {str(value)[:80]!a} and {ours} = {str(found[ours])[:80]!a} say the same thing differently; "
            "keep one of them."
        )
    found[ours] = value


def _listed(words: Mapping[Any, Any]) -> str:
    return ", ".join(str(word) for word in words)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is true or false, not {str(value)[:80]!a}.")
    return value


def _max_steps(name: str, value: Any, found: Values) -> None:
    if value != -1:  # Transformers' word for "by epochs"
        _put(found, "steps", value, name)


def _warm_up(name: str, value: Any, found: Values) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1:
        _put(found, "warm_up", value, name)  # as in Transformers 5: a share
    else:
        _put(found, "warm_up_steps", int(value) if isinstance(value, float) and value.is_integer() else value, name)


def _unsloth(name: str, value: Any, found: Values) -> str | None:
    if not _truth(name, value):
        return None
    if importlib.util.find_spec("unsloth") is None:
        raise ConfigError(
            f"{name} = true cannot be had: unsloth is not installed. It replaces kernels of Transformers and TRL on "
            "NVIDIA GPUs; fairmoe's own engine trains several experts over one pass of the base instead, and needs "
            'none of it. Leave use_unsloth out, or install unsloth and set engine = "trl".'
        )
    if found.get("engine", "trl") != "trl":
        raise ConfigError(f'{name} = true changes TRL, not fairmoe\'s own engine; set engine = "trl".')
    found["engine"], found["use_unsloth"] = "trl", True
    return f"{name}: unsloth is loaded before TRL, which it changes."


def _quantised_type(name: str, value: Any, _found: Values) -> None:
    if str(value).lower() != "nf4":
        raise ConfigError(f"{name} = {str(value)[:80]!a} cannot be had: 4 bits are kept as nf4 here.")


def _prompt_start(name: str, value: Any, found: Values) -> None:
    starts = {"RANDOM": "random", "SAMPLE_VOCAB": "vocabulary"}
    if value not in starts:
        raise ConfigError(f"{name} = {str(value)[:80]!a} cannot be had: virtual tokens start as {_listed(starts)}.")
    _option("start", "adapter_options")(name, starts[value], found)


_OPTIMISERS = {
    **dict.fromkeys(("adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf"), "adamw"),
    **dict.fromkeys(("adamw_8bit", "adamw_bnb_8bit"), "adamw_8bit"), "paged_adamw_8bit": "paged_adamw_8bit",
}  # fmt: skip
_SCHEDULES = {
    "cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant",
}  # fmt: skip
_DTYPES = {
    "auto": "auto", "float32": "float32", "fp32": "float32", "bfloat16": "bfloat16", "bf16": "bfloat16",
    "float16": "float16", "fp16": "float16",
}  # fmt: skip
_METHODS = {
    "sft": "sft", "dpo": "dpo", "distil": "distil", "distill": "distil", "distillation": "distil", "rl": "rl",
    "rloo": "rl", "reinforce": "rl", "ewc": "ewc",
}  # fmt: skip
_KINDS = {
    "lora": "lora", "rslora": "rslora", "lora_fa": "lora_fa", "lora-fa": "lora_fa", "lorafa": "lora_fa",
    "dora": "dora", "ia3": "ia3", "ia³": "ia3", "svf": "svf", "soft_prompt": "soft_prompt",
    "prompt_tuning": "soft_prompt", "soft-prompt": "soft_prompt", "prefix": "prefix", "prefix_tuning": "prefix",
}  # fmt: skip
_ROUNDS = "a checkpoint to go on from and the best one are always kept, and only those"
_LOGS = "every step is in history.csv and training.log; 'fairmoe track experts' sends them to MLflow"

FOREIGN: dict[str, Rule] = {
    # Transformers: TrainingArguments
    "num_train_epochs": _same("epochs"), "num_epochs": _same("epochs"), "max_steps": _max_steps,
    "learning_rate": _same("lr"), "lr_scheduler_type": _words("schedule", _SCHEDULES),
    "lr_scheduler": _words("schedule", _SCHEDULES), "warmup_ratio": _same("warm_up"), "warmup_steps": _warm_up,
    "warmup": _warm_up, "optim": _words("optimiser", _OPTIMISERS), "optimizer": _words("optimiser", _OPTIMISERS),
    "max_grad_norm": _same("clip"), "gradient_checkpointing": _same("checkpointing"),
    "eval_steps": _same("evaluate_every"), "early_stopping_patience": _same("patience"),
    "fp16": _flag("dtype", "float16"), "bf16": _flag("dtype", "bfloat16"), "data_seed": _same("seed"),
    "random_seed": _same("seed"),
    "eval_strategy": _only(("steps", "epoch"), "an expert is chosen on validation items; write evaluate_every"),
    "evaluation_strategy": _only(("steps", "epoch"), "an expert is chosen on validation items; write evaluate_every"),
    "load_best_model_at_end": _only((True,), "the best checkpoint is what is kept, always"),
    "metric_for_best_model": _unneeded("the best checkpoint is chosen by the task's own score on validation items"),
    "greater_is_better": _unneeded("every score here is better when it is higher"),
    "save_strategy": _unneeded(_ROUNDS), "save_steps": _unneeded(_ROUNDS), "save_total_limit": _unneeded(_ROUNDS),
    "save_safetensors": _only((True,), "weights are safetensors, never pickles"),
    "logging_steps": _unneeded(_LOGS), "logging_dir": _unneeded(_LOGS), "logging_strategy": _unneeded(_LOGS),
    "report_to": _unneeded(_LOGS), "run_name": _unneeded("an expert has a name"),
    "dataloader_num_workers": _unneeded("examples are tokenised once, before the first step"),
    "group_by_length": _unneeded("packing does more for that"),
    "remove_unused_columns": _unneeded("unknown fields of examples do no harm"),
    "overwrite_output_dir": _unneeded("one of other settings or data is moved aside, never overwritten"),
    "output_dir": _unneeded("the folder is given with --output"),
    "deepspeed": _refused("adapters fit on one device; use engine = \"trl\" with accelerate for several"),
    "fsdp": _refused("adapters fit on one device; use engine = \"trl\" with accelerate for several"),
    "neftune_noise_alpha": _refused("no noise is added to embeddings; leave it out"),
    "label_smoothing_factor": _refused("write smoothing under [options] where the method has it"),
    "adam_beta1": _only((0.9,), "β₁ is 0.9"), "adam_beta2": _only((0.999,), "β₂ is 0.999"),
    "adam_epsilon": _only((1e-8,), "ε is 1e-8"),
    # lengths and batches of TRL and others
    "max_seq_length": _same("max_length"), "max_seq_len": _same("max_length"), "sequence_len": _same("max_length"),
    "cutoff_len": _same("max_length"), "model_max_length": _same("max_length"), "sample_packing": _same("packing"),
    "max_prompt_length": _refused("write max_length: prompt and answer are measured together"),
    "completion_only_loss": _only((True,), "only answers are learnt"),
    "assistant_only_loss": _only((True,), "only answers are learnt"),
    "train_on_inputs": _only((False,), "only answers are learnt"),
    # PEFT
    "peft_type": _words("kind", _KINDS), "adapter": _words("kind", _KINDS), "adapter_type": _words("kind", _KINDS),
    "r": _same("rank"), "lora_r": _same("rank"), "lora_rank": _same("rank"), "num_virtual_tokens": _same("rank"),
    "lora_alpha": _option("alpha", "adapter_options"), "alpha": _option("alpha", "adapter_options"),
    "lora_dropout": _option("dropout", "adapter_options"), "dropout": _option("dropout", "adapter_options"),
    "target_modules": _option("targets", "adapter_options"),
    "lora_target_modules": _option("targets", "adapter_options"),
    "use_dora": _flag("kind", "dora"), "use_rslora": _flag("kind", "rslora"),
    "bias": _only(("none",), "an adapter changes matrices, not biases"),
    "task_type": _only(("CAUSAL_LM",), "bases are causal language models"),
    "init_lora_weights": _only((True,), "LoRA starts with B = 0; for a frozen A write kind = \"lora_fa\""),
    "modules_to_save": _only((None, []), "it changes the base itself, which experts share"),
    "feedforward_modules": _unneeded("IA³ scales what enters down_proj, as its paper does"),
    "prompt_tuning_init": _prompt_start,
    "prompt_tuning_init_text": _refused("virtual tokens start as words of the vocabulary here; leave it out"),
    # quantisation and bases
    "load_in_4bit": _flag("quantisation", "nf4"), "load_in_8bit": _flag("quantisation", "int8"),
    "bnb_4bit_quant_type": _quantised_type, "bnb_4bit_compute_dtype": _words("dtype", _DTYPES),
    "bnb_4bit_use_double_quant": _only((True,), "the scales of 4-bit weights are quantised, too"),
    "quantization": _words("quantisation", {"none": "none", "int4": "nf4", "nf4": "nf4", "4bit": "nf4", "int8": "int8",
                                            "8bit": "int8"}),
    "torch_dtype": _words("dtype", _DTYPES), "precision": _words("dtype", _DTYPES),
    "device_map": _words("device", {"auto": "auto", "cpu": "cpu", "cuda": "cuda"}),
    "base_model": _same("base"), "model": _same("base"), "model_name": _same("base"),
    "model_name_or_path": _same("base"), "pretrained_model_name_or_path": _same("base"),
    "trust_remote_code": _only((False,), "models that bring their own code are not loaded"),
    "gguf_file": _refused("the file itself is the base; write base = \"FILE.gguf\""),
    # data
    "dataset": _same("data"), "dataset_path": _same("data"), "train_file": _same("data"), "data_path": _same("data"),
    "validation_file": _same("validation"), "eval_file": _same("validation"), "validation_path": _same("validation"),
    "test_size": _same("validation_share"), "val_set_size": _same("validation_share"), "expert_name": _same("name"),
    "resume_from_expert": _same("after"), "init_adapter": _same("after"), "adapter_name_or_path": _same("after"),
    "resume_from_checkpoint": _unneeded("an interrupted training goes on from its checkpoint by itself"),
    "num_examples": _same("count"), "chat_template": _refused("it is the base's own; write style = \"chat\""),
    # methods
    "trainer": _words("method", _METHODS), "training_method": _words("method", _METHODS),
    "beta": _option("beta"), "kl_coef": _option("beta"), "kl_coeff": _option("beta"),
    "kl_coefficient": _option("beta"), "init_kl_coef": _option("beta"), "target_kl": _option("target"),
    "label_smoothing": _option("smoothing"), "temperature": _option("temperature"),
    "teacher": _option("teacher"), "teacher_model": _option("teacher"),
    "num_generations": _option("samples"), "max_completion_length": _option("longest"),
    "ewc_lambda": _option("strength"), "fisher_samples": _option("items"),
    "ref_model": _unneeded("the reference is the base without the adapter"),
    "loss_type": _only(("sigmoid", "nll"), "the losses are those of 'fairmoe llm methods'"),
    "use_unsloth": _unsloth,
}  # fmt: skip
"""Name elsewhere -> what becomes of it."""
BATCH, ACCUMULATION = "per_device_train_batch_size", "gradient_accumulation_steps"
ALIASES = {
    "micro_batch_size": BATCH, "per_device_batch_size": BATCH, "train_batch_size": BATCH,
    "grad_accumulation": ACCUMULATION, "accumulation_steps": ACCUMULATION,
}  # fmt: skip
UNNEEDED_BATCHES = ("per_device_eval_batch_size", "eval_batch_size", "eval_accumulation_steps")


def translated(values: Mapping[str, Any]) -> tuple[Values, list[str]]:
    """Settings in our names, and notes about those that make no difference; names that nobody knows stay.

    Raises
    ------
    ConfigError
        If a setting cannot be had, or two say the same thing differently.
    """
    own = {name: value for name, value in values.items() if name not in FOREIGN}
    own = {name: dict(value) if isinstance(value, Mapping) else value for name, value in own.items()}
    for name, words in (("method", _METHODS), ("kind", _KINDS)):
        if isinstance(own.get(name), str):
            own[name] = words.get(own[name].lower(), own[name])
    ours, notes = _batches(own)
    for name, value in values.items():
        if name in FOREIGN and (note := FOREIGN[name](name, value, ours)):
            notes.append(note)
    return ours, notes


def _batches(values: Mapping[str, Any]) -> tuple[Values, list[str]]:
    """Sizes of batches: a step elsewhere is batch size times accumulation; ``batch_size`` here is the whole step."""
    ours: Values = {}
    told: dict[str, Any] = {}
    for name, value in values.items():
        if name in UNNEEDED_BATCHES:
            continue
        if (found := ALIASES.get(name, name)) in (BATCH, ACCUMULATION):
            _put(told, found, _count(name, value), name)
        else:
            ours[name] = value
    notes = [f"{name} is not needed: answers are batched by the engine." for name in UNNEEDED_BATCHES if name in values]
    if told:
        parts = told.get(ACCUMULATION, 1)
        _put(ours, "accumulation", parts, ACCUMULATION)
        if BATCH in told:
            _put(ours, "batch_size", told[BATCH] * parts, f"{BATCH} · {ACCUMULATION}")
    return ours, notes


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} is a whole number from 1, not {str(value)[:80]!a}.")
    return value
