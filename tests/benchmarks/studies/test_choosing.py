"""Which expert validation items speak for."""

from dataclasses import replace
from pathlib import Path

from benchmarks.studies.parts.choosing import best_of
from llm_experts.training.loop.assignment import Fitted
from llm_experts.training.loop.fit import fit
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.loop.fixtures import assignment


def of(fitted: Fitted, score: float, logprob: float) -> Fitted:
    row = {"step": 4, "score": score, "logprob": logprob}
    worse = {"step": 2, "score": score - 1, "logprob": 0.0}
    return replace(fitted, score=score, best_step=4, history=[worse, row])


def test_the_score_decides_and_then_the_log_probability(tmp_path: Path) -> None:
    (made,) = fit(make_tiny_base(layers=1), [assignment(steps=1)], folder=tmp_path)
    assert best_of([made]) == 0
    assert best_of([of(made, 0.5, -1.0), of(made, 0.7, -3.0), of(made, 0.6, -0.1)]) == 1
    assert best_of([of(made, 0.7, -2.0), of(made, 0.7, -1.0), of(made, 0.2, -0.1)]) == 1
