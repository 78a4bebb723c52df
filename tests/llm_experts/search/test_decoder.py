import torch

from benchmarks.speed.texts.mixture_search import RandomSvfMixture, labelled
from llm_experts.search import SearchSettings, search_mixtures


def test_a_search_over_svf_vectors_of_a_decoder():
    model = RandomSvfMixture(rows=96, tokens=12, experts=2, start=1)
    alphas = torch.tensor([[0.0, 0.0], [0.3, 0.8]], dtype=torch.float64)
    for alpha, margins in zip(alphas, model.margins(alphas), strict=True):
        torch.testing.assert_close(margins, model.own_pass(alpha), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        plain = model.model(model.ids).logits[:, -1]
    torch.testing.assert_close(model.margins(alphas[:1])[0], plain[:, 1] - plain[:, 0], atol=1e-5, rtol=1e-4)
    settings = SearchSettings(generations=6, population=10, rounds=2, spread_anchors=6, candidates=6, guidance_every=3)
    result = search_mixtures(model, labelled(model), settings)
    assert result.rounds[-1].cross_validation["utility@1"].mae < 0.02
    base = next(c for c in result.candidates if c.kind == "base")
    assert result.winner.search["utility@1"] > base.true["utility@1"]  # labels follow a mixture of both
