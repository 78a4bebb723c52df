"""The study of kinds: the rate that validation items choose is the one of all seeds."""

from pathlib import Path

from benchmarks.studies.kinds import COLUMNS, FACTORS, HEADING, Plan, row, trained
from llm_experts.training.loop.presets import learning_rate
from tests.llm_experts.conftest import make_tiny_base

PLAN = Plan(family="classification", difficulty=0.0, count=4, steps=1, items=3, seeds=2)


def test_a_kind_is_trained_at_the_rate_that_is_chosen(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    rate, (first, second) = trained(base, "ia3", PLAN, tmp_path)
    assert rate in [factor * learning_rate("ia3", base) for factor in FACTORS]
    assert (first.name, second.name) == (f"ia3-0-{rate:.2g}", f"ia3-1-{rate:.2g}")
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == len(FACTORS) + 1
    cells = row(base, rate, [first, second], PLAN, 10 * first.parameters).strip("| ").split(" | ")
    assert len(cells) == len(COLUMNS) == HEADING.splitlines()[1].count("|") - 1
    assert cells[:2] == ["ia3", f"{rate:.2g}"] and cells[3] == "10.0 ×"
