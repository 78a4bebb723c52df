import csv
import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from llm_experts.search import Constraint, Objective, SearchError, SearchRows, SearchSettings, search_mixtures
from llm_experts.search.result import plain
from metrics.points import point_values
from tests.llm_experts.search.planted import BEST, Identical, Movable, Planted, Timed

SMALL = SearchSettings(
    calibrate=False, generations=18, population=12, spread_anchors=4, stop_gain=None, guidance_every=3, candidates=10
)
TRADE = replace(SMALL, objectives=(Objective("brier@1"), Objective("latency_ms")))
FAIR = replace(SMALL, constraints=(Constraint("dp@1", "<=", 0.1),))


def alphas_of(result):
    return torch.tensor([list(c.alphas.values()) for c in result.front], dtype=torch.float64)


def without_clock(result):
    return plain(replace(result, seconds={}, true_evaluations=0))


def true_dp(model, alphas):
    probability = torch.sigmoid(model.margins(alphas))
    return point_values(probability, model.rows.labels, model.rows.groups, 2, metrics=("dp@1",))["dp@1"]


def test_finds_the_planted_optimum():
    model = Timed()
    result = search_mixtures(model, model.rows, TRADE)
    found = torch.tensor(list(result.winner.alphas.values()), dtype=torch.float64)
    best = torch.sigmoid(model.margins(BEST[None])) - model.rows.labels  # the best Brier score lies there
    assert float((found - BEST).abs().max()) < 0.08
    assert result.winner.search["brier@1"] - float(best.square().mean()) < 5e-4
    assert result.winner.kind == "mixture"
    cheap = min(result.front, key=lambda c: c.true["latency_ms"])
    assert set(cheap.alphas.values()) == {0.0}  # the base costs least
    assert all(abs(d) < 1e-6 for c in result.candidates for d in c.deviation.values())  # margins are quadratic
    assert result.curve[-1].hypervolume > result.curve[0].hypervolume


def test_hypervolume_never_falls_on_an_exact_surrogate():
    model = Timed()
    volumes = [g.hypervolume for g in search_mixtures(model, model.rows, TRADE).curve]
    assert all(later >= earlier * 0.999 for earlier, later in pairwise(volumes))
    assert len(volumes) == 18


def test_respects_the_planted_constraint():
    model, unseen = Planted(bias=2.0), Planted(bias=2.0, seed=7)
    result = search_mixtures(model, model.rows, FAIR, held_out=(unseen, unseen.rows))
    assert result.front
    assert float(true_dp(model, alphas_of(result)).max()) <= 0.1
    assert result.winner.accepted
    assert result.winner.held_out["dp@1"].estimate <= 0.1
    assert result.winner.alphas["result"] > 0.3  # without this expert the groups are far apart
    assert not any(c.feasible for c in result.candidates if c.true["dp@1"] > 0.1)


class Trap(Planted):
    """Sets the groups apart wherever the result expert has less than 0.7."""

    def _margins(self, alphas, groups):
        return super()._margins(alphas, groups) + 40 * (alphas[:, 1:2] < 0.7) * (groups - 0.5)


def test_held_out_rows_reject_the_winner_and_take_the_next():
    model, unseen = Planted(bias=1.0), Trap(bias=1.0, seed=7)
    result = search_mixtures(model, model.rows, FAIR, held_out=(unseen, unseen.rows))
    ranked = sorted(result.front, key=lambda c: -c.true["utility@1"])  # best first objective first
    expected = next(i for i, c in enumerate(ranked) if c.alphas["result"] >= 0.7)
    assert expected > 0
    assert result.winner.accepted
    assert result.winner.alphas == ranked[expected].alphas
    assert [r.alphas for r in result.rejections] == [c.alphas for c in ranked[:expected]]
    assert result.winner.tried == expected + 1
    assert f"after {expected} candidates" in result.winner.statement
    for rejection in result.rejections:
        value = rejection.held_out["dp@1"]
        assert 0.1 < value.low <= value.estimate <= value.high
        assert rejection.reasons == [
            f"dp@1 is {value.estimate:.4g} [{value.low:.4g}, {value.high:.4g}] and has to be dp@1 <= 0.1"
        ]


def test_when_nothing_is_accepted_a_single_expert_or_the_base_is_returned():
    model, unseen = Planted(bias=2.0), Planted(bias=40.0, turn=0.0, seed=7)
    result = search_mixtures(model, model.rows, FAIR, held_out=(unseen, unseen.rows))
    assert not result.winner.accepted
    assert result.winner.kind in ("single", "base")
    assert result.winner.tried == len(result.rejections) == len(result.front)
    assert "nothing at hand keeps them" in result.winner.statement

    # a base that keeps the constraints is taken, and said so
    class Tame(Planted):
        def _margins(self, alphas, groups):
            return super()._margins(alphas, groups) + 60 * alphas.abs().sum(1, keepdim=True) * (groups - 0.5)

    tame = Tame(seed=7)
    kept = search_mixtures(model, model.rows, FAIR, held_out=(tame, tame.rows)).winner
    assert (kept.kind, kept.accepted) == ("base", True)
    assert "the base is returned instead, which keeps them" in kept.statement
    assert set(kept.references) == {"the base", *(f"the single expert {n}" for n in model.names)}


def test_intervals_are_stricter_than_estimates():
    model, unseen = Planted(bias=2.0, n=400), Planted(bias=2.0, n=400, seed=7)
    settings = replace(FAIR, constraints=(Constraint("dp@1", "<=", 0.2),))
    by_estimate, by_interval = (
        search_mixtures(model, model.rows, replace(settings, confidence=c), held_out=(unseen, unseen.rows))
        for c in ("estimate", "interval")
    )
    assert by_interval.winner.accepted
    assert by_interval.winner.held_out["dp@1"].high <= 0.2
    assert len(by_interval.rejections) >= len(by_estimate.rejections)


def test_without_held_out_rows_nothing_is_accepted():
    model = Timed()
    winner = search_mixtures(model, model.rows, replace(TRADE, order="compromise")).winner
    assert not winner.accepted
    assert "nothing was validated" in winner.statement
    assert 0 < sum(winner.alphas.values()) < float(BEST.sum())  # between the ends of the front


def test_identical_experts_change_nothing():
    model = Identical()
    result = search_mixtures(model, model.rows, SMALL)
    assert len({tuple(c.true.values()) for c in result.candidates}) == 1
    assert all(g.hypervolume == 0 for g in result.curve)  # nothing to gain over any anchor


def test_floor_of_the_base_and_bounds_hold_everywhere():
    settings = replace(SMALL, base_floor=0.5, bounds={"utility": (0.1, 0.4)})
    model = Planted()
    result = search_mixtures(model, model.rows, settings)
    inside = [c for c in result.candidates if c.origin != "reference"]
    assert max(sum(c.alphas.values()) for c in inside) <= 0.5 + 1e-9
    assert all(0.1 - 1e-9 <= c.alphas["utility"] <= 0.4 + 1e-9 for c in inside)
    assert [c.kind for c in result.candidates if c.origin == "reference"] == ["base", "single", "single", "single"]


def test_counterfactual_gap_as_objective():
    model = Movable(bias=2.0)
    settings = replace(SMALL, objectives=(Objective("brier@1"), Objective("cfr_soft@1")))
    result = search_mixtures(model, model.rows, settings)
    fairest = min(result.front, key=lambda c: c.true["cfr_soft@1"])
    assert fairest.alphas["result"] == pytest.approx(2 / 3, abs=0.05)  # 1 − 1.5·α vanishes: moving changes nothing
    assert fairest.true["cfr_soft@1"] < 0.02


def test_mixtures_are_calibrated_on_the_search_rows_and_judged_with_that_on_others():
    class Shy(Movable):
        """Says no to everybody, however sure it is."""

        def _margins(self, alphas, groups):
            return super()._margins(alphas, groups) / 7 - 3

    shy, unseen = Shy(), Shy(seed=7)
    with pytest.raises(SearchError, match=r"Every mixture says .* the same to all rows"):
        search_mixtures(shy, shy.rows, SMALL)
    settings = replace(SMALL, calibrate=True, objectives=(Objective("acc@1"), Objective("cfr_soft@1")))
    winner = search_mixtures(shy, shy.rows, settings, held_out=(unseen, unseen.rows)).winner
    assert winner.accepted
    assert winner.search["acc@1"] > 0.8
    alphas = torch.tensor([list(winner.alphas.values())], dtype=torch.float64)
    probability = torch.sigmoid(unseen.margins(alphas) / winner.temperature + winner.bias)
    accuracy = ((probability > 0.5) == unseen.rows.labels).double().mean()
    assert winner.held_out["acc@1"].estimate == pytest.approx(float(accuracy))
    moved = torch.sigmoid(unseen.moved(alphas) / winner.temperature + winner.bias)[0]
    shift = (moved[torch.arange(240), 1 - unseen.rows.groups] - probability[0]).abs().mean()
    assert winner.held_out["cfr_soft@1"].estimate == pytest.approx(float(shift))
    one_label = SearchRows(torch.ones_like(shy.rows.labels), shy.rows.groups, ("a", "b"))
    with pytest.raises(SearchError, match="All 240 search rows have one label"):
        search_mixtures(shy, one_label, settings)


def test_seed_determines_the_search():
    model = Planted(bias=2.0, wave=0.2)
    first, again, other = (search_mixtures(model, model.rows, replace(FAIR, seed=s)) for s in (1, 1, 2))
    assert without_clock(first) == without_clock(again)
    assert first.front != other.front
    assert [g.low for g in first.curve] != [g.low for g in other.curve]


def test_re_anchoring_brings_the_surrogate_to_the_truth():
    model = Planted(bias=1.0, wave=0.5, n=400)
    result = search_mixtures(model, model.rows, SMALL)
    errors = [r.deviation["utility@1"].mae for r in result.rounds if r.deviation]
    assert len(errors) == 3
    assert errors[0] > 1e-3
    assert errors[-1] < errors[0] / 3
    assert all(r.cross_validation["dp@1"].mixtures >= 4 for r in result.rounds)


def test_a_killed_search_goes_on_with_the_same_result(tmp_path):
    settings = replace(SMALL, candidates=6)
    whole = Planted(bias=2.0, wave=0.3)
    expected = search_mixtures(whole, whole.rows, settings)
    killed = Planted(bias=2.0, wave=0.3, stop_after=22)
    with pytest.raises(KeyboardInterrupt):
        search_mixtures(killed, killed.rows, settings, folder=tmp_path, batch=4)
    stored = len(list((tmp_path / "evaluations").glob("*.safetensors")))
    resumed = Planted(bias=2.0, wave=0.3)
    found = search_mixtures(resumed, resumed.rows, settings, folder=tmp_path, batch=4)
    assert without_clock(found) == without_clock(expected)
    assert stored == killed.passes > 0
    assert found.true_evaluations == resumed.passes == whole.passes - killed.passes
    assert not list(tmp_path.rglob("*.tmp"))


def test_stops_when_the_hypervolume_stalls():
    model = Timed()
    settings = replace(TRADE, generations=90, rounds=1, stop_gain=0.005, stop_window=5)
    seen = []
    result = search_mixtures(model, model.rows, settings, progress=lambda *event: seen.append(event))
    assert result.rounds[0].stopped
    assert 6 <= len(result.curve) < 90
    volumes = [g.hypervolume for g in result.curve]
    assert volumes[-1] / volumes[-6] - 1 < 0.005
    assert seen == [(g.generation, 90, g.hypervolume) for g in result.curve]


def test_no_feasible_mixture_says_what_is_nearest_and_what_to_relax():
    model = Planted(bias=4.0)
    settings = replace(SMALL, constraints=(Constraint("dp@1", "<=", 0.0),), bounds={"result": (0.0, 0.3)})
    with pytest.raises(
        SearchError, match=r"satisfies dp@1 <= 0, not being constant .* it breaks dp@1 <= 0 by .* Relax"
    ) as caught:
        search_mixtures(model, model.rows, settings)
    assert "result 0.3" in str(caught.value)


def test_what_a_model_or_rows_cannot_give_is_refused():
    model = Planted()
    with pytest.raises(SearchError, match="cfr@1 needs rows moved"):
        search_mixtures(model, model.rows, replace(SMALL, constraints=(Constraint("cfr@1", "<=", 0.1),)))
    with pytest.raises(SearchError, match="latency_ms needs a mixture with a cost model"):
        search_mixtures(model, model.rows, TRADE)
    alone = SearchRows(model.rows.labels, torch.zeros_like(model.rows.groups), ("a", "b"))
    with pytest.raises(SearchError, match=r"dp@1 cannot be estimated .* a 240, b 0"):
        search_mixtures(model, alone, SMALL)
    with pytest.raises(SearchError, match="There is no expert to mix"):
        search_mixtures(Planted(names=(), best=torch.zeros(0).double()), model.rows, SMALL)

    class Wild(Planted):
        def _margins(self, alphas, groups):
            return super()._margins(alphas, groups).masked_fill((alphas.sum(1) > 2.6)[:, None], float("nan"))

    class Broken(Planted):
        def _margins(self, alphas, groups):
            return super()._margins(alphas, groups) / 0

    broken = Broken()
    with pytest.raises(SearchError, match="margins that are not finite"):
        search_mixtures(broken, broken.rows, SMALL)
    wild = Wild(best=torch.ones(3).double())
    result = search_mixtures(wild, wild.rows, replace(SMALL, spread_anchors=0))  # only the anchors are needed
    assert all(sum(c.alphas.values()) <= 2.6 for c in result.candidates)


def test_results_are_written_as_json_and_tables(tmp_path):
    model, unseen = Planted(bias=2.0), Planted(bias=2.0, seed=7)
    result = search_mixtures(model, model.rows, FAIR, held_out=(unseen, unseen.rows))
    result.save(tmp_path / "search")
    written = json.loads((tmp_path / "search/search.json").read_text())
    assert written["winner"]["alphas"] == result.winner.alphas
    assert written["settings"]["constraints"] == ["dp@1 <= 0.1"]
    with (tmp_path / "search/candidates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.candidates)
    assert float(rows[-1]["true.dp@1"]) == result.candidates[-1].true["dp@1"]
    assert {"alpha.utility", "surrogate.dp@1", "deviation.dp@1", "on_front"} <= set(rows[0])
    with (tmp_path / "search/hypervolume.csv").open() as file:
        assert [int(r["generation"]) for r in csv.DictReader(file)] == list(range(1, 19))
    assert (tmp_path / "search/guidance.csv").read_text().startswith("round,generation,status")


@pytest.mark.parametrize("k", [1, 2])
def test_few_experts(k):
    model = Planted(bias=1.0, names=("utility", "result")[:k], best=BEST[:k])
    result = search_mixtures(model, model.rows, SMALL)
    assert len(result.winner.alphas) == k
    assert abs(result.winner.alphas["utility"] - 0.6) < 0.25


class Backfiring(Planted):
    """Mixtures of two experts or more answer the opposite, and set the groups apart; base and single experts do not."""

    def _margins(self, alphas, groups):
        mixed = ((alphas != 0).sum(1) > 1)[:, None]
        sign = (2 * self.rows.labels - 1).double()
        wrong = 50.0 * torch.where(groups > 0, 1.0, -1.0) - 100.0 * sign
        return torch.where(mixed, wrong, super()._margins(alphas, groups))


FREE = replace(TRADE, objectives=(Objective("utility@1"), Objective("dp@1")), constraints=(), refuse_constant=False)


def test_held_out_rows_do_not_accept_what_a_single_expert_outdoes():
    """Without any constraint too: a mixture with utility 0 is no winner while the experts beside it answer well."""
    model, unseen = Planted(), Backfiring(seed=7)
    winner, rejections = (
        getattr(search_mixtures(model, model.rows, FREE, held_out=(unseen, unseen.rows)), part)
        for part in ("winner", "rejections")
    )
    assert winner.kind in ("single", "base")
    mixtures = [r for r in rejections if sum(alpha != 0 for alpha in r.alphas.values()) > 1]
    assert mixtures and all(r.held_out["utility@1"].estimate < 0.1 for r in mixtures)
    assert all("is no worse in any objective and better in one" in r.reasons[0] for r in mixtures)
    assert winner.held_out["utility@1"].estimate > 0.6


def test_held_out_rows_accept_no_constant():
    class Mute(Planted):
        def _margins(self, alphas, groups):
            return super()._margins(alphas, groups).abs() + 1.0

    model, unseen = Planted(), Mute(seed=7)
    found = search_mixtures(model, model.rows, replace(FREE, calibrate=False), held_out=(unseen, unseen.rows))
    assert not found.winner.accepted
    assert all("constant" in rejection.reasons[0] for rejection in found.rejections)


def test_a_mixture_may_cost_so_much_utility_on_held_out_rows():
    """Less fair on the search rows than it is on others, and worse: epsilon says how much worse it may be."""

    class Dull(Planted):
        def _margins(self, alphas, groups):
            many = ((alphas != 0).sum(1) > 1)[:, None]
            margins = super()._margins(alphas, groups)
            tilted = margins + 1.5 * (groups - 0.5)
            return torch.where(many, 0.1 * margins + 2 * self.error, tilted)

    model, unseen = Planted(), Dull(seed=7)
    loose, strict = (
        search_mixtures(model, model.rows, replace(FREE, epsilon=e), held_out=(unseen, unseen.rows))
        for e in (1.0, 0.02)
    )
    assert loose.winner.accepted and loose.winner.kind == "mixture"
    assert any("more than 0.02 worse than" in reason for r in strict.rejections for reason in r.reasons)
    best = max(values["utility@1"].estimate for values in strict.winner.references.values())
    assert strict.winner.held_out["utility@1"].estimate >= best - 0.02


def test_an_epsilon_below_zero_is_refused():
    with pytest.raises(SearchError, match=r"epsilon = -0\.1"):
        replace(FREE, epsilon=-0.1)
