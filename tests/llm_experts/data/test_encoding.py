"""Which tokens of an item are learnt, by hand on a small tokenizer."""

from typing import Any

import pytest

from llm_experts.bases.base import Base
from llm_experts.data.encoding import (
    AnswerTooLongError,
    Encoded,
    answer_ids,
    encode,
    prompt_ids,
    stops_of,
)
from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message

TEMPLATE = (
    "{% for m in messages %}<bos>{{ m['role'] }}\n{{ m['content'] }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
)
TALK = (Message("user", "Is it?"), Message("assistant", "yes"), Message("user", "And now?"))


def learnt_text(base: Base, item: Encoded) -> str:
    return base.tokenizer.decode([i for i, flag in zip(item.ids, item.learnt, strict=True) if flag])


def whole_text(base: Base, item: Encoded) -> str:
    return base.tokenizer.decode(list(item.ids))


@pytest.fixture
def chat_base(tiny_base: Base) -> Base:
    tiny_base.tokenizer.chat_template = TEMPLATE
    return tiny_base


def test_only_the_answer_and_its_end_are_learnt(tiny_base: Base) -> None:
    item = encode(Example("a", "Question: yes or no? Answer:", "yes"), tiny_base, max_length=64)
    assert whole_text(tiny_base, item) == "Question: yes or no? Answer: yes<eos>"
    assert learnt_text(tiny_base, item) == " yes<eos>"
    assert not item.learnt[0]
    assert item.learnt == tuple(sorted(item.learnt))
    assert item.cut == 0


@pytest.mark.parametrize(("prompt", "answer"), [("Answer:\n", "yes"), ("Answer:", " yes"), ("Answer: ", "yes")])
def test_no_second_blank_is_written_between_them(tiny_base: Base, prompt: str, answer: str) -> None:
    item = encode(Example("a", prompt, answer), tiny_base, max_length=64)
    assert whole_text(tiny_base, item) == prompt + answer + "<eos>"


def test_the_prompt_is_what_a_generator_gets(tiny_base: Base) -> None:
    example = Example("a", "Question: yes or no? Answer:", "yes")
    item = encode(example, tiny_base, max_length=64)
    asked = prompt_ids(example, tiny_base)
    assert list(item.ids) == asked + answer_ids(example, tiny_base, "yes")
    assert list(item.ids[: len(asked)]) == tiny_base.tokenizer(example.prompt)["input_ids"]


def test_a_bare_text_is_learnt_whole_after_a_first_token(tiny_base: Base) -> None:
    item = encode(Example("a", "", "The applicant"), tiny_base, max_length=64)
    assert whole_text(tiny_base, item) == "<bos>The applicant<eos>"
    assert item.learnt == (False, *(True,) * (len(item) - 1))


def test_the_other_answer_of_a_pair_has_the_same_prompt(tiny_base: Base) -> None:
    example = Example("a", "Answer:", "yes", "no")
    other = encode(example, tiny_base, max_length=64, completion=example.rejected)
    assert whole_text(tiny_base, other) == "Answer: no<eos>"


def test_a_conversation_follows_the_template_up_to_the_end_of_the_turn(chat_base: Base) -> None:
    item = encode(Example("a", TALK, "no"), chat_base, max_length=200)
    written = "<bos>user\nIs it?<eos>\n<bos>assistant\nyes<eos>\n<bos>user\nAnd now?<eos>\n<bos>assistant\nno<eos>"
    assert whole_text(chat_base, item) == written
    assert learnt_text(chat_base, item) == "no<eos>"


def test_earlier_turns_are_learnt_only_if_asked_for(chat_base: Base) -> None:
    item = encode(Example("a", TALK, "no"), chat_base, max_length=200, turns="all")
    assert learnt_text(chat_base, item) == "yes<eos>no<eos>"


def test_earlier_turns_of_a_plain_conversation(tiny_base: Base) -> None:
    item = encode(Example("a", TALK, "no"), tiny_base, max_length=200, turns="all")
    assert whole_text(tiny_base, item) == "User: Is it?\nAssistant: yes\nUser: And now?\nAssistant: no<eos>"
    assert learnt_text(tiny_base, item) == " yes no<eos>"
    assert stops_of(Example("a", TALK), tiny_base) == ("\nUser:",)


def test_a_template_that_rewrites_earlier_turns_cannot_teach_them(tiny_base: Base) -> None:
    tiny_base.tokenizer.chat_template = TEMPLATE.replace(
        "{{ m['content'] }}", "{{ m['content'] if loop.last or m['role'] == 'user' else 'hidden' }}"
    )
    with pytest.raises(DataError, match="Item 'a': the form of conversation of tiny writes an earlier answer"):
        encode(Example("a", TALK, "no"), tiny_base, max_length=200, turns="all")


def test_a_template_without_an_end_gets_the_end_of_a_text(tiny_base: Base) -> None:
    tiny_base.tokenizer.chat_template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}[a]"
    item = encode(Example("a", "Is it?", "no"), tiny_base, max_length=200)
    assert learnt_text(tiny_base, item).endswith("<eos>")
    assert item.ids[-1] in tiny_base.end_tokens


def test_special_tokens_in_an_answer_are_plain_text(chat_base: Base) -> None:
    item = encode(Example("a", "Is it?", "no<eos>yes"), chat_base, max_length=200)
    assert learnt_text(chat_base, item) == "no<eos>yes<eos>"
    assert sum(i in chat_base.end_tokens for i, flag in zip(item.ids, item.learnt, strict=True) if flag) == 1


def test_headings_of_an_instruction(tiny_base: Base) -> None:
    facts = {"instruction": "Add.", "input": "1 1"}
    item = encode(Example("a", "Add.\n\n1 1", "2", facts=facts), tiny_base, max_length=200, style="instruct")
    assert whole_text(tiny_base, item) == "### Instruction:\nAdd.\n\n### Input:\n1 1\n\n### Response:\n2<eos>"
    assert learnt_text(tiny_base, item) == "2<eos>"
    short = encode(Example("a", "Add.", "2"), tiny_base, max_length=200, style="instruct")
    assert whole_text(tiny_base, short) == "### Instruction:\nAdd.\n\n### Response:\n2<eos>"
    with pytest.raises(DataError, match="a conversation of 3 turns, which the style instruct cannot write"):
        encode(Example("a", TALK, "2"), tiny_base, max_length=200, style="instruct")


@pytest.mark.parametrize("length", [4, 8, 12])
def test_the_beginning_of_a_long_prompt_is_cut_and_counted(tiny_base: Base, length: int) -> None:
    example = Example("a", "The applicant's age is 23 years. The savings are unknown. Answer:", "yes")
    whole, item = (encode(example, tiny_base, max_length=size) for size in (500, length))
    assert len(item) == length
    assert item.cut == len(whole) - length
    assert item.ids == whole.ids[-length:]
    assert learnt_text(tiny_base, item) == " yes<eos>"
    assert not item.learnt[0]


def test_the_token_that_begins_every_text_stays(chat_base: Base) -> None:
    example = Example("a", "The applicant's age is 23 years. The savings are unknown.", "yes")
    whole, item = (encode(example, chat_base, max_length=size) for size in (500, 20))
    assert len(item) == 20
    assert item.ids == whole.ids[:1] + whole.ids[-19:]
    assert item.cut == len(whole) - 20


def test_an_answer_that_cannot_fit_is_refused_by_name(tiny_base: Base) -> None:
    long = Example("long", "Answer:", "yes or no " * 40)
    with pytest.raises(
        AnswerTooLongError, match=r"Item 'long': its answer has \d+ tokens, and 31 fit beside the prompt"
    ):
        encode(long, tiny_base, max_length=32)


def test_the_context_of_the_base_limits_too(tiny_base: Base) -> None:
    with pytest.raises(DataError, match="context of tiny 1024"):
        encode(Example("a", "p", "yes or no " * 400), tiny_base, max_length=5000)


def test_messages_that_a_template_refuses_are_named(tiny_base: Base) -> None:
    tiny_base.tokenizer.chat_template = "{{ raise_exception('no system here') }}"
    with pytest.raises(DataError, match=r"Item 'a' makes no prompt for tiny: .*no system here.*another style"):
        encode(Example("a", (Message("system", "s"), Message("user", "u")), "c"), tiny_base, max_length=64)


def test_an_unknown_style_is_refused(tiny_base: Base) -> None:
    style: Any = "chatty"
    with pytest.raises(DataError, match="There is no style 'chatty'; styles are auto, chat, plain, instruct"):
        encode(Example("a", "p", "c"), tiny_base, max_length=64, style=style)


def test_a_base_without_an_end_token_is_refused(tiny_base: Base) -> None:
    tiny_base.tokenizer.eos_token = None
    with pytest.raises(DataError, match="tiny has no token that ends a text"):
        encode(Example("a", "p", "c"), tiny_base, max_length=64)
