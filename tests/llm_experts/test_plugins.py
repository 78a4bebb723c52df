"""Worked examples: what one file in a plug-in folder adds to the language-model half."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from foundation.discovery import PLUGINS, facts, items
from tests.examples import example

ROOT = Path(__file__).parents[2]


def run_with(folder: Path, code: str) -> Any:
    """What a program prints as JSON in an interpreter that starts with a plug-in folder."""
    program = [sys.executable, "-W", "ignore", "-c", dedent(code)]
    environment = {**os.environ, PLUGINS: str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(program, capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def plug_in(folder: Path, path: str, text: str) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True)
    file.write_text(dedent(text), encoding="utf-8")
    return file


KIND = example("llm_experts/adapters/lora_still.py")


def test_an_adapter_kind_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = plug_in(tmp_path, "llm_experts/adapters/lora_still.py", KIND)
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    assert items("llm_experts.adapters", "KIND")["lora_still"] == file
    words = facts(file, "KIND")
    assert (words["label"], words["about"]) == ("LoRA, A still", "LoRA whose A never moves")
    found = run_with(
        tmp_path,
        f"""
        import json, pathlib, torch
        from llm_experts.adapters.registry import KINDS, kind_named
        from llm_experts.adapters.store import load_adapter, read_adapter, save_adapter
        from llm_experts.mixtures.bank import AdapterBank
        from llm_experts.reading.expert import LLMExpert
        from llm_experts.training.search_space import search_space
        from llm_experts.training.trainer import Budget, LaneConfig, train_lanes
        from tests.llm_experts.lane_fixtures import make_texts

        texts = make_texts(80)
        budget = Budget(steps=4, eval_every=2, warm_up=1, batch_rows=16, rungs=(), explained_rows=8, final_rows=8)
        lanes = [LaneConfig(lr=1e-2, rank=rank, seed=rank) for rank in (4, 8)]
        trained = train_lanes(texts, "utility", lanes, budget, seed=0, kind="lora_still")
        adapter, base = trained.adapter(0), texts.cut.base
        view, rows = texts.view, texts.view.split.validation[:6]
        margins = texts.reader.margins([adapter, None], view, rows)
        folder = pathlib.Path({str(tmp_path)!r}) / "saved"
        save_adapter(folder, base, adapter.config, adapter.state)
        ids = torch.tensor([[5, 9, 31]])
        alone = load_adapter(base, folder)(input_ids=ids).logits
        bank = AdapterBank.from_adapters(base, [folder])
        with torch.no_grad(), bank.gate(torch.ones(1)):
            mixed = base.model(input_ids=ids).logits
        print(json.dumps({{
            "last": KINDS[-1],
            "space": list(search_space("lora_still", "utility")),
            "kind": [adapter.kind, read_adapter(folder).kind],
            "moved": float((margins[0] - margins[1]).abs().max()),
            "bank": float((alone - mixed).abs().max()),
            "parameters": adapter.parameter_count,
            "all": sum(value.numel() for value in adapter.state.values()),
        }}))
        """,
    )
    assert found["last"] == "lora_still" and found["space"] == ["lr", "weight_decay", "rank"]
    assert found["kind"] == ["lora_still", "lora_still"]
    assert found["moved"] > 1e-4 and found["bank"] < 1e-4
    assert 0 < found["parameters"] < found["all"]


TERM = example("llm_experts/training/objectives/sureness.py")


def test_a_term_of_an_objective_is_one_file(tmp_path: Path) -> None:
    plug_in(tmp_path, "llm_experts/training/objectives/sureness.py", TERM)
    found = run_with(
        tmp_path,
        """
        import json
        from llm_experts.training.objectives import LAMBDAS
        from llm_experts.training.search_space import search_space
        from llm_experts.training.trainer import Budget, LaneConfig, train_lanes
        from tests.llm_experts.lane_fixtures import make_texts

        texts = make_texts(80)
        budget = Budget(steps=4, eval_every=2, warm_up=1, batch_rows=16, rungs=(), explained_rows=8, final_rows=0)

        def theta(role, weights):
            lanes = [LaneConfig(lr=1e-2, rank=4, seed=1, lambdas=w) for w in weights]
            return train_lanes(texts, role, lanes, budget, seed=0, keep_last=True).theta

        plain = theta("utility", [{}, {}])
        found = theta("result", [{"lambda_sure": 0.0}, {"lambda_sure": 3.0}])
        print(json.dumps({
            "lambdas": LAMBDAS,
            "space": list(search_space("lora", "result")),
            "zero": bool((found[0] == plain[0]).all()),
            "moved": float((found[1] - plain[1]).abs().max()),
        }))
        """,
    )
    assert found["lambdas"]["result"] == ["lambda_fair", "lambda_rep", "lambda_sure"]
    assert "lambda_sure" not in found["lambdas"]["combined"]
    assert found["space"][-2:] == ["lambda_fair", "lambda_sure"]
    assert found["zero"] and found["moved"] > 1e-6


BIAS_SET = example("llm_experts/bias/spelling.py")


def test_a_bias_set_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = plug_in(tmp_path, "llm_experts/bias/spelling.py", BIAS_SET)
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    own = ["bbq", "bold", "crows_pairs", "stereoset", "winobias"]
    assert list(items("llm_experts.bias", "BIAS_SET")) == [*own, "spelling"]
    assert facts(file, "BIAS_SET") == {
        "label": "Spelling",
        "columns": {"share@1": ("British %", "50 ideal", "words whose British spelling is likelier", 1)},
        "scoring": "log-likelihood of the words",
    }
    found = run_with(
        tmp_path,
        """
        import json
        from llm_experts.bias import METRICS, SETS, LMScorer, score_bias
        from tests.llm_experts.conftest import make_tiny_base

        rows = score_bias(LMScorer.of(make_tiny_base()), ("spelling",), limit=3, draws=50)
        print(json.dumps({"sets": list(SETS), "metric": METRICS["spelling/share@1"].meaning, "rows": rows}))
        """,
    )
    (row,) = found["rows"]
    assert found["sets"][-1] == "spelling" and found["metric"].endswith("likelier")
    assert (row["set"], row["metric"], row["status"], row["items"], row["of"]) == ("spelling", "share@1", "ok", 3, 4)
    assert 0 <= row["low"] <= row["estimate"] <= row["high"] <= 100


def test_words_of_built_in_kinds_and_sets_are_literals() -> None:
    kinds = {name: facts(path, "KIND") for name, path in items("llm_experts.adapters", "KIND").items()}
    assert set(kinds) == {"lora", "rslora", "dora", "lora_fa", "ia3", "svf", "prefix", "soft_prompt"}
    assert all(words["name"] == name and words["label"] and words["about"] for name, words in kinds.items())
    assert sorted(kinds, key=lambda name: kinds[name]["place"])[:2] == ["lora", "rslora"]
    assert [name for name, words in kinds.items() if words.get("needs_full_model")] == ["prefix", "soft_prompt"]
    sets = {name: facts(path, "BIAS_SET") for name, path in items("llm_experts.bias", "BIAS_SET").items()}
    assert [words["label"] for words in sets.values()] == ["BBQ", "BOLD", "CrowS-Pairs", "StereoSet", "WinoBias"]
    assert all(len(column) == 4 for words in sets.values() for column in words["columns"].values())


def test_a_family_of_language_tasks_is_one_file(tmp_path: Path) -> None:
    plug_in(tmp_path, "llm_experts/families/roman.py", example("llm_experts/families/roman.py"))
    found = run_with(
        tmp_path,
        """
        import json
        from llm_experts.families.registry import FAMILIES, family_of
        from llm_experts.families.wrong import wrong_answer
        roman = FAMILIES["roman"]
        items = roman.make("train", 200, 0, None)
        others = roman.make("test", 50, 1, None)
        print(json.dumps({
            "last": list(FAMILIES)[-1],
            "prompts": len({item.prompt for item in (*items, *others)}),
            "right": all(roman.check(item, item.completion).correct for item in items),
            "wrong": any(roman.check(item, wrong_answer(roman, item)).correct for item in items),
            "of": family_of(items[0]).name,
            "known": [item.completion for item in items if item.prompt.startswith("XIV as")],
        }))
        """,
    )
    assert found["prompts"] == 250 and found["right"] and not found["wrong"] and found["of"] == "roman"
    assert set(found["known"]) <= {"14"}


TRAINER = """
    from dataclasses import dataclass
    from llm_experts.training.loop.method import MethodRecord
    from llm_experts.training.methods.sft import SFT


    @dataclass(frozen=True)
    class Options:
        factor: float = 1.0


    class Weighted(SFT):
        def __init__(self, options):
            self._factor = options.factor

        def loss(self, lanes, theta, batch):
            loss, _ = super().loss(lanes, theta, batch)
            return self._factor * loss, {"unweighted": loss.detach()}


    METHOD = MethodRecord(
        name="weighted", label="weighted answers", about="the loss times a factor", needs="completion", options=Options,
        make=Weighted,
    )
"""


def test_a_trainer_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_experts.training.loop.fit import fit
    from llm_experts.training.loop.method import method_named
    from llm_experts.training.loop.settings import SettingsError
    from tests.llm_experts.conftest import make_tiny_base
    from tests.llm_experts.training.loop.fixtures import assignment

    plug_in(tmp_path / "mine", "llm_experts/training/methods/weighted.py", TRAINER)
    monkeypatch.setenv(PLUGINS, str(tmp_path / "mine"))
    given = assignment(method="weighted", options={"factor": 0.5}, steps=2)
    (found,) = fit(make_tiny_base(layers=2), [given], folder=tmp_path)
    row = found.history[-1]
    assert row["loss"] == pytest.approx(row["unweighted"] / 2) and row["loss"] > 0
    with pytest.raises(SettingsError, match="The method weighted has no option 'facto'; it has factor"):
        method_named("weighted").with_options({"facto": 1})
