"""Configurations of experts: our names, those of other trainers, and what cannot be had."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.making.config import Config
from benchmarks.making.error import ConfigError
from benchmarks.making.foreign import FOREIGN
from benchmarks.making.reading import asked, config_files, read_values


def written(folder: Path, values: dict[str, Any], name: str = "expert.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(values))
    return path


def read(folder: Path, **values: Any) -> Config:
    return asked(written(folder, {"data": "d.jsonl", **values}), {}).config


def test_a_table_in_our_own_names(tmp_path: Path) -> None:
    path = tmp_path / "json-parser.toml"
    path.write_text('data = "d.jsonl"\nkind = "svf"\nlr = 2e-3\nepochs = 2\n[options]\nbeta = 0.2\n')
    found = asked(path, {"epochs": 5, "options": {"samples": 4}, "lr": None})
    config = found.config
    assert (config.name, config.kind, config.lr, config.epochs) == ("json-parser", "svf", 2e-3, 5)
    assert config.data == tmp_path / "d.jsonl" and config.options == {"beta": 0.2, "samples": 4} and not found.notes
    assert config.given == {"lr": 2e-3, "epochs": 5}


def test_the_training_guide_s_own_configuration(tmp_path: Path) -> None:
    """Steps 3 and 4 of spec 001 as they stand, with the names of today's Transformers or of the guide's."""
    path = written(
        tmp_path,
        {
            "model_name_or_path": "Qwen/Qwen2.5-0.5B", "load_in_4bit": True, "torch_dtype": "torch.float32",
            "dataset": "datasets/json_5k.jsonl", "test_size": 0.1,
            "lora_config": {
                "r": 16, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.05,
                "bias": "none", "task_type": "CAUSAL_LM",
            },
            "training_args": {
                "num_train_epochs": 3, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4,
                "learning_rate": 2e-4, "lr_scheduler_type": "cosine", "warmup_steps": 100,
                "optim": "paged_adamw_8bit", "weight_decay": 0.01, "max_grad_norm": 1.0, "eval_steps": 100,
                "evaluation_strategy": "steps", "save_steps": 500, "logging_dir": "./logs", "report_to": "wandb",
            },
        },
    )  # fmt: skip
    found = asked(path, {})
    config = found.config
    assert (config.base, config.quantisation, config.dtype) == ("Qwen/Qwen2.5-0.5B", "nf4", "float32")
    assert (config.batch_size, config.accumulation) == (16, 4), "a step is batch size times accumulation"
    assert (config.rank, config.adapter_options["alpha"], config.adapter_options["dropout"]) == (16, 16, 0.05)
    assert config.adapter_options["targets"] == ["q_proj", "v_proj"]
    assert (config.epochs, config.lr, config.schedule, config.warm_up_steps) == (3, 2e-4, "cosine", 100)
    assert (config.optimiser, config.weight_decay, config.clip) == ("paged_adamw_8bit", 0.01, 1.0)
    assert (config.evaluate_every, config.validation_share) == (100, 0.1)
    assert [note.split()[1] for note in found.notes] == ["save_steps", "logging_dir", "report_to"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"warmup_ratio": 0.1}, {"warm_up": 0.1}),
        ({"warmup_steps": 0.1}, {"warm_up": 0.1}),
        ({"max_steps": -1}, {"steps": None}),
        ({"max_steps": 40}, {"steps": 40}),
        ({"bf16": True, "fp16": False}, {"dtype": "bfloat16"}),
        ({"use_dora": True}, {"kind": "dora"}),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 8}, {"kind": "soft_prompt", "rank": 8}),
        ({"adapter": "LoRA-FA"}, {"kind": "lora_fa"}),
        ({"kind": "IA3"}, {"kind": "ia3"}),
        ({"method": "distillation"}, {"method": "distil"}),
        ({"kl_coefficient": 0.2, "method": "rl"}, {"options": {"beta": 0.2}, "method": "rl"}),
        ({"sequence_len": 256, "sample_packing": True}, {"max_length": 256, "packing": True}),
        ({"micro_batch_size": 2}, {"batch_size": 2, "accumulation": 1}),
        ({"load_in_8bit": True}, {"quantisation": "int8"}),
        ({"prompt_tuning_init": "RANDOM"}, {"adapter_options": {"start": "random"}}),
    ],
)  # fmt: skip
def test_names_of_other_trainers(tmp_path: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    config = read(tmp_path, **theirs)
    assert {name: getattr(config, name) for name in ours} == ours


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rte": 1e-4}, "no setting 'learning_rte'. Did you mean 'learning_rate'?"),
        ({"epoch": 1}, "Did you mean 'epochs'?"),
        ({"lr": -1.0}, "lr: Input should be greater than 0 (given: '-1.0')"),
        ({"lr": 1e-4, "learning_rate": 2e-4}, "say the same thing differently"),
        ({"fp16": True, "bf16": True}, "say the same thing differently"),
        ({"fp16": "yes"}, "fp16 is true or false"),
        ({"optim": "adafactor"}, "optim = 'adafactor' has no counterpart: optimiser knows adamw"),
        ({"max_prompt_length": 256}, "write max_length"),
        ({"load_best_model_at_end": False}, "the best checkpoint is what is kept"),
        ({"trust_remote_code": True}, "models that bring their own code are not loaded"),
        ({"init_lora_weights": "frozen"}, 'write kind = "lora_fa"'),
        ({"evaluation_strategy": "no"}, "an expert is chosen on validation items"),
        ({"bnb_4bit_quant_type": "fp4"}, "4 bits are kept as nf4 here"),
        ({"per_device_train_batch_size": 0}, "a whole number from 1"),
        ({"family": "arithmetic"}, "exactly one of data (a file of JSON lines) and family; both are given"),
        ({"warm_up": 0.1, "warm_up_steps": 5}, "keep one"),
        ({"name": "a/b"}, "letters, digits"),
        ({"options": 3, "beta": 0.1}, "options must be a table"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_says_what_to_write(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as told:
        read(tmp_path, **values)
    assert words in str(told.value) and "expert.json" in str(told.value)


@pytest.mark.skipif(importlib.util.find_spec("unsloth") is not None, reason="unsloth is installed here")
def test_unsloth_is_refused_with_what_it_would_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unsloth is not installed\. It replaces kernels .* Leave use_unsloth out"):
        read(tmp_path, use_unsloth=True)
    assert not read(tmp_path, use_unsloth=False).use_unsloth


def test_no_name_of_others_is_also_one_of_ours() -> None:
    assert set(FOREIGN) & set(Config.model_fields) == {"use_unsloth"}


def test_files_that_hold_no_configuration_are_named(tmp_path: Path) -> None:
    for name, text, words in (
        ("a.json", "{", "is no valid JSON"), ("b.toml", "x = ", "is no valid TOML"), ("c.json", "[1]", "holds a list"),
        ("d.yaml", "x: 1", "must end in .toml or .json"),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=words):
            read_values(tmp_path / name)
    with pytest.raises(ConfigError, match="There is no file"):
        read_values(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="There is no folder"):
        config_files(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"holds no \.toml or \.json"):
        config_files(tmp_path / "empty")


def test_several_seeds_are_several_experts() -> None:
    one, two = Config(family="arithmetic", seeds=(0, 3)).each()
    assert (one.name, one.seed, two.name, two.seed) == ("arithmetic-sft-lora-s0", 0, "arithmetic-sft-lora-s3", 3)
    assert [c.name for c in Config(data=Path("my d.jsonl"), kind="svf").each()] == ["my-d-sft-svf"]


def test_a_command_s_source_replaces_that_of_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, {"data": "d.jsonl", "validation": "v.jsonl", "lr": 1e-3})
    config = asked(path, {"family": "arithmetic"}).config
    assert (config.family, config.data, config.validation, config.lr) == ("arithmetic", None, None, 1e-3)
