"""An ordinary client of OpenAI's, against the real server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from llm_experts.runtime.sampling import Sampling
from serving.engine import ExpertEngine
from tests.serving.http.serving_fixtures import KEY, Running, tiny_base

PROMPT = "The applicant"
CHAT: Any = [{"role": "user", "content": "Is the applicant good?"}]


@pytest.fixture
def client(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as made:
        yield made


def test_models_are_the_base_auto_and_every_expert(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["base", "auto", "art", "law", "line", "med"]
    assert client.models.retrieve("law").id == "law"
    assert client.models.retrieve(tiny_base().id).id == "base"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("model", ["base", "auto", "law", "med", "art", "law=0.5,med=0.5", "law,art"])
def test_a_completion_is_what_the_engine_says(client: OpenAI, engine: ExpertEngine, model: str) -> None:
    found = client.completions.create(model=model, prompt=PROMPT, max_tokens=6, temperature=0)
    experts = {"base": None, "auto": "auto", "law=0.5,med=0.5": {"law": 0.5, "med": 0.5}, "law,art": ["law", "art"]}
    wanted = engine.infer(PROMPT, experts=experts.get(model, {model: 1.0}), sampling=Sampling(max_new_tokens=6))  # type: ignore[arg-type]
    assert found.choices[0].text == wanted.text
    assert found.choices[0].finish_reason == wanted.finish == "length"
    assert found.usage is not None
    assert found.usage.completion_tokens == 6
    assert found.usage.prompt_tokens == wanted.usage.prompt_tokens > 0
    told = found.model_extra["fairmoe"] if found.model_extra else {}
    assert {each["name"]: each["weight"] for each in told["experts"]} == dict(wanted.experts)
    assert told["latency"]["total"] >= told["latency"]["decode"] > 0


def test_experts_differ(client: OpenAI) -> None:
    texts = {
        client.completions.create(model=model, prompt=PROMPT, max_tokens=6, temperature=0).choices[0].text
        for model in ("base", "law", "med", "art")
    }
    assert len(texts) == 4


def test_the_field_experts_counts_more_than_the_model(client: OpenAI) -> None:
    by_name = client.completions.create(model="law", prompt=PROMPT, max_tokens=6, temperature=0)
    fields = ({"law": 1.0}, ["law"])
    for experts in fields:
        by_field = client.completions.create(
            model="auto", prompt=PROMPT, max_tokens=6, temperature=0, extra_body={"experts": experts}
        )
        assert by_field.choices[0].text == by_name.choices[0].text


def test_a_stream_of_a_chat_is_the_whole_answer_in_pieces(client: OpenAI) -> None:
    asked: Any = {"model": "law", "messages": CHAT, "max_tokens": 8, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len(chunks) > 4


def test_a_stream_of_a_completion_is_the_whole_answer_in_pieces(client: OpenAI) -> None:
    asked: Any = {"model": "med", "prompt": PROMPT, "max_tokens": 8, "temperature": 0, "logprobs": 1}
    whole = client.completions.create(**asked).choices[0]
    choices = [chunk.choices[0] for chunk in client.completions.create(**asked, stream=True)]
    assert "".join(choice.text for choice in choices) == whole.text
    assert choices[-1].finish_reason == whole.finish_reason
    assert whole.logprobs is not None
    parts = [choice.logprobs for choice in choices if choice.logprobs]
    assert [token for part in parts for token in part.tokens or ()] == whole.logprobs.tokens
    assert [offset for part in parts for offset in part.text_offset or ()] == whole.logprobs.text_offset


def test_log_probabilities_of_a_chat(client: OpenAI) -> None:
    found = client.chat.completions.create(
        model="base", messages=CHAT, max_tokens=4, temperature=0, logprobs=True, top_logprobs=3
    )
    assert found.choices[0].logprobs is not None
    tokens = found.choices[0].logprobs.content or []
    assert len(tokens) == 4
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob == token.top_logprobs[0].logprob < 0  # greedy: the chosen one is the likeliest
        assert [one.logprob for one in token.top_logprobs] == sorted(
            (one.logprob for one in token.top_logprobs), reverse=True
        )
    without = client.chat.completions.create(model="base", messages=CHAT, max_tokens=4, temperature=0)
    assert without.choices[0].logprobs is None


@pytest.mark.parametrize("form", [str, list], ids=["text", "list"])
def test_stop_strings_end_an_answer_and_are_not_part_of_it(client: OpenAI, form: type) -> None:
    whole = client.completions.create(model="law", prompt=PROMPT, max_tokens=8, temperature=0).choices[0].text
    stop = whole[5:9]
    found = client.completions.create(
        model="law", prompt=PROMPT, max_tokens=8, temperature=0, stop=stop if form is str else [stop, "never said"]
    ).choices[0]
    assert found.text == whole[: whole.index(stop)]
    assert found.finish_reason == "stop"


def test_a_seed_repeats_an_answer_and_several_answers_differ(client: OpenAI) -> None:
    asked: Any = {"model": "base", "messages": CHAT, "max_tokens": 12, "temperature": 1.5, "seed": 7, "n": 3}
    first, second = (client.chat.completions.create(**asked) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert len(set(texts)) == 3
    assert first.usage is not None
    assert first.usage.completion_tokens == 36
    one = client.chat.completions.create(**{**asked, "n": 1})
    assert one.choices[0].message.content == texts[0]
    assert one.usage is not None
    assert one.usage.prompt_tokens == first.usage.prompt_tokens


def test_several_prompts_are_answered_in_their_order(client: OpenAI) -> None:
    prompts = ["The savings", "Question", PROMPT]
    together = client.completions.create(model="law", prompt=prompts, max_tokens=4, temperature=0)
    alone = [client.completions.create(model="law", prompt=one, max_tokens=4, temperature=0) for one in prompts]
    assert [choice.text for choice in together.choices] == [one.choices[0].text for one in alone]
    assert together.usage is not None
    assert together.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone if one.usage)
    streamed = ["", "", ""]
    for chunk in client.completions.create(model="law", prompt=prompts, max_tokens=4, temperature=0, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == [choice.text for choice in together.choices]


def test_parts_of_a_message_are_one_text(client: OpenAI) -> None:
    parts: Any = [
        {"role": "user", "content": [{"type": "text", "text": "Is the "}, {"type": "text", "text": "applicant good?"}]}
    ]
    asked: Any = {"model": "law", "max_tokens": 4, "temperature": 0}
    first, second = (client.chat.completions.create(messages=each, **asked) for each in (CHAT, parts))
    assert first.choices[0].message.content == second.choices[0].message.content


def test_a_wrong_key_is_an_authentication_error(server: Running) -> None:
    with (
        OpenAI(base_url=server.url, api_key="wrong", max_retries=0) as wrong,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key") as caught,
    ):
        wrong.models.list()
    assert caught.value.code == "invalid_api_key"
    assert "wrong" not in str(caught.value)


def test_a_prompt_that_is_too_long_names_the_limit(client: OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="200") as caught:
            client.completions.create(model="base", prompt="The applicant's age. " * 200, max_tokens=4, stream=stream)
        assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "nobody"}, "nobody"),
        ({"model": "law=0.5,nobody=0.5"}, "nobody"),
        ({"model": "line"}, "line"),
        ({"model": "law=much"}, "no finite number"),
        ({"model": "law,law"}, "once"),
        ({"model": "law", "messages": []}, "messages"),
        ({"model": "law", "messages": [{"role": "boss", "content": "Go"}]}, r"messages\[0\].role"),
        ({"model": "law", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         r"messages\[0\].content"),
        ({"temperature": 9}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "one of both"),
        ({"max_tokens": 100_000}, "at most 150 tokens"),
        ({"n": 50}, "at most 3"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"top_logprobs": 2}, "logprobs = true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream = true"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported"),
        ({"logit_bias": {"5": 100}}, "logit_bias is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_body": {"mystery": 1}}, "Unrecognized request argument supplied: mystery"),
        ({"extra_body": {"priority": 5}}, "highest that this server takes is 0"),
        ({"extra_body": {"experts": {"law": "x"}}}, "experts"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "surrogate"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_a_bad_request_with_its_reason(
    server: Running, fields: dict[str, Any], words: str
) -> None:
    asked = {"model": "law", "messages": CHAT, "max_completion_tokens": 4, **fields}
    if "max_tokens" in fields and "max_completion_tokens" not in fields:
        del asked["max_completion_tokens"]
    extra = asked.pop("extra_body", {})
    status, told, _ = server.ask("POST", "/v1/chat/completions", {**asked, **extra}, Authorization=f"Bearer {KEY}")
    assert status == (404 if words == "nobody" else 400), told
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert told["error"]["type"] == "invalid_request_error"
    assert re.search(words, told["error"]["message"]), told


def test_fields_that_change_nothing_are_taken(client: OpenAI) -> None:
    client.chat.completions.create(
        model="law", messages=CHAT, max_tokens=2, user="me", metadata={"a": "b"}, service_tier="auto", n=1, tools=[],
        response_format={"type": "text"}, tool_choice="none", frequency_penalty=0.1, presence_penalty=0.1,
        extra_body={"top_k": 5, "repetition_penalty": 1.1, "priority": -3},
    )  # fmt: skip


def test_a_client_that_stops_reading_frees_its_place(client: OpenAI, engine: ExpertEngine) -> None:
    before = engine.stats().refused.get("cancelled", 0)
    stream = client.chat.completions.create(model="law", messages=CHAT, max_tokens=150, temperature=0, stream=True)
    next(iter(stream))
    stream.close()
    for _ in range(500):
        if engine.stats().refused.get("cancelled", 0) > before:
            break
        time.sleep(0.01)
    assert engine.stats().refused.get("cancelled", 0) == before + 1
    assert client.chat.completions.create(model="law", messages=CHAT, max_tokens=2).choices


def test_feedback_is_about_routed_answers(server: Running, client: OpenAI) -> None:
    found = client.chat.completions.create(model="auto", messages=CHAT, max_tokens=2)
    status, told, _ = server.ask("POST", "/feedback", {"id": found.id, "won": True}, Authorization=f"Bearer {KEY}")
    assert status == 400
    assert "routed" in told["error"]["message"]
