"""Prompts of rows in the chat template of a real base: tokens that its own library gives for the whole text."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from llm_experts.prompts.asking import Asking
from llm_experts.prompts.prompts import Prompts
from tests.llm_experts.prompts.test_asking import SHOTS
from tests.llm_experts.prompts.test_prompts import ROWS, SCM, tokens_of

pytestmark = pytest.mark.real_base


@pytest.mark.parametrize("template", ["sentence", "record"])
@pytest.mark.parametrize("chat", [True, False])
def test_packed_prompts_are_the_tokens_of_the_whole_text(real_base_folder: Path, template: str, chat: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real_base_folder)
    asked = Prompts(tokenizer, SCM.card.text, template, context=8192, asking=Asking(chat, SHOTS))
    packed = asked.pack(SCM, ROWS)
    for order in (0, 1):
        for place, text in enumerate(asked.text_of(SCM, ROWS, order=order)):
            assert tokens_of(packed, place, order).tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
            assert text.endswith("<|im_start|>assistant\n" if chat else "Answer:")
    words = ("no", "yes") if chat else (" no", " yes")
    assert tuple(tokenizer.decode([answer]) for answer in asked.answer_ids) == words
