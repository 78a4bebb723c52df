"""Statistics over items and seeds, what lanes make of pairs, and the entrance to all studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.studies.__main__ import STUDIES, listing, main
from benchmarks.studies.parts.measures import preferred, right, surprise
from benchmarks.studies.parts.statistics import Estimate, difference_of, gain, mean_of, share
from llm_experts.data.example import Message
from llm_experts.families.registry import FAMILIES
from llm_experts.prompts.chat import PLAIN_STOP
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.methods.method_fixtures import EXAMPLES


def test_an_interval_knows_of_items_and_of_seeds() -> None:
    generator = np.random.default_rng(0)
    items = (generator.random((1, 400)) < 0.5).astype(float)
    alike = mean_of(np.repeat(items, 3, 0))
    spread = 1.96 * items.std() / 20
    assert alike.high - alike.low == pytest.approx(2 * spread, rel=0.1)
    apart = mean_of(items + np.array([[-0.3], [0.0], [0.3]]))
    assert apart.high - apart.low > 3 * (alike.high - alike.low)
    assert alike.mean == apart.mean == pytest.approx(items.mean())


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    generator = np.random.default_rng(1)
    one = generator.normal(size=(3, 100))
    gain = difference_of(one + 0.1, one)
    assert (gain.low, gain.high) == pytest.approx((0.1, 0.1)) and gain.p == pytest.approx(1 / 4001)
    none = difference_of(one, generator.permuted(one, axis=1))
    assert none.p is not None and none.p > 0.05 and none.low < 0 < none.high


def test_an_estimate_is_written_with_what_it_has() -> None:
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(Estimate(0.5, 0.25, 0.75, 0.004)) == "0.500 [0.250, 0.750], p = 0.004"


def test_a_share_and_a_gain_are_sure_of_nothing_where_all_items_agree() -> None:
    """Wilson of 50 in 100: .404 to .596. 60 of 60 items gained: the interval still has a width."""
    assert share(50, 100) == "0.50 [0.40, 0.60]"
    assert gain(np.zeros(60), np.ones(60)) == "+1.00 [+0.91, +1.00]"
    assert gain(np.zeros(60), np.zeros(60)) == "+0.00 [-0.06, +0.06]"


def test_an_answer_ends_where_the_form_of_conversation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_tiny_base(layers=2)
    lanes, family = SequenceLanes.fresh(base, "ia3", [None], [0]), FAMILIES["lookup"]
    asked = [replace(e, prompt=(Message("user", str(e.prompt)),)) for e in family.make("test", 2, 0, 0.0)]
    stops: list[Any] = []
    sample = lanes.sample

    def noted(*given: Any, **named: Any) -> Any:
        stops.append(named["stop"])
        return sample(*given, **named)

    monkeypatch.setattr(lanes, "sample", noted)
    assert right(lanes, family, asked).shape == (1, 2)
    assert stops == [(PLAIN_STOP,)]


def test_measures_of_a_base_are_those_of_its_own_probabilities() -> None:
    from llm_experts.training.loop.order import items_of, micro_batches
    from llm_experts.training.loop.settings import Settings

    base = make_tiny_base(layers=2)
    lanes = SequenceLanes.fresh(base, "ia3", [None, None], [0, 1])
    (batch,) = micro_batches([items_of(EXAMPLES, base, Settings(), "pair")], base.device)
    whole = lanes.base_logprobs(batch).sum(-1)
    told, order = whole[:4], batch.rows
    rank = (told > whole[4:]).double()[order.argsort()].numpy()
    assert preferred(lanes, EXAMPLES).tolist() == [rank.tolist()] * 2
    tokens = batch.learnt[:4].sum(-1)
    np.testing.assert_allclose(surprise(lanes, EXAMPLES)[0], (-told / tokens)[order.argsort()].numpy(), rtol=1e-5)


def test_studies_are_listed_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trainers" in STUDIES and "parts" not in STUDIES
    main([])
    assert listing() in capsys.readouterr().out
    with pytest.raises(SystemExit, match="There is no study 'nothing'"):
        main(["nothing"])


@pytest.mark.parametrize("name", ["real_base", "scope"])
def test_what_a_user_can_mend_is_a_paragraph(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A base that is not there, as anybody types it."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--base", str(tmp_path / "no_base"), *(["--output", str(tmp_path)] if name == "real_base" else [])])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 2
    assert said.startswith(f"{name}: ") and "no_base" in said
