"""``fairmoe serve`` as a user runs it: started, asked by an ordinary client, stopped; and by vLLM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI
from typer.testing import CliRunner

from benchmarks.cli import app
from serving.http.settings import KEYS_VARIABLE
from serving.vllm.command import KEY
from tests.benchmarks.models.engine_fixtures import Shop, make_shop

API_KEY = "a-long-enough-key-of-a-test"
CODE = "from benchmarks.cli import main; main()"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def installed(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    shop.install()
    return shop


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it said."""
    command = subprocess.Popen(
        [sys.executable, "-c", CODE, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        assert command.stdout is not None
        said = ""
        while "numbers:" not in said:
            line = command.stdout.readline()
            assert line, command.stderr.read() if command.stderr else ""
            said += line
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address
        assert "law" in said
        assert "own-trees" in said
        yield command, address[0]
    finally:
        command.kill()
        command.communicate()


@pytest.mark.slow
def test_installed_experts_answer_an_ordinary_client_until_told_to_stop(installed: Shop) -> None:
    with (
        started("--base", str(installed.base), **{KEYS_VARIABLE: API_KEY}) as (command, address),
        OpenAI(base_url=f"{address}/v1", api_key=API_KEY) as client,
    ):
        assert {"base", "auto", "law", "med", "own-trees"} == {model.id for model in client.models.list()}
        found = client.completions.create(model="auto", prompt="Is this contract void? The court", max_tokens=4)
        assert found.model_extra
        assert [each["name"] for each in found.model_extra["fairmoe"]["experts"]] == ["law"]
        client.post("/../feedback", body={"id": found.id, "won": True}, cast_to=object)
        rows = {str(name): values.tolist() for name, values in installed.rows[:5].astype(object).items()}
        predicted = client.post("/../predict", body={"model": "own-trees", "columns": rows}, cast_to=object)
        assert isinstance(predicted, dict)
        assert len(predicted["decisions"]) == 5
        assert predicted["audit"]["expert"] == "own-trees"
        command.send_signal(signal.SIGTERM)
        out, errors = command.communicate(timeout=60)
    assert command.returncode == 0, errors
    assert "has ended" in out
    assert API_KEY not in out + errors


@pytest.mark.slow
def test_with_vllm_adapters_are_exported_and_its_program_becomes_the_server(installed: Shop, tmp_path: Path) -> None:
    stand_in = tmp_path / "vllm"
    stand_in.write_text(f'#!/bin/sh\necho "told: $@"\necho "key: ${KEY}"\n')
    stand_in.chmod(0o755)
    words = ["--engine", "vllm", "--base", str(installed.base), "--vllm", str(stand_in), "--experts", "law,med"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, "serve", *words, "--export-to", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, env={**os.environ, KEYS_VARIABLE: API_KEY},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = next(line for line in done.stdout.splitlines() if line.startswith("told: "))
    assert f"serve {installed.base} " in told
    assert f"--lora-modules law={tmp_path}/out/law med={tmp_path}/out/med" in told
    assert API_KEY not in told
    assert f"key: {API_KEY}" in done.stdout
    assert (tmp_path / "out" / "med" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "no API key protects it"),
        (["--engine", "other"], "no engine 'other'"),
        (["--api-key-file", "absent"], "cannot be read"),
    ],
)
def test_what_cannot_be_served_is_one_paragraph(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["serve", *words])
    assert done.exit_code != 0
    assert said in f"{' '.join(done.output.replace('│', ' ').split())} {done.exception}"
