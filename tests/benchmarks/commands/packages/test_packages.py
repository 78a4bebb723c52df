"""keygen, sign, verify, inspect, trust: what the user of the command sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from tests.artefacts.making import packed

ROOT = Path(__file__).parents[4]
MEASURED = {"suite": "quick", "task": "german", "metrics": {"dp_gap": {"estimate": 0.125, "low": 0.1, "high": 0.2}}}


def fairmoe(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"}, catch_exceptions=False)


def test_from_a_key_to_trust_and_back(tmp_path: Path) -> None:
    path, key = packed(tmp_path / "german-mlp.expert"), tmp_path / "ada.key"
    made = fairmoe("keygen", key)
    assert made.exit_code == 0
    assert f"fairmoe sign PACKAGE.expert --key {key}" in made.output
    print_of = next(line.split()[1] for line in made.output.splitlines() if line.startswith("fingerprint"))
    unsigned = fairmoe("verify", path)
    assert (unsigned.exit_code, "unsigned" in unsigned.output) == (1, True)
    assert print_of in fairmoe("sign", path, "--key", key).output
    unknown = fairmoe("verify", path)
    assert (unknown.exit_code, print_of in unknown.output) == (1, True)
    assert print_of in fairmoe("trust", "add", f"{key}.pub", "--name", "Ada").output
    trusted = fairmoe("verify", path)
    assert (trusted.exit_code, "signed by Ada as author" in trusted.output) == (0, True)
    assert "Ada\n" in fairmoe("trust", "list").output
    fairmoe("trust", "revoke", path, "--reason", "labels were wrong")
    revoked = fairmoe("verify", path)
    assert (revoked.exit_code, "labels were wrong" in revoked.output) == (1, True)
    assert fairmoe("trust", "remove", "Ada").exit_code == 0
    assert "labels were wrong" in fairmoe("trust", "list").output


def test_a_key_with_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = packed(tmp_path / "a.expert"), tmp_path / "k"
    made = CliRunner().invoke(app, ["keygen", str(key), "--passphrase"], input="one\ntwo\nsame\nsame\n")
    assert made.exit_code == 0
    assert "same" not in made.output
    monkeypatch.setenv("FAIRMOE_PASSPHRASE", "same")
    assert fairmoe("sign", path, "--key", key, "--role", "auditor").exit_code == 0


def test_inspect_shows_the_measured_fairness_and_fits_the_screen(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.expert", fairness=MEASURED)
    told = fairmoe("inspect", path).output
    assert "german-mlp 1.0.0 (network)" in told
    assert "0.125" in told
    assert "0.100 to 0.200" in told
    assert max(len(line) for line in told.splitlines() if str(path) not in line and "content" not in line) <= 80
    assert json.loads(fairmoe("inspect", path, "--json").output)["fairness"] == MEASURED


def test_a_refusal_is_a_paragraph_with_its_reason(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.expert")
    path.write_bytes(path.read_bytes()[:-1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "verify", path],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fairmoe: The package ends after ")
    assert done.stderr.endswith("[truncated]\n")


def test_verify_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from benchmarks.cli import app; "
        "done = CliRunner().invoke(app, ['verify', sys.argv[1]]); "
        "print(done.exit_code, sorted({'torch', 'pandas', 'scipy', 'sklearn', 'mlflow'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(packed(tmp_path / "a.expert"))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "1 []"
