"""How cost grows: exponents of known laws, pictures that are the numbers' own, one small point measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies import big_tables, growth
from benchmarks.studies.growth import HARNESSES, VARIED, Sizes, measure, points, read_costs
from benchmarks.studies.parts.growth_rates import exponent, last_exponent
from benchmarks.studies.parts.loglog import Panel, loglog, panels

DOCS = Path(__file__).parents[3] / "docs"


def test_exponents_of_known_laws() -> None:
    """A power law is known to the bit; a fixed part bends it, and the end of the curve tells the law better."""
    square = exponent({size: [3.0 * size**2] * 2 for size in (1, 2, 4)})
    assert square == pytest.approx((2.0, 2.0, 2.0))
    bent = {size: [10.0 + size, 10.1 + size] for size in (1, 10, 100, 1000)}
    assert exponent(bent).value < 0.8 < last_exponent(bent).value < 1.0
    assert exponent(bent).high - exponent(bent).low > 0.2
    assert str(exponent({1: [1.0, 1.0], 10: [10.0, 10.0]})) == "1.00 [1.00, 1.00]"
    with pytest.raises(ValueError, match="two sizes and three runs"):
        exponent({1: [1.0, 2.0]})


def test_intervals_hold_the_exponent() -> None:
    """Of 400 noisy laws of exponent 1, 95 % of the intervals hold it: 5 deviations around that."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        costs = {size: (size * np.exp(0.1 * random.standard_normal(3))).tolist() for size in (1, 2, 4, 8)}
        held += exponent(costs).low <= 1 <= exponent(costs).high
    assert abs(held - 380) <= 5 * np.sqrt(400 * 0.95 * 0.05)


def test_a_narrow_axis_has_marks_between_powers_of_ten() -> None:
    """From 3 to 48: 2, 5, 10, 20, 50. Points lie where their logarithms say."""
    drawn = loglog({"a": [(3, 1), (48, 1000)]}, "label", "lanes", "seconds")
    assert re.findall(r'y="348"[^>]*>([\d,.]+)<', drawn) == ["2", "5", "10", "20", "50"]
    one = loglog({"a": [(1, 1), (10, 100), (1000, 10_000)]}, "label", "x", "y")
    assert 'd="M70 330L203.3 175L470 20"' in one
    assert drawn == loglog({"a": [(3, 1), (48, 1000)]}, "label", "lanes", "seconds")


def test_several_panels_share_colours_and_one_legend() -> None:
    """A name that only the second panel has gets the second colour; a text of a user is escaped."""
    drawn = panels([Panel({"a<b": [(1, 1), (10, 2)]}, "x", "s"), Panel({"c": [(1, 1), (10, 2)]}, "y", "s")], "label")
    assert drawn.count("a&lt;b") == 1 and drawn.count(">c<") == 1
    strokes = re.findall(r'class="curve" stroke="(#\w+)"', drawn)
    assert len(set(strokes)) == 2 and drawn.count('class="frame"') == 2


def test_points_vary_one_size_at_a_time() -> None:
    base = Sizes()
    for name, size, sizes in points():
        assert getattr(sizes, name) == size
        assert all(getattr(sizes, other) == getattr(base, other) for other in VARIED if other != name)
    assert all(getattr(base, name) in sizes for name, sizes in VARIED.items())


@pytest.mark.slow
@pytest.mark.parametrize("harness", HARNESSES)
def test_a_point_is_measured(harness: str) -> None:
    """Several groups, two methods, two seeds."""
    seconds = measure(Sizes(rows=1500, columns=5, groups=3, lanes=2, methods=2), harness, [0, 1])
    assert len(seconds) == 2 and min(seconds) > 0


def test_growth_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there is not measured again, more repeats measure only what is missing, and tables come from files."""
    asked: list[list[int]] = []

    def measured(sizes: Sizes, harness: str, seeds: list[int]) -> list[float]:
        asked.append(list(seeds))
        return [float(sizes.rows * sizes.columns * (1 + seed / 100) + len(harness)) for seed in seeds]

    monkeypatch.setattr(growth, "measure", measured)
    growth.main(["--output", str(tmp_path / "out"), "--repeats", "2"])
    first = len(asked)
    assert first == 2 * (1 + len({sizes for _, _, sizes in points()}))  # and one run of each harness to get ready
    growth.main(["--output", str(tmp_path / "out"), "--repeats", "2"])
    assert len(asked) == first
    numbers, drawn = tmp_path / "numbers.json", tmp_path / "growth.svg"
    growth.main(
        ["--output", str(tmp_path / "out"), "--repeats", "3", "--numbers", str(numbers), "--picture", str(drawn)]
    )
    assert asked[first] == [0] and [2] in asked[first:] and [0, 1] not in asked[first:]
    assert drawn.read_text(encoding="utf-8") == growth.picture(read_costs(numbers))
    assert "| rows | 4,000, 16,000, 64,000, 256,000 | in memory |" in capsys.readouterr().out


def test_the_documentation_shows_the_measured_numbers() -> None:
    """Pictures and tables of docs/big_tables.md are those of the numbers beside the pictures."""
    page = (DOCS / "big_tables.md").read_text(encoding="utf-8")
    costs = read_costs(DOCS / "pictures" / "growth.json")
    assert (DOCS / "pictures" / "growth.svg").read_text(encoding="utf-8") == growth.picture(costs)
    assert "\n".join(growth.table(costs)) in page
    found = json.loads((DOCS / "pictures" / "big_tables.json").read_text(encoding="utf-8"))
    assert (DOCS / "pictures" / "big_tables.svg").read_text(encoding="utf-8") == big_tables.picture(found)
    assert "\n".join(map(big_tables.line, found)) in page
