"""Measures of items: values worked by hand, intervals, and a search on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from llm_experts.search import Constraint, Objective, SearchError, SearchSettings, search_mixtures
from llm_experts.search.books.item_book import ItemBook
from llm_experts.search.books.strata import percentile_ends, stratified_weights
from llm_experts.search.measures import Outputs
from metrics.proportions import unseen_share
from tests.llm_experts.search.planted import Timed

MARGINS = torch.tensor([[2.0, -1.0, 3.0, 0.5, -2.0, -0.1], [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]], dtype=torch.float64)
MOVED = torch.tensor([[1.0, 0, 0, -0.5, 0, -0.2], [1.0, 0, 0, -1.0, 0, 1.0]], dtype=torch.float64)[..., None]
BOOK = ItemBook(
    ("sums", "dates"),
    torch.tensor([0, 0, 0, 0, 1, 1]),
    torch.tensor([1.0, -1.0, -1.0, -1.0, 1.0, -1.0]),
    torch.tensor([True, False, False, True, False, True]),
)
EVERY = ("accuracy", "accuracy:sums", "accuracy:dates", "lowest", "alignment", "zone", "p_right", "latency_ms")
ITEMS = SearchSettings(objectives=(Objective("accuracy"), Objective("lowest")), calibrate=False, refuse_constant=False)


def test_values_by_hand() -> None:
    found = BOOK.values(Outputs(MARGINS, MOVED, torch.tensor([5.0, 6.0])), EVERY)
    expected = {
        "accuracy:sums": [3 / 4, 3 / 4],
        "accuracy:dates": [0.0, 0.0],
        "accuracy": [3 / 8, 3 / 8],
        "lowest": [-1 / 2, -1 / 2],  # the base has 1/4 and 1/2
        "alignment": [2 / 3, 2 / 3],  # right → right, right → wrong, wrong → wrong; … wrong → right
        "latency_ms": [5.0, 6.0],
    }
    for id, values in expected.items():
        torch.testing.assert_close(found[id], torch.tensor(values, dtype=torch.float64))
    p = torch.sigmoid(MARGINS)
    torch.testing.assert_close(found["zone"], p.mean(1))
    torch.testing.assert_close(found["p_right"], (p[:, :4].mean(1) + p[:, 4:].mean(1)) / 2)


def test_a_margin_that_is_no_number_makes_no_value() -> None:
    broken = MARGINS.clone()
    broken[0, 0] = math.nan
    found = BOOK.values(Outputs(broken, MOVED), ("accuracy", "alignment", "lowest"))
    assert all(math.isnan(float(values[0])) and not math.isnan(float(values[1])) for values in found.values())


def test_draws_keep_the_domains_and_are_those_of_weights() -> None:
    weights = stratified_weights(BOOK.of, 50, 3)
    assert set(weights[:, :4].sum(1).tolist()) == {4.0} and set(weights[:, 4:].sum(1).tolist()) == {2.0}
    drawn = BOOK.draws(Outputs(MARGINS, MOVED), ("accuracy", "lowest"), 3, 50)
    by_hand = (weights[:, :4] @ (MARGINS[0, :4] > 0).double()) / 4  # no date is right
    torch.testing.assert_close(drawn["accuracy"][0], by_hand / 2)


def test_interval_covers_about_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(1)
    of = torch.arange(2).repeat_interleave(60)
    truth, inside = torch.tensor([0.8, 0.3]).repeat_interleave(60), 0
    for trial in range(150):
        margins = torch.where(torch.rand(120, generator=generator) < truth, 1.0, -1.0)[None]
        book = ItemBook(("a", "b"), of, torch.zeros(120), torch.zeros(120, dtype=torch.bool))
        drawn = book.draws(Outputs(margins), ("accuracy",), trial, 400)["accuracy"][0]
        low, high = percentile_ends(0.0, drawn, 120, 0.0, 1.0)
        inside += low <= 0.55 <= high
    assert 0.9 <= inside / 150 <= 0.99


def test_without_an_exception_the_interval_stays_open() -> None:
    book = ItemBook(("a",), torch.zeros(40, dtype=torch.int64), torch.zeros(40), torch.zeros(40, dtype=torch.bool))
    value = book.intervals(Outputs(torch.ones(1, 40)), replace(ITEMS, objectives=ITEMS.objectives))["accuracy"]
    assert value.estimate == 1.0 and value.high == 1.0
    assert value.low == pytest.approx(1 - unseen_share(40))


@dataclass
class Choosing:
    """Items of two domains: each expert makes its own domain right, and the second costs the first."""

    names: tuple[str, ...] = ("first", "second")
    hash: str = "choosing"
    n: int = 40
    noise: Tensor = field(
        default_factory=lambda: torch.randn(80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )

    def margins(self, alphas: Tensor) -> Tensor:
        a, b = alphas[:, :1], alphas[:, 1:]
        skill = torch.cat([(2 * a - 2 * b**2).expand(-1, self.n), (2 * b - 0.2 * a).expand(-1, self.n)], 1)
        return skill + self.noise - 0.7

    def moved(self, alphas: Tensor) -> Tensor:
        return (self.margins(alphas) - 1.5 * alphas[:, 1:])[..., None]  # the second expert follows the group

    def book(self) -> ItemBook:
        of = torch.arange(2).repeat_interleave(self.n)
        base = self.margins(torch.zeros(1, 2, dtype=torch.float64))[0]
        return ItemBook(("sums", "dates"), of, base, torch.ones(80, dtype=torch.bool))


SMALL = replace(ITEMS, generations=12, population=12, spread_anchors=6, stop_gain=None, guidance_every=4)


def test_a_search_on_items_keeps_alignment() -> None:
    model = Choosing()
    free = search_mixtures(model, model.book(), SMALL)
    kept = search_mixtures(model, model.book(), replace(SMALL, constraints=(Constraint("alignment", ">=", 0.85),)))
    assert free.winner.search["accuracy"] > kept.winner.search["accuracy"]
    assert kept.winner.search["alignment"] >= 0.85
    assert kept.winner.alphas["second"] < free.winner.alphas["second"]
    assert {"accuracy", "lowest", "alignment"} <= kept.rounds[0].cross_validation.keys()
    assert kept.rounds[0].deviation["alignment"].mixtures > 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (replace(ITEMS, calibrate=True), "calibrate=False"),
        (replace(ITEMS, objectives=(Objective("accuracy"), Objective("dp@1"))), "dp@1 cannot be measured on items"),
        (replace(ITEMS, objectives=(Objective("accuracy"), Objective("accuracy:sql"))), "accuracy:sql cannot"),
        (replace(ITEMS, objectives=(Objective("accuracy"), Objective("latency_ms"))), "cost model"),
    ],
)
def test_refuses_what_items_cannot_give(settings: SearchSettings, said: str) -> None:
    model = Choosing()
    with pytest.raises(SearchError, match=said):
        search_mixtures(model, model.book(), settings)


def test_refuses_alignment_without_group_terms() -> None:
    model = Choosing()
    book = replace(model.book(), swappable=torch.zeros(80, dtype=torch.bool))
    with pytest.raises(SearchError, match="group terms"):
        search_mixtures(model, book, replace(ITEMS, constraints=(Constraint("alignment", ">=", 0.5),)))


def test_rows_refuse_measures_of_items() -> None:
    model = Timed()
    with pytest.raises(SearchError, match="rows of a task"):
        search_mixtures(model, model.rows, ITEMS)


def test_an_item_measure_has_a_direction_and_a_range() -> None:
    assert str(Objective("accuracy:sql")) == "maximise accuracy:sql"
    with pytest.raises(SearchError, match="lies between 0 and 1"):
        replace(ITEMS, constraints=(Constraint("alignment", ">=", 1.2),))
    with pytest.raises(SearchError, match="unknown metric"):
        Objective("acuracy")


def test_a_domain_without_items_is_refused() -> None:
    with pytest.raises(SearchError, match="no item of dates"):
        ItemBook(("sums", "dates"), torch.zeros(3, dtype=torch.int64), torch.zeros(3), torch.zeros(3, dtype=torch.bool))
