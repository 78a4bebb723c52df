"""The verbs of the registry, from an empty profile to another machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from artefacts.registry.error import RegistryError
from artefacts.trust.store import TrustStore
from benchmarks.cli import app
from foundation.home import home
from tests.artefacts.registry.made import Maker


def run(*arguments: object) -> str:
    found = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_publish_install_lock_and_install_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    maker = Maker(tmp_path / "makers")
    TrustStore(home()).add(maker.public, "author")
    index, lock = tmp_path / "index", tmp_path / "fairmoe.lock"
    assert "Next: fairmoe install FILE" in run("list")
    for version in ("1.0.0", "1.1.0"):
        run("publish", maker.make("part", version), "--index", index)
    assert "published net 1.0.0" in run("publish", maker.make("net", requires={"part": "^1"}), "--index", index)
    assert "was there before" in run("publish", maker.make("net", requires={"part": "^1"}), "--index", index)
    assert "team has 2 names" in run("index", "add", "team", index)
    assert "team" in run("index", "list")
    told = run("install", "net")
    assert "installed part 1.1.0, required by net" in told and "Next: fairmoe info net" in told
    assert "required by net" in run("list")
    (net, part) = json.loads(run("list", "--json"))
    assert (net["asked"], part["asked"], part["version"]) == ("*", "", "1.1.0")
    about = run("info", "net")
    assert "trusted:      yes" in about and "requires:     part ^1" in about
    assert "Nothing to do" in run("update")
    assert "has 2 experts" in run("lock", "--output", lock)
    bundle = tmp_path / "bundle"
    assert f"written: {bundle}" in "".join(run("lock", "--files", "--output", bundle / "fairmoe.lock").splitlines())
    assert {path.name for path in bundle.iterdir()} == {"fairmoe.lock", "net-1.0.0.expert", "part-1.1.0.expert"}
    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / "elsewhere"))
    TrustStore(home()).add(maker.public, "author")
    run("index", "add", "team", index)
    run("install", "--locked", lock)
    assert json.loads(run("list", "--json")) == [net, part]
    assert "withdrawn part 1.1.0" in run("publish", "part@1.1.0", "--index", index, "--yank", "swapped groups")
    run("index", "remove", "team")
    assert "removed part 1.1.0" in run("uninstall", "net")


def test_untrusted_ones_carry_their_mark(tmp_path: Path) -> None:
    package = Maker(tmp_path / "makers").make("plain")
    with pytest.raises(RegistryError, match="untrusted-unknown"):
        run("install", package)
    assert "NOT TRUSTED plain: unknown" in run("install", "--allow-untrusted", package)
    assert "NOT TRUSTED (unknown)" in run("info", "plain")


def test_nothing_or_both_kinds_of_sources_are_refused() -> None:
    for arguments in (["install"], ["install", "net", "--locked", "file"]):
        assert CliRunner().invoke(app, arguments).exit_code == 2
