"""Files of items: every format, and every fault with its line and remedy."""

import gzip
import json
from pathlib import Path

import pytest

from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.data.reading import Need, read_examples, write_examples

GOOD = '{"prompt": "1 + 1 =", "completion": "2"}'


def written(folder: Path, *lines: str, name: str = "d.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


FORMATS: list[tuple[str, Need, Example]] = [
    ('{"prompt": "p", "completion": "c", "id": 7}', "completion", Example("7", "p", "c")),
    (
        '{"prompt": [{"role": "user", "content": "p"}], "completion": [{"role": "assistant", "content": "c"}]}',
        "completion",
        Example("line-1", (Message("user", "p"),), "c"),
    ),
    ('{"instruction": "add", "input": "", "output": "c"}', "completion", Example("line-1", "add", "c")),
    (
        '{"instruction": "add", "input": "1 1", "output": "c"}',
        "completion",
        Example("line-1", "add\n\n1 1", "c", facts={"instruction": "add", "input": "1 1"}),
    ),
    (
        '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, '
        '{"role": "assistant", "content": "a"}]}',
        "completion",
        Example("line-1", (Message("system", "s"), Message("user", "u")), "a"),
    ),
    ('{"prompt": "p", "chosen": "c", "rejected": "r"}', "pair", Example("line-1", "p", "c", "r")),
    ('{"prompt": "p", "chosen": "c", "rejected": "r"}', "completion", Example("line-1", "p", "c")),
    ('{"prompt": "p"}', "prompt", Example("line-1", "p")),
    ('{"prompt": "p", "facts": {"n": 2}}', "prompt", Example("line-1", "p", facts={"n": 2})),
    ('{"messages": [{"role": "user", "content": "u"}]}', "prompt", Example("line-1", (Message("user", "u"),))),
    ('{"text": "once"}', "text", Example("line-1", "", "once")),
    ('{"text": "once"}', "prompt", Example("line-1", "once")),
    (
        '{"prompt": "p", "completion": "no", "labels": ["yes", "no"]}',
        "completion",
        Example("line-1", "p", "no", facts={"labels": ["yes", "no"]}),
    ),
]


@pytest.mark.parametrize(("line", "need", "example"), FORMATS)
def test_a_format_is_told_by_its_keys(tmp_path: Path, line: str, need: Need, example: Example) -> None:
    assert read_examples(written(tmp_path, line), need=need) == [example]


FAULTS: list[tuple[str, Need, str, str]] = [
    ("{oops}", "completion", "column 2 is not valid JSON", "Write one JSON object per line"),
    ('{"prompt": "p", "completion": "c"', "completion", "column 34 is not valid JSON", "one JSON object per line"),
    ("[", "completion", "column 2 is not valid JSON", "looks like one JSON list"),
    ('["a"]', "completion", "the line is a list, not an object", "without the brackets"),
    ('"a"', "completion", "the line is a text, not an object", "one JSON object per line"),
    ("3", "completion", "the line is a number, not an object", "one JSON object per line"),
    ('{"question": "q"}', "completion", "the keys of the line ('question') are those of no format", '"completion"'),
    ('{"prompt": "p"}', "completion", "the field 'completion' is missing (the line has 'prompt')", "Add completion"),
    ('{"prompt": "p", "completion": 3}', "completion", "completion is a number, not a text", "quotation marks"),
    ('{"prompt": null, "completion": "c"}', "completion", "prompt is null, not a text", "quotation marks"),
    ('{"prompt": "p", "completion": " "}', "completion", "completion is empty, and an answer is needed", "leave"),
    ('{"prompt": "", "completion": "c"}', "completion", "prompt is empty", "Say what is asked"),
    ('{"prompt": "p", "completion": "c"}', "pair", "a pair of answers is needed", '"rejected": "3"'),
    ('{"prompt": "p", "chosen": "c"}', "pair", "the field 'rejected' is missing", "Add rejected"),
    ('{"prompt": "p", "chosen": "c", "rejected": "c"}', "pair", "chosen and rejected are the same text", "Leave"),
    ('{"text": "t"}', "completion", "a prompt and an answer are needed", '"completion": "2"'),
    ('{"prompt": "a\\u0000", "completion": "c"}', "completion", "prompt holds a NUL character", "Take it out"),
    ('{"prompt": "a\\ud800", "completion": "c"}', "completion", "half of a character ('\\ud800'", "UTF-8"),
    ('{"prompt": "p", "completion": "c", "facts": {"x": NaN}}', "completion", "NaN is not a JSON number", "finite"),
    ('{"prompt": "p", "completion": "c", "facts": {"x": 1e400}}', "completion", "1e400 is not a JSON number", "finite"),
    ('{"prompt": "p", "prompt": "q", "completion": "c"}', "completion", "'prompt' stands there twice", "Keep one"),
    ('{"prompt": "p", "completion": "c", "facts": {"x": {"y": 1, "y": 2}}}', "completion", "'y' stands", "Keep one"),
    ('{"prompt": "p", "completion": "c", "facts": []}', "completion", "facts is a list, not an object", "leave it"),
    ('{"prompt": "p", "completion": "c", "id": true}', "completion", "id is neither a text nor", "leave it out"),
    ('{"prompt": "p", "completion": "c", "id": [1]}', "completion", "id is neither a text nor", "leave it out"),
    (
        '{"prompt": "p", "completion": "maybe", "labels": ["yes", "no"]}',
        "completion",
        "the answer 'maybe' is none of the labels 'yes', 'no'",
        "add it to labels",
    ),
    ('{"prompt": "p", "completion": "c", "labels": "yes"}', "completion", "labels is not a list of texts", "yes"),
    ('{"messages": []}', "completion", "messages is an empty list", '{"role": "user"'),
    ('{"messages": [3]}', "completion", "message 1 of messages is a number", '{"role": "user"'),
    ('{"messages": [{"role": "bot", "content": "x"}]}', "completion", "has the role 'bot'", "system, user, assistant"),
    ('{"messages": [{"role": "user", "content": 3}]}', "completion", "has a number as content", "Write its text"),
    ('{"messages": [{"role": "user", "content": "u"}]}', "completion", "no last turn of the assistant", "End"),
    (
        '{"messages": [{"role": "user", "content": "u"}, {"role": "user", "content": "v"}, '
        '{"role": "assistant", "content": "a"}]}',
        "completion",
        "message 2 has the role user, where assistant is expected",
        "user and assistant in turn",
    ),
    (
        '{"messages": [{"role": "assistant", "content": "u"}, {"role": "assistant", "content": "a"}]}',
        "completion",
        "message 1 has the role assistant, where user is expected",
        "system message first",
    ),
    ('{"messages": [{"role": "assistant", "content": "a"}]}', "completion", "does not end with a message", "End it"),
    (
        '{"prompt": "p", "completion": [{"role": "user", "content": "x"}]}',
        "completion",
        "completion is a conversation of its own",
        "one turn of the assistant",
    ),
    ("[" * 100_000, "completion", "the JSON cannot be read", "plain object"),
]


@pytest.mark.parametrize(("line", "need", "what", "remedy"), FAULTS)
def test_a_fault_names_file_line_and_remedy(tmp_path: Path, line: str, need: Need, what: str, remedy: str) -> None:
    path = written(tmp_path, "", "", line)
    with pytest.raises(DataError) as refused:
        read_examples(path, need=need)
    text = str(refused.value)
    assert text.startswith(f"{path}, line 3: ")
    assert what in text
    assert remedy in text


def test_the_first_fault_is_told_after_good_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: the field 'completion' is missing"):
        read_examples(written(tmp_path, GOOD, "", '{"prompt": "p"}', "{oops}"), need="completion")


def test_lines_of_two_formats_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD, '{"text": "t"}')
    with pytest.raises(DataError, match=r"line 2: this line is a bare text \(text\), and line 1 is a prompt with"):
        read_examples(path, need="completion")


def test_an_id_that_is_there_already_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, *('{"id": "a", "prompt": "p", "completion": "c"}' for _ in range(2)))
    with pytest.raises(DataError, match="line 2: the id 'a' is that of line 1 already"):
        read_examples(path, need="completion")


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="holds no item: it is empty or has only empty lines"):
        read_examples(path, need="completion")


def test_a_byte_order_mark_and_carriage_returns_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n" + GOOD.encode())
    assert [example.id for example in read_examples(path, need="completion")] == ["line-1", "line-3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.encode("utf-16"), "line 1: the file is in UTF-16. Save it as UTF-8"),
        (b'{"prompt": "caf\xe9"}', "line 1: byte 16 is not UTF-8"),
        (b'{"prompt": "' + b"a" * (16 << 20), "line 1: the line is longer than 16 MiB"),
    ],
)
def test_bytes_that_are_no_text_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_examples(path, need="completion")


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_examples(tmp_path / "d.jsonl", need="completion")
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(tmp_path, need="completion")


def test_a_gzipped_file_is_read_and_a_torn_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl.gz"
    whole = gzip.compress((GOOD + "\n").encode() * 500)
    path.write_bytes(whole)
    assert len(read_examples(path, need="completion")) == 500
    path.write_bytes(whole[:-12])
    with pytest.raises(DataError, match="is not a whole gzip file"):
        read_examples(path, need="completion")
    path.write_bytes(GOOD.encode())
    with pytest.raises(DataError, match="is not a whole gzip file"):
        read_examples(path, need="completion")


@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    examples = [
        Example("a", "é\u2028\n", "c", facts={"n": [1, None]}),
        Example("b", (Message("system", "s"), Message("user", "u")), "c"),
    ]
    path = tmp_path / name
    write_examples(path, examples)
    first = path.read_bytes()
    assert read_examples(path, need="completion") == examples
    write_examples(path, examples)
    assert path.read_bytes() == first
    pairs = [Example("a", "p", "c", "r")]
    write_examples(path, pairs)
    assert read_examples(path, need="pair") == pairs
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_every_line_is_one_object_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    write_examples(path, [Example("a", "p", "c")])
    assert json.loads(path.read_text()) == {"id": "a", "prompt": "p", "completion": "c"}


def test_a_small_packed_file_of_nothing_but_line_ends_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl.gz"
    with gzip.open(path, "wb") as out:
        out.write(b"\n" * 1_000_001)
    with pytest.raises(DataError, match=r"line 1000001: the file has more than 1,000,000 empty lines\. Take them out"):
        read_examples(path, need="completion")
