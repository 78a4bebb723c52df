"""What can run in bounded memory, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.plan.suite import Suite, SuiteError, load_settings, load_suite
from benchmarks.streaming.measured import made_table
from benchmarks.streaming.memory import lacks_memory, refuse_too_little, trees_gib
from benchmarks.streaming.methods import network_of, streamed_methods, streams
from benchmarks.streaming.run import run_streamed
from foundation.console import plain_console
from tasks.card import DataError
from tasks.registry import resolve


def suite_of(card: Path, methods: list[str] | None = None) -> Suite:
    """The quick suite on one card."""
    return load_suite("quick", tasks=[str(card)], methods=methods, protocol="robust", trials=2)


def test_what_streams() -> None:
    able = ("utility", "result", "procedural", "combined_mlp", "constant", "lightgbm", "gbdt_utility")
    assert [method for method in able if streams(method)] == []
    assert "folds" in streams("mixture")
    assert "all rows at once" in streams("logistic_regression")
    assert "all rows at once" in streams("lightgbm_bag")
    assert "family" in streams("gbdt_result")
    assert "texts" in streams("llm_utility")
    run, left = streamed_methods(["utility", "mixture", "reweighing"], named=False)
    assert run == ["utility"]
    assert sorted(name for names in left.values() for name in names) == ["mixture", "reweighing"]
    with pytest.raises(SuiteError, match="reweighing: its library takes all rows at once"):
        streamed_methods(["utility", "reweighing"], named=True)
    with pytest.raises(SuiteError, match="--method utility"):
        streamed_methods(["mixture"], named=False)


def test_roles_of_what_streams() -> None:
    assert network_of("result") == ("result", "mlp")
    assert network_of("combined_mlp") == ("combined", "mlp")
    assert network_of("gbdt_utility") == ("utility", "gbdt")
    assert network_of("lightgbm") is None and network_of("constant") is None


def test_trees_run_where_their_bins_fit(tmp_path: Path) -> None:
    """A limit that networks keep and trees do not: these are left out, or refused if they were named."""
    card = resolve(str(made_table(tmp_path, 300))).card.model_copy(update={"rows": 10_000_000})
    needed = trees_gib(10_000_000, len(card.column))
    assert lacks_memory("lightgbm", [card], needed) == lacks_memory("utility", [card], 0.5) == ""
    reason = lacks_memory("gbdt_utility", [card], needed - 0.1)
    assert f"10,000,000 rows need {needed:.1f} GiB" in reason and "--max-memory" in reason
    assert trees_gib(10_000_000, 51) - trees_gib(10_000_000, 50) == pytest.approx(1e7 / 2**30)

    def short(method: str) -> str:
        return lacks_memory(method, [card], 2.0)

    run, left = streamed_methods(["utility", "lightgbm"], named=False, lacks=short)
    assert (run, list(left.values())) == (["utility"], [["lightgbm"]])
    with pytest.raises(SuiteError, match=r"lightgbm: boosted trees .* --max-memory") as refused:
        streamed_methods(["utility", "lightgbm"], named=True, lacks=short)
    assert "--method lightgbm" not in str(refused.value)


def test_a_limit_that_cannot_be_kept_is_refused() -> None:
    refuse_too_little(10_000_000, 4)
    with pytest.raises(SuiteError, match=r"Use --max-memory 3\.0 or more"):
        refuse_too_little(10_000_000, 2)


def test_a_csv_is_refused_before_anything_runs(tmp_path: Path) -> None:
    card = made_table(tmp_path, 300)
    card.write_text(card.read_text(encoding="utf-8").replace('format = "parquet"', 'format = "csv"'), encoding="utf-8")
    with pytest.raises(DataError, match="write them as Parquet"):
        run_streamed(suite_of(card), tmp_path / "out", max_memory=4, named=False, console=plain_console())
    assert not (tmp_path / "out").exists()


def test_rows_in_files_are_other_results() -> None:
    """A suite whose rows stay in files is another one: its folder cannot be merged with one of rows in memory."""
    plain = load_suite("quick")
    own = plain.model_copy(update={"rows_in_files": True})
    assert own.hash != plain.hash
    assert load_settings("suite", dict(own.facts)).rows_in_files
