import json
import math
from dataclasses import replace

import pytest
import torch

import llm_experts.search.rounds as rounds
from llm_experts.search import Constraint, Objective, SearchSettings, search_mixtures
from llm_experts.search.box import box_of
from llm_experts.search.fronts.evolution import GENE, Evolution
from llm_experts.search.guiding.advisor import LanguageAdvisor
from llm_experts.search.guiding.guidance import AdviceError, Guidance, GuidanceLog, read_advice, rule_box, summarise
from tests.llm_experts.search.planted import Planted, Timed

NAMES = ("utility", "result", "procedural")
FULL = box_of(SearchSettings(), NAMES)
TRADE = SearchSettings(
    calibrate=False,
    objectives=(Objective("brier@1"), Objective("latency_ms")),
    generations=12,
    population=12,
    rounds=1,
    guidance_every=4,
    stop_gain=None,
    spread_anchors=2,
)


def row(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def test_rule_is_the_hull_with_a_tenth_on_either_side():
    front = torch.stack([row(0.2, 0.5, 0.0), row(0.4, 0.5, 1.0)])
    found = rule_box(FULL, front, 0.1).pairs(NAMES)
    assert found["utility"] == pytest.approx((0.18, 0.42))
    assert found["result"] == pytest.approx((0.495, 0.505))
    assert found["procedural"] == (0.0, 1.0)


def test_advice_is_read_from_a_text_and_cut_to_the_box():
    rule = rule_box(FULL, torch.stack([row(0.2, 0.2, 0.2), row(0.4, 0.4, 0.4)]), 0)
    answer = 'I think {so}: ```{"bounds": {"utility": [0.5, 3], "result": [0, 0.1]}}``` as {"bounds": {}} says.'
    found = read_advice(answer, FULL, rule, NAMES).pairs(NAMES)
    assert found["utility"] == (0.5, 1.0)
    assert found["result"] == (0.0, 0.1)
    assert found["procedural"] == pytest.approx((0.2, 0.4))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("no idea", "no JSON object"),
        ('{"bounds": [1, 2]}', "no JSON object"),
        ('{"bounds": {}}', "no expert"),
        ('{"bounds": {"stranger": [0, 1]}}', "bounds for stranger"),
        ('{"bounds": {"utility": 0.5}}', "no pair of numbers"),
        ('{"bounds": {"utility": [true, 1]}}', "no pair of numbers"),
        ('{"bounds": {"utility": [0.6, 0.4]}}', "0.6 to 0.4"),
        ('{"bounds": {"utility": [0, NaN]}}', "0 to nan"),
        ('{"bounds": {"utility": [0, 1' + 400 * "0" + "]}}", "too large"),
        ('{"bounds": {"utility": [2, 3]}}', "outside 0 to 1"),
    ],
)
def test_malformed_advice(answer, words):
    with pytest.raises(AdviceError, match=words):
        read_advice(answer, FULL, FULL, NAMES)


def test_advice_leaves_the_base_its_floor():
    full = box_of(SearchSettings(base_floor=0.2), NAMES)
    answer = json.dumps({"bounds": {name: [0.5, 0.6] for name in NAMES}})
    with pytest.raises(AdviceError, match="less than its floor"):
        read_advice(answer, full, full, NAMES)


def test_summary_names_goals_limits_experts_and_the_answer():
    settings = SearchSettings(constraints=(Constraint("dp@1", "<=", 0.1),))
    front = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = {"utility@1": torch.linspace(0.5, 0.9, 20), "dp@1": torch.linspace(0, 0.1, 20)}
    text = summarise(front, values, FULL, NAMES, settings)
    for part in ("maximise utility@1; minimise dp@1", "dp@1 <= 0.1", "20 mixtures", "utility@1 0.900", "procedural"):
        assert part in text
    assert read_advice(text, FULL, FULL, NAMES).pairs(NAMES) == FULL.pairs(NAMES)


def test_what_advice_was_worth_by_hand():
    bounds = {"a": (0.0, 0.2), "b": (0.4, 0.6), "c": (0.8, 1.0)}
    turned = {"a": (0.8, 1.0), "b": (0.4, 0.6), "c": (0.0, 0.2)}
    log = GuidanceLog(
        [
            Guidance(1, 10, bounds),
            Guidance(1, 20, bounds, "followed", turned, volume_rule=1.0, volume_advice=1.1),
            Guidance(1, 30, bounds, "beaten", turned, volume_rule=1.0, volume_advice=0.7),
            Guidance(1, 40, bounds, "malformed", reason="no JSON"),
        ]
    )
    log.finish(torch.stack([row(0.1, 0.2, 0.3), row(0.1, 0.2, 0.3)]), ("a", "b", "c"))
    found = log.summary()
    assert (found.asked, found.malformed, found.followed, found.helped) == (3, 1, 1, 0.5)
    assert found.gain == pytest.approx(-0.1)
    assert (found.tau_rule, found.tau_advice) == (1.0, -1.0)
    assert math.isnan(log.entries[0].tau_advice)


def test_genes_keep_their_range_while_the_box_narrows(monkeypatch):
    studies = []

    class Recorded(Evolution):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            studies.append(self.study)

    monkeypatch.setattr(rounds, "Evolution", Recorded)
    model = Timed()
    result = search_mixtures(model, model.rows, TRADE)
    trials = [trial for study in studies for trial in study.trials]
    assert len(trials) == 12 * (12 + 3)  # every stretch first tells what is known
    assert {d for t in trials for d in t.distributions.values()} == {GENE}
    widths = [sum(g.high) - sum(g.low) for g in result.curve]
    assert widths[0] == 3 > widths[4] > 0
    assert [(g.round, g.generation, g.status) for g in result.guidance] == [(1, 4, "rule"), (1, 8, "rule")]


class Oracle:
    """Knows where the best weights are, or says the opposite, or talks nonsense."""

    def __init__(self, centre=None):
        self.centre, self.asked = centre, []

    def __call__(self, summary):
        self.asked.append(summary)
        if self.centre is None:
            return "Everything looks fine to me."
        ranges = {n: [c - 0.02, c + 0.02] for n, c in zip(NAMES, self.centre, strict=True)}
        return "Look here: " + json.dumps({"bounds": ranges})


def test_advice_is_followed_only_where_it_helps():
    settings = SearchSettings(
        calibrate=False,
        objectives=(Objective("brier@1"), Objective("ece@1")), generations=4, population=6, rounds=1, guidance_every=2,
        stop_gain=None, spread_anchors=2,
    )  # fmt: skip
    model = Planted()
    plain = search_mixtures(model, model.rows, settings)
    good = search_mixtures(model, model.rows, settings, advisor=Oracle([0.6, 0.3, 0.2]))
    bad = search_mixtures(model, model.rows, settings, advisor=Oracle([0.02, 0.98, 0.98]))
    assert good.advice.asked == bad.advice.asked == 1
    assert good.guidance[0].status == "followed"
    assert good.advice.helped == 1
    assert good.curve[-1].hypervolume > plain.curve[-1].hypervolume
    assert bad.guidance[0].status == "beaten"
    assert bad.curve[-1].hypervolume == plain.curve[-1].hypervolume
    assert bad.advice.helped == 0
    assert bad.surrogate_evaluations > plain.surrogate_evaluations


def test_malformed_advice_changes_nothing_but_the_count():
    model, advisor = Timed(), Oracle()
    plain, advised = (search_mixtures(model, model.rows, TRADE, advisor=a) for a in (None, advisor))
    assert advised.curve == plain.curve
    assert advised.advice.malformed == advised.advice.asked == len(advisor.asked) == 2
    assert advised.advice.followed == 0
    assert math.isnan(advised.advice.helped)
    assert "minimise latency_ms" in advisor.asked[0]


def test_a_language_model_advises(tiny_base):
    model = Timed()
    settings = replace(TRADE, generations=4, population=6, guidance_every=2)
    result = search_mixtures(model, model.rows, settings, advisor=LanguageAdvisor(tiny_base, new_tokens=8))
    assert result.advice.asked == 1
    assert result.guidance[0].status == "malformed"
    with pytest.raises(AdviceError, match="leaves no room for 900 more"):
        LanguageAdvisor(tiny_base, new_tokens=900)(300 * "word ")
