"""What figures draw: known places and orders; nothing where there is nothing."""

from __future__ import annotations

import math
import re

import pytest

from reports.discovery.figures.chart import Panel, around
from reports.discovery.figures.front import front
from reports.discovery.figures.gains import gains_of
from reports.discovery.figures.seconds import seconds_by_step
from reports.discovery.figures.similarity import ink_on, shade, similarity
from reports.discovery.figures.training import floor_of
from reports.discovery.goals import Goal, constraints, objectives
from reports.discovery.page import FIGURES
from reports.discovery.reading import Discovery
from reports.discovery.winner import main_measure, measures, same_weights
from reports.figures import svg
from tests.reports.discovery.sample import sample


@pytest.mark.parametrize("name", list(FIGURES))
def test_nothing_to_draw_is_an_empty_figure(name: str) -> None:
    assert FIGURES[name](Discovery({}, {})) == ""


def test_a_curve_is_broken_where_a_value_is_unknown() -> None:
    panel = Panel(svg.Axis(0, 4, 0, 40), svg.Axis(0, 1, 10, 0))
    assert 'd="M0 10L10 5M30 0"' in panel.curve([(0, 0), (1, 0.5), (2, math.nan), (3, 1)], "#000")
    assert panel.curve([(0, math.nan)], "#000") == "" and panel.level(2.0, "#000") == ""
    assert around([0.2, 0.8], floor=0.0, top=0.81) == (pytest.approx(0.158), 0.81) and around([]) == (0.0, 1.0)


def test_a_panel_has_at_least_two_ticks() -> None:
    panel = Panel(svg.Axis(0, 1, 0, 100), svg.Axis(0.17, 0.88, 84, 0))
    ticks = re.findall(
        r'text-anchor="end"[^>]*>([^<]*)<|<text[^>]*class="tick"[^>]*>(0\.\d)<', panel.grid("", "", (3, 3))
    )
    assert len(ticks) >= 2


def test_the_similarity_matrix_is_in_the_order_of_the_experts(found: Discovery) -> None:
    drawn = similarity(found)
    names = re.findall(r"<title>([a-z-]+)</title><text[^>]*class=\"row\" text-anchor=\"end\"", drawn)
    assert names[:2] == ["arithmetic", "dates"] and names[-1] == "adult-sex" and len(names) == 10
    assert drawn.count('fill="none"') == 3  # a frame for each expert


def test_numbers_are_read_on_any_shade() -> None:
    assert shade(0.0) == "#ffffff" and shade(math.nan) == "#e6e6e6" and shade(1.0) == "#0072b2"
    assert shade(-2.0) == "#d55e00" and ink_on(shade(1.0)) == "cell on-dark" and ink_on(shade(0.3)) == "cell"


def test_the_front_joins_what_nothing_beats_on_the_axes_that_are_drawn() -> None:
    rows = [(0.9, 0.4), (0.8, 0.6), (0.7, 0.5)]  # the third is on the front by another objective
    search = {
        "objectives": ["accuracy", "alignment", "zone"],
        "candidates": [
            {"alphas": {"a": k}, "kind": "mixture", "feasible": True, "on_front": True,
             "values": {"alignment": x, "accuracy": y, "zone": 0.5}} for k, (x, y) in enumerate(rows)
        ],
    }  # fmt: skip
    (path,) = re.findall(
        r'<path d="(M[^"]*)" fill="none" stroke="#1A1A1A" stroke-width="1.3" stroke-dasharray="5 4"',
        front(Discovery({}, {"search": search})),
    )
    assert path.count("L") == 1


def test_gains_have_the_intervals_of_pairs_and_differences_elsewhere(found: Discovery) -> None:
    table = gains_of(found)
    assert list(table) == ["winner", "numbers", "formats", "tables", "mixture 2", "uniform"]
    own, other = table["numbers"]["arithmetic"], table["mixture 2"]["arithmetic"]
    assert own.sure == 1 and own.estimate == pytest.approx(0.31)
    assert math.isnan(other.low) and other.estimate == pytest.approx(0.31) and other.sure == 0
    assert table["numbers"]["sql"].estimate == pytest.approx(0.01) and table["numbers"]["strings"].sure == -1


def test_goals_are_read_as_sentences_and_as_objects() -> None:
    step = {
        "objectives": ["accuracy", "minimise latency_ms", "latency_ms", {"metric": "zone", "maximise": False}, 3],
        "constraints": [
            "alignment >= 0.65",
            {"metric": "latency_ms", "relation": "<=", "bound": 20},
            "alignment",
            None,
        ],
    }
    assert [(g.measure, g.relation) for g in objectives(step)] == [
        ("accuracy", "maximise"), ("latency_ms", "minimise"), ("latency_ms", "minimise"), ("zone", "minimise"),
    ]  # fmt: skip
    assert constraints(step) == [Goal("alignment", ">=", 0.65), Goal("latency_ms", "<=", 20.0)]


def test_the_main_measure_is_the_first_objective(found: Discovery) -> None:
    assert main_measure(found) == "accuracy" and measures(found)[0] == "accuracy"
    assert not [name for name in measures(found) if ":" in name]
    one = {"alphas": {"a": 0.5, "b": 0}}
    assert same_weights(one, {"alphas": {"b": 0.0, "a": 0.5}}) and not same_weights(one, {"alphas": {"a": 0.5}})


def test_seconds_and_the_floor_come_from_wherever_they_are() -> None:
    results = sample()
    top = results.pop("top")
    assert seconds_by_step(Discovery(top, results))["training"] == 512.8
    assert seconds_by_step(Discovery({}, results))["plan"] == 21.5
    assert floor_of(Discovery(top, results)) == 0.6
    results["training"]["floor"] = 0.55
    assert floor_of(Discovery(top, results)) == 0.55 and math.isnan(floor_of(Discovery({}, {})))


def test_a_base_that_stays_has_no_row_of_a_winner() -> None:
    results = sample()
    top = results.pop("top")
    results["examination"] |= {"winner": "base", "accepted": False}
    found = Discovery(top, results)
    assert "winner" not in gains_of(found) and "mixture 1" in gains_of(found)
    assert "winner:" not in FIGURES["capability"](found) and "the winner<" not in front(found)
    assert ">stays<" in FIGURES["contenders"](found)
