"""The same items through TRL's own preparation: the same tokens, and the same ones learnt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.data.encoding import encode
from llm_experts.data.example import Example, Message
from tests.llm_experts.conftest import make_tiny_base

pytestmark = pytest.mark.slow
TEMPLATE = (
    "{% for m in messages %}<bos>{{ m['role'] }}\n{{ m['content'] }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
)
TALK = (Message("system", "Be brief."), Message("user", "Is it?"), Message("assistant", "yes"), Message("user", "Now?"))
TEXTS = [
    ("The applicant's age is 23 years. Answer:", " yes"),
    ("Question: yes or no?\n", "no"),
    ("Answer:\n\n", "The savings are unknown."),
]
TALKS = [Example("a", TALK, "no"), Example("b", (Message("user", "Ça va?"),), "The savings\nare unknown.")]


def prepared(base: Base, lines: list[dict[str, Any]], folder: Path, length: int) -> Sequence[dict[str, Any]]:
    """What TRL's trainer would train on: tokens and labels, -100 where nothing is learnt."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(
        output_dir=str(folder), max_length=length, use_cpu=True, report_to=[], completion_only_loss=True, bf16=False
    )
    trainer = SFTTrainer(
        model=base.model, args=settings, train_dataset=Dataset.from_list(lines), processing_class=base.tokenizer
    )
    return list(trainer.train_dataset)


def compared(base: Base, example: Example, theirs: dict[str, Any], tail: str = "") -> None:
    """Tokens and learnt tokens agree, but for what a template writes behind the end of the turn (``tail``)."""
    mine = encode(example, base, max_length=512)
    ids, labels = list(theirs["input_ids"]), list(theirs["labels"])
    assert ids[: len(mine)] == list(mine.ids)
    assert [label != -100 for label in labels[: len(mine)]] == list(mine.learnt)
    assert base.tokenizer.decode(ids[len(mine) :]) == tail


@pytest.mark.filterwarnings("ignore")
def test_plain_prompts_agree_with_trl(tmp_path: Path) -> None:
    base = make_tiny_base()
    lines = [{"prompt": prompt, "completion": completion} for prompt, completion in TEXTS]
    for (prompt, completion), row in zip(TEXTS, prepared(base, lines, tmp_path, 512), strict=True):
        compared(base, Example("a", prompt, completion), row)


@pytest.mark.filterwarnings("ignore")
def test_conversations_agree_with_trl(tmp_path: Path) -> None:
    base = make_tiny_base()
    base.tokenizer.chat_template = TEMPLATE
    for example, row in zip(TALKS, prepared(base, conversations(), tmp_path, 512), strict=True):
        compared(base, example, row, tail="\n")


@pytest.mark.real_base
@pytest.mark.filterwarnings("ignore")
def test_the_real_bases_conversations_agree_with_trl(real_base_folder: Path, tmp_path: Path) -> None:
    """SmolLM2's template; its weights are not needed, so a tiny model stands under its tokenizer."""
    base = with_tokenizer(load_base(str(real_base_folder)).tokenizer)
    for example, row in zip(TALKS, prepared(base, conversations(), tmp_path, 512), strict=True):
        compared(base, example, row, tail="\n")


def conversations() -> list[dict[str, Any]]:
    return [
        {
            "prompt": [turn.as_mapping() for turn in example.prompt if isinstance(turn, Message)],
            "completion": [{"role": "assistant", "content": example.completion}],
        }
        for example in TALKS
    ]


def with_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Base:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Base("under a real tokenizer", Qwen3ForCausalLM(config).eval(), tokenizer, "0" * 64)
