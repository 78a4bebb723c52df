"""The study of families: what it counts and prints, on a tiny base."""

from pathlib import Path

from benchmarks.studies.families import HEADING, Learnt, Plan, study
from llm_experts.families.registry import FAMILIES
from tests.llm_experts.conftest import make_tiny_base

PLAN = Plan(difficulty=0.0, count=4, steps=1, batch_size=2, rates=(1e-3, 1e-2), items=3, seeds=2)


def test_a_family_is_learnt_by_every_seed(tmp_path: Path) -> None:
    found = study(make_tiny_base(layers=2), FAMILIES["lookup"], PLAN, tmp_path)
    assert (found.family, found.items, len(found.after)) == ("lookup", 3, 2)
    assert 0 <= found.before <= 3 and all(0 <= hits <= 3 for hits in found.after)
    assert {path.name for path in tmp_path.iterdir()} == {"lookup-0-0.001", "lookup-0-0.01", f"lookup-1-{found.rate:g}"}


def test_a_row_says_what_was_found() -> None:
    """Wilson's interval of 50 in 100 is .404 to .596, of 0 in 100 0 to .037."""
    row = Learnt("sql", 100, 5e-3, 0, (40, 50, 60), 12.3).row(PLAN)
    assert row == "| sql | 0 | 4 × 1 | 0.005 | 0.00 [0.00, 0.04] | 0.50 [0.40, 0.60] | 0.40 … 0.60 | 12 |"
    assert row.count("|") == HEADING.splitlines()[0].count("|")
