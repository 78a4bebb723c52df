"""``fairmoe chat`` and ``fairmoe infer`` on a tiny base with two adapters and a model of rows."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from benchmarks.asking.results import Results
from benchmarks.asking.session import cut, experts_named, printable, shown
from benchmarks.cli import app
from benchmarks.models import load_expert
from llm_experts.runtime.sampling import Sampling
from serving.answer import Answer, Usage
from serving.error import ServingError
from tests.benchmarks.models.engine_fixtures import Shop

ROOT = Path(__file__).parents[4]


def fairmoe(*words: object, typed: str = "") -> Result:
    found = CliRunner().invoke(app, [str(word) for word in words], input=typed, env={"COLUMNS": "80"})
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def chat(shop: Shop, *words: object, typed: str = "") -> Result:
    return fairmoe("chat", "--base", shop.base, "--max-tokens", 6, *words, typed=typed)


def infer(shop: Shop, *words: object) -> Result:
    return fairmoe("infer", "--base", shop.base, "--max-tokens", 4, *words)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_one_shot_prints_the_answer_alone_and_debug_says_why_elsewhere(shop: Shop) -> None:
    shop.install()
    plain = chat(shop, "--prompt", "Read this contract.")
    told = chat(shop, "--prompt", "Read this contract.", "--debug")
    assert plain.stdout == told.stdout
    assert plain.stderr.splitlines() == [
        *(f"NOT TRUSTED: {name} 1.0.0 is unsigned." for name in ("law", "med")),
        "(cut after 6 tokens: --max-tokens)",
    ]  # fmt: skip
    assert "experts  law" in told.stderr
    assert "posterior" in told.stderr
    assert "6 out" in told.stderr
    assert not any(mark in plain.stdout for mark in ("<eos>", "<bos>", "<pad>", "Assistant:"))
    base = chat(shop, "--prompt", "Read this contract.", "--experts", "base")
    assert base.stderr == "(cut after 6 tokens: --max-tokens)\n"
    assert base.stdout != plain.stdout


@pytest.mark.parametrize(
    ("experts", "left_open", "why"),
    [
        ((("moods", 1.0),), {"max_new_tokens"}, "its package's limit, or the base's context; --max-tokens"),
        ((("moods", 1.0),), {"stop"}, "the base's context is full"),
        ((), {"max_new_tokens"}, "the base's context is full"),
    ],
)
def test_an_answer_that_a_package_cuts_is_not_put_down_to_the_context(
    experts: tuple[tuple[str, float], ...], left_open: set[str], why: str
) -> None:
    """A package of an expert with short answers says how long they may be, where nobody asked for more."""
    answer = Answer("1", "No, the phone", None, experts, "", finish="length", usage=Usage(20, 4))
    assert cut(answer, Sampling(max_new_tokens=512), left_open) == f"(cut after 4 tokens: {why})"


def test_a_saved_router_chooses_for_chat_and_infer(shop: Shop, tmp_path: Path) -> None:
    shop.install("law", "med")
    words = {"law": "gavel", "med": "banana", "base": "pebble"}
    labelled = [
        {"text": f"{word} {n}", "experts": [name] * (name != "base")} for n in range(4) for name, word in words.items()
    ]
    (tmp_path / "labelled.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in labelled), encoding="utf-8")
    fairmoe("route", "--fit", tmp_path / "labelled.jsonl", "--output", tmp_path / "router")
    told = chat(shop, "--prompt", "A gavel.", "--debug", "--router", tmp_path / "router")
    assert "law" in told.stderr
    assert "calibrated" in told.stderr
    assert "nothing speaks for an expert" in chat(shop, "--prompt", "A gavel.", "--debug").stderr
    (tmp_path / "p.jsonl").write_text('{"prompt": "One banana."}\n', encoding="utf-8")
    infer(shop, tmp_path / "p.jsonl", "--router", tmp_path / "router", "--output", tmp_path / "a.jsonl")
    assert list(lines(tmp_path / "a.jsonl")[0]["experts"]) == ["med"]  # type: ignore[call-overload]


def test_the_prompt_may_come_from_the_standard_input(shop: Shop) -> None:
    assert chat(shop, "--prompt", "-", typed="Hello\n").stdout == chat(shop, "--prompt", "Hello").stdout


def test_a_piped_conversation(shop: Shop) -> None:
    shop.install()
    said = [
        "Hello", "/experts law=0.5,med", "Hello", "/debug", "Hello", "/experts nobody", "/what", "/list", "/reset",
        "/help", "/experts", "/quit", "never read",
    ]  # fmt: skip
    done = chat(shop, "--experts", "base", typed="\n".join(said) + "\n")
    assert done.exit_code == 0
    notes = done.stderr
    assert "experts: base" in notes
    assert "Experts: law=0.5, med" in notes
    assert "experts  law=0.5, med" in notes
    assert "There is no expert 'nobody'; there is law, med, own-trees. Install it first." in notes
    assert "There is no /what" in notes
    assert "Nothing has been said." in notes
    assert "Ctrl-C stops an answer." in notes
    assert done.stdout.startswith(chat(shop, "--prompt", "Hello", "--experts", "base").stdout)


def test_the_end_of_input_ends_the_conversation(shop: Shop) -> None:
    done = chat(shop, typed="")
    assert done.exit_code == 0
    assert "Next: fairmoe install FILE" in done.stderr
    assert "cannot converse" not in done.stderr


def test_a_conversation_that_became_too_long_says_how_to_go_on(shop: Shop) -> None:
    done = chat(shop, typed=f"Hello\n{'word ' * 5_000}\n/reset\n{'word ' * 5_000}\nHello\n")
    first, second = (part for part in done.stderr.split("The prompt has")[1:])
    assert "/reset forgets it" in " ".join(first.split())
    assert "/reset" not in second
    assert done.stdout.splitlines()[0] in done.stdout.splitlines()[-1]


def test_what_is_named_must_be_there_and_answer_text(shop: Shop) -> None:
    shop.install()
    for named, text in (
        ("nobody", "there is law, med, own-trees"),
        ("own-trees", "answers rows, not text"),
        ("law,own-trees", "answers rows, not text"),
    ):
        with pytest.raises(ServingError, match=text):
            chat(shop, "--experts", named, "--prompt", "?")


def test_experts_as_users_write_them() -> None:
    assert experts_named("auto") == "auto"
    assert experts_named("base") is None
    assert experts_named(" a=0.7, b") == {"a": 0.7, "b": 1.0}
    assert shown({"a": 0.7, "b": 1.0}) == "a=0.7, b"
    assert (shown(None), shown("auto")) == ("base", "auto")
    with pytest.raises(ServingError, match="no finite number"):
        experts_named("a=much")


def test_what_a_model_says_does_not_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\r\n\tü") == "a\\x1b[2Jb\\r\n\tü"
    assert printable("right to left: \u202ea\u2028b\x85") == r"right to left: \u202ea\u2028b\x85"
    for text in ("Bonjour\u202f! 5\xa0%", "全角\u3000空白", "👩\u200d🌾", "می\u200cخواهم"):
        assert printable(text) == text


def test_prompts_of_a_file_are_answered_in_order_with_their_own_experts(shop: Shop, tmp_path: Path) -> None:
    shop.install()
    asked = [
        {"prompt": "Read this contract."}, {"messages": [{"role": "user", "content": "Hello"}]},
        {"prompt": "Hello", "experts": "law=0.5,med=0.5"}, {"prompt": "Hello", "experts": {"med": 1.0}},
        {"prompt": "Hello", "experts": ["law", "med"]},
    ]  # fmt: skip
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    done = infer(shop, tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl")
    assert done.exit_code == 0, done.output
    assert "5 answers." in done.stdout
    found = lines(tmp_path / "out.jsonl")
    assert [one["row"] for one in found] == [0, 1, 2, 3, 4]
    assert [one["experts"] for one in found] == [
        {"law": 1.0}, {}, {"law": 0.5, "med": 0.5}, {"med": 1.0}, {"law": 1.0, "med": 1.0},
    ]  # fmt: skip
    assert all(isinstance(one["output"], str) and one["why"] for one in found)
    assert set(found[0]["latency"]) == {"queue", "route", "load", "prefill", "decode", "total"}  # type: ignore[call-overload]
    infer(shop, tmp_path / "in.jsonl", "--output", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["experts"] for row in table] == ["law=1", "", "law=0.5,med=0.5", "med=1", "law=1,med=1"]
    assert [row["output"] for row in table] == [one["output"] for one in found]


def test_tables_of_prompts_are_read_too(shop: Shop, tmp_path: Path) -> None:
    table = pd.DataFrame({"prompt": ["Hello", "NA"], "other": [1, 2]})
    table.to_csv(tmp_path / "in.csv", index=False)
    table.to_parquet(tmp_path / "in.parquet")
    for kind in ("csv", "parquet"):
        infer(shop, tmp_path / f"in.{kind}", "--experts", "base", "--output", tmp_path / f"{kind}.jsonl")
    first, second = lines(tmp_path / "csv.jsonl"), lines(tmp_path / "parquet.jsonl")
    assert [one["output"] for one in first] == [one["output"] for one in second]


def test_a_bad_line_says_why_and_the_others_are_answered_and_kept(shop: Shop, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "Hello"}\n{"experts": "law"}\n{"prompt": "?", "experts": "nobody"}\n', "utf-8")
    done = infer(shop, source, "--experts", "base", "--output", output)
    assert done.exit_code == 1
    assert "3 answers, 2 of them say why there is none." in done.stdout
    assert [one.get("error") for one in lines(output)] == [None, "bad-request", "unknown-expert"]
    again = infer(shop, source, "--experts", "base", "--output", output)
    assert "1 of 3 are kept" in again.stderr


def test_rows_are_decided_and_recorded(shop: Shop, tmp_path: Path) -> None:
    shop.install()
    shop.rows.to_csv(tmp_path / "rows.csv", index=False)
    words = (tmp_path / "rows.csv", "--output", tmp_path / "out.csv", "--audit", tmp_path / "audit.jsonl")
    done = infer(shop, *words)
    assert done.exit_code == 0
    assert "NOT TRUSTED: own-trees 1.0.0 is unsigned." in done.stderr
    table = pd.read_csv(tmp_path / "out.csv")
    wanted = load_expert("own-trees", allow_untrusted=True).predict_proba(shop.rows)[:, 1]
    assert table["probability"].tolist() == pytest.approx(wanted.tolist(), abs=1e-9)
    assert table["decision"].tolist() == (wanted > 0.5).astype(int).tolist()
    (audit,) = lines(tmp_path / "audit.jsonl")
    assert (audit["expert"], audit["rows"]) == ("own-trees", len(shop.rows))


@pytest.mark.slow  # a command in a process of its own, which takes seconds to start
def test_a_killed_run_goes_on_where_it_was(shop: Shop, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"prompt": f"Hello {n}"}) + "\n" for n in range(200)), encoding="utf-8")
    words = ["infer", str(source), "--base", str(shop.base), "--experts", "base", "--output", str(output)]
    words += ["--max-tokens", "24"]
    code = "from benchmarks.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": "."})
    partial = tmp_path / ".out.jsonl.partial"
    while not partial.exists() or partial.read_bytes().count(b"\n") < 5:
        assert process.poll() is None
        signal.sigtimedwait([], 0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with partial.open("a", encoding="utf-8") as stream:
        stream.write('{"row": 199, "outp')  # a line that the kill cut off
    kept = lines_whole(partial)[1:]
    assert not output.exists()
    done = fairmoe(*words)
    assert done.exit_code == 0, done.output
    assert f"{len(kept)} of 200 are kept" in done.stderr
    found = lines(output)
    assert [one["row"] for one in found] == list(range(200))
    by_row = {one["row"]: one for one in found}
    assert all(by_row[one["row"]] == one for one in kept)
    assert not partial.exists()


def lines_whole(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_answers_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    with Results(tmp_path / "out.jsonl", "one") as results:
        results.add([{"row": 0, "output": "x"}])
    with pytest.raises(ServingError, match="--restart"):
        Results(tmp_path / "out.jsonl", "two")
    assert Results(tmp_path / "out.jsonl", "one").done == {0: {"row": 0, "output": "x"}}
    assert Results(tmp_path / "out.jsonl", "two", restart=True).done == {}
    with pytest.raises(ServingError, match=r"jsonl or \.csv"):
        Results(tmp_path / "out.xlsx", "one")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("in.txt", "x", "no kind that is read"),
        ("in.jsonl", '{"prompt": "a"}\n{"prompt"\n', "line 2 is no JSON"),
        ("in.jsonl", "3\n", "line 1 is int"),
    ],
)
def test_files_that_are_none_are_told(shop: Shop, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ServingError, match=message):
        infer(shop, tmp_path / name)
    with pytest.raises(ServingError, match="There is no file"):
        infer(shop, tmp_path / "absent.csv")
