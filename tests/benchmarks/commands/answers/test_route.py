"""``fairmoe route``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from serving.router import ExpertProfile, Router


@pytest.fixture
def router(tmp_path: Path) -> Path:
    profiles = [ExpertProfile("sql-expert", keywords=("sql", "users")), ExpertProfile("b", keywords=("[/y]",))]
    Router.of(profiles).save(tmp_path / "router")
    return tmp_path / "router"


def route(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["route", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_prompt_is_routed_and_explained(router: Path) -> None:
    told = route("List users [/y] who are older", "--router", router, "--explain")
    assert "sql-expert" in told and "users" in told and "[/y]" in told
    facts = json.loads(route("users", "--router", router, "--json"))
    assert facts["experts"] == {"sql-expert": 1.0}
    assert facts["counterfactual"] == "Without the word 'users' the base answers."
    assert "the base" in route("What is SQL?", "--router", router)


def test_without_experts_the_base_answers() -> None:
    assert "No adapter is installed" in route("users")


def test_feedback_is_kept(router: Path, _own_home: Path) -> None:
    for _ in range(4):
        said = route("--feedback", "lost", "--expert", "sql-expert", "--router", router)
    assert "0 won, 4 lost" in said
    assert (_own_home / "router" / "outcomes.json").is_file()
    assert json.loads(route("users", "--router", router, "--json"))["experts"] == {}


def test_prompts_are_evaluated_with_intervals_and_disparity(tmp_path: Path) -> None:
    told = route("--evaluate", "own")
    assert "right experts, paraphrase" in told and "route_flip@1" in told and "nationality" in told
    facts = json.loads(route("--evaluate", "own", "--json"))
    assert set(facts["figures"]["accuracy"]["all"]) == {"estimate", "low", "high", "n"}
    assert facts["route_flip@1"]["gender"]["value"]["estimate"] == 0


def test_a_fitted_router_is_saved_and_used(router: Path, tmp_path: Path) -> None:
    lines = [{"text": f"{word} {n}", "experts": who} for n in range(6) for word, who in
             (("fetch", ["sql-expert"]), ("sing", ["b"]), ("rest", []))]  # fmt: skip
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    told = route("--fit", prompts, "--router", router, "--output", tmp_path / "fitted")
    assert "fitted on 18 prompts" in told.replace("\n", " ")
    assert json.loads(route("fetch it", "--router", tmp_path / "fitted", "--json"))["experts"] == {"sql-expert": 1.0}


def test_what_does_not_belong_together_is_said() -> None:
    for arguments in ([], ["a", "--evaluate", "own"], ["--feedback", "won"]):
        done = CliRunner().invoke(app, ["route", *arguments])
        assert done.exit_code == 2
