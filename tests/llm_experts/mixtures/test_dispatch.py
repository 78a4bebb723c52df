"""Bayesian dispatch: planted clusters, hand-worked priors and words, abstention, calibration, refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB
from torch import Tensor

from foundation.seeding import numpy_generator, torch_generator
from llm_experts.mixtures.dispatch import BayesDispatcher, DispatchError, DispatchSettings, one_hot, responsibilities


def clusters(
    rows: int = 300, experts: int = 3, width: int = 12, gap: float = 6.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Gaussian clusters [n, d] with their expert [n]."""
    generator = torch_generator(seed, "clusters")
    domains = torch.arange(rows) % experts
    centres = gap * torch.eye(experts, width)
    return centres[domains] + torch.randn(rows, width, generator=generator), domains


def test_planted_clusters_are_recovered() -> None:
    states, domains = clusters()
    dispatcher = BayesDispatcher().fit(states, None, one_hot(domains, 3))
    new, truth = clusters(seed=1)
    posterior = dispatcher.posterior(new)
    assert posterior.shape == (300, 4)
    assert torch.allclose(posterior.sum(dim=1), torch.ones(300, dtype=torch.float64))
    assert (posterior[:, 1:].argmax(dim=1) == truth).all()
    assert (posterior.argmax(dim=1) == truth + 1).double().mean() > 0.97, "few rows look foreign"


def test_soft_responsibilities_recover_the_clusters_too() -> None:
    states, domains = clusters()
    losses = torch.rand(300, 3, generator=torch_generator(0, "losses")) + 1.5 * (1 - one_hot(domains, 3))
    dispatcher = BayesDispatcher().fit(states, None, responsibilities(losses))
    new, truth = clusters(seed=1)
    assert (dispatcher.posterior(new)[:, 1:].argmax(dim=1) == truth).double().mean() > 0.99


def test_distances_agree_with_ledoit_wolf_and_ranking_with_discriminant_analysis() -> None:
    states, domains = clusters(gap=2.0)
    dispatcher = BayesDispatcher(DispatchSettings(variance=1.0)).fit(states, None, one_hot(domains, 3))
    x = states.double().numpy()
    whitened = (x - x.mean(axis=0)) @ dispatcher._tensors["projection"].numpy()
    assert np.allclose(np.cov(whitened.T, bias=True), np.eye(12), atol=1e-8)
    means = np.stack([whitened[domains.numpy() == k].mean(axis=0) for k in range(3)])
    residuals = whitened - means[domains.numpy()]
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(residuals).covariance_)
    apart = whitened[:5, None] - means
    expected = np.einsum("rkd,de,rke->rk", apart, precision, apart)
    assert np.allclose(dispatcher.evidence(states[:5]).distances.numpy(), expected, rtol=1e-6)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[1 / 3] * 3).fit(x, domains.numpy())
    ours = dispatcher.posterior(states)[:, 1:].argmax(dim=1).numpy()
    assert (ours == lda.predict(x)).mean() > 0.95, "it shrinks in another basis"


def test_a_row_far_from_everything_goes_to_the_base() -> None:
    states, domains = clusters()
    dispatcher = BayesDispatcher().fit(states, None, one_hot(domains, 3))
    far = torch.full((4, 12), 50.0)
    assert dispatcher.abstains(far).all()
    assert torch.equal(dispatcher.weights(far), torch.eye(4, dtype=torch.float64)[:1].expand(4, 4))
    assert dispatcher.posterior(far)[:, 0].min() > 0.99, "the broad Gaussian of the base alone says so too"
    assert dispatcher.abstains(states).double().mean() < 0.05


def test_an_unsure_row_goes_to_the_base() -> None:
    states, domains = clusters(experts=2)
    settings = DispatchSettings(threshold=0.9, confidence=1 - 1e-12)
    dispatcher = BayesDispatcher(settings).fit(states, None, one_hot(domains, 2))
    between = torch.stack([states[domains == k].mean(dim=0) for k in range(2)]).mean(dim=0, keepdim=True)
    assert dispatcher.abstains(between).item()
    assert dispatcher.weights(between)[0].tolist() == [1, 0, 0]
    assert not dispatcher.abstains(states[:1]).item()


def test_outcomes_move_prior_and_posterior_by_the_hand_worked_amount() -> None:
    states, domains = clusters(experts=2, gap=1.0)
    dispatcher = BayesDispatcher().fit(states, None, one_hot(domains, 2))
    assert torch.allclose(dispatcher.prior(), torch.full((3,), 1 / 3, dtype=torch.float64))
    before = dispatcher.posterior(states[:8])
    dispatcher.update(1, won=True, times=3)  # Beta(4, 1): mean 4/5
    dispatcher.update("expert 2", won=False)  # Beta(1, 2): mean 1/3; base stays at 1/2
    expected = torch.tensor([1 / 2, 4 / 5, 1 / 3], dtype=torch.float64)
    assert torch.allclose(dispatcher.prior(), expected / expected.sum())
    after = dispatcher.posterior(states[:8])
    odds = (after[:, 1] / after[:, 2]) / (before[:, 1] / before[:, 2])
    assert torch.allclose(odds, torch.full((8,), (4 / 5) / (1 / 3), dtype=torch.float64))


def test_thompson_sampling_draws_priors_around_the_success_rates() -> None:
    states, domains = clusters(experts=2)
    dispatcher = BayesDispatcher().fit(states, None, one_hot(domains, 2))
    dispatcher.update(1, won=True, times=400)
    dispatcher.update(2, won=False, times=400)
    generator = numpy_generator(0, "thompson")
    draws = torch.stack([dispatcher.prior(generator) for _ in range(50)])
    assert (draws[:, 1] > draws[:, 2]).all()
    assert draws[:, 0].std() > 0.05, "nothing is known of the base: its share varies"
    assert torch.allclose(draws.sum(dim=1), torch.ones(50, dtype=torch.float64))


def test_keyword_evidence_by_hand() -> None:
    # expert 1 has rows {loan}, {loan, rent}; expert 2 has {rent}, {}: rates (1 + count) / (2 + rows)
    states = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.0], [0.0, 0.6]])
    words = [{"loan"}, {"loan", "rent"}, {"rent"}, set()]
    settings = DispatchSettings(min_rows=1)
    dispatcher = BayesDispatcher(settings).fit(states, words, one_hot(torch.tensor([0, 0, 1, 1]), 2))
    assert dispatcher.vocabulary == {"loan": 0, "rent": 1}
    found = dispatcher.evidence(states[:1], [{"loan", "unheard"}]).keywords[0]
    expected = [
        math.log(3 / 6) + math.log(1 - 3 / 6),  # base: all four rows, two with each word
        math.log(3 / 4) + math.log(1 - 2 / 4),
        math.log(1 / 4) + math.log(1 - 2 / 4),
    ]
    assert found.tolist() == pytest.approx(expected)
    explained = dispatcher.explain(states[0], {"loan", "unheard"})["experts"]
    assert explained["expert 1"]["keywords"] == pytest.approx(expected[1])
    assert [word for word, _ in explained["expert 1"]["words"]] == ["loan"]
    assert explained["expert 1"]["words"][0][1] > 0 > explained["expert 2"]["words"][0][1]


def test_keyword_evidence_agrees_with_bernoulli_naive_bayes() -> None:
    generator = numpy_generator(0, "words")
    table = generator.random((80, 6)) < 0.4
    labels = generator.integers(0, 3, 80)
    words = [{f"w{k}" for k in np.flatnonzero(row)} for row in table]
    states = torch.randn(80, 5, generator=torch_generator(0, "states"))
    dispatcher = BayesDispatcher().fit(states, words, one_hot(torch.from_numpy(labels), 3))
    oracle = BernoulliNB(alpha=1.0, fit_prior=False).fit(table, labels)
    ours = dispatcher.evidence(states, words).keywords[:, 1:]
    theirs = oracle._joint_log_likelihood(table) - oracle.class_log_prior_
    assert np.allclose(ours.numpy(), theirs)


def test_words_decide_where_states_do_not() -> None:
    states = torch.randn(200, 4, generator=torch_generator(0, "noise"))
    domains = torch.arange(200) % 2
    words = [{"sql"} if k == 0 else {"poem"} for k in domains.tolist()]
    dispatcher = BayesDispatcher().fit(states, words, one_hot(domains, 2))
    assert (dispatcher.posterior(states, words)[:, 1:].argmax(dim=1) == domains).all()


def test_top_k_weights_sum_to_one_and_keep_the_largest() -> None:
    states, domains = clusters(experts=4, gap=1.0)
    dispatcher = BayesDispatcher(DispatchSettings(confidence=1 - 1e-12)).fit(states, None, one_hot(domains, 4))
    posterior = dispatcher.posterior(states)
    for k in (1, 2, 3, 9):
        weights = dispatcher.weights(states, top_k=k)
        assert torch.allclose(weights.sum(dim=1), torch.ones(300, dtype=torch.float64))
        assert ((weights > 0).sum(dim=1) == min(k, 5)).all()
        kept = weights > 0
        shares = posterior * kept
        assert torch.allclose(weights, shares / shares.sum(dim=1, keepdim=True))
        assert posterior[kept].min() > 0
        assert torch.equal(weights.argmax(dim=1), posterior.argmax(dim=1))
    assert torch.allclose(dispatcher.weights(states, top_k=5), posterior)


def test_identical_experts_get_equal_weights() -> None:
    states, _ = clusters(experts=1)
    alike = torch.full((300, 3), 1 / 3)
    dispatcher = BayesDispatcher(DispatchSettings(confidence=1 - 1e-12)).fit(states, None, alike)
    weights = dispatcher.weights(states)
    assert torch.allclose(weights[:, 1:], weights[:, 1:2].expand(-1, 3))
    assert (weights[:, 1] > 0.3).double().mean() > 0.9, "three ties are all kept although top_k is 2"


def test_calibration_lowers_the_likelihood_loss_of_validation_rows() -> None:
    states, domains = clusters(gap=1.5, width=30)
    words = [{f"w{k}", f"x{k}", f"y{k}"} for k in domains.tolist()]  # one word counted three times: overconfident
    dispatcher = BayesDispatcher().fit(states, words, one_hot(domains, 3))
    new, truth = clusters(gap=1.5, width=30, seed=1)
    noisy = (truth + (torch.rand(300, generator=torch_generator(1, "noise")) < 0.4)) % 3
    heard = [{f"w{k}", f"x{k}", f"y{k}"} for k in noisy.tolist()]
    right = one_hot(truth, 3)

    def loss() -> float:
        return -float(dispatcher.posterior(new, heard)[torch.arange(300), truth + 1].log().mean())

    before = loss()
    report = dispatcher.calibrate(new, heard, right)
    assert report["nll_before"] == pytest.approx(before)
    assert report["nll_after"] == pytest.approx(loss())
    assert report["nll_after"] < 0.7 * before
    assert dispatcher.settings.w_keywords < 0.5
    again = dispatcher.calibrate(new, heard, right)
    assert again["nll_after"] == pytest.approx(report["nll_after"], abs=1e-6), "it was the minimum"


def test_shares_of_the_base_count_in_calibration() -> None:
    states, domains = clusters()
    dispatcher = BayesDispatcher().fit(states, None, one_hot(domains, 3))
    report = dispatcher.calibrate(states, None, one_hot(domains - 1, 3))  # a third of the rows are the base's
    logs = dispatcher.posterior(states).log()
    assert report["nll_after"] == pytest.approx(-float(logs[torch.arange(300), domains].mean()))


def test_saved_and_loaded_dispatcher_is_the_same(tmp_path: Path) -> None:
    states, domains = clusters()
    words = [{f"w{k}", "é"} if k else {f"w{k}"} for k in domains.tolist()]
    dispatcher = BayesDispatcher(DispatchSettings(top_k=3)).fit(states, words, one_hot(domains, 3), ["a", "b", "c"])
    dispatcher.update("b", won=True)
    dispatcher.calibrate(states, words, one_hot(domains, 3))
    dispatcher.save(tmp_path / "dispatcher")
    loaded = BayesDispatcher.load(tmp_path / "dispatcher")
    assert loaded.settings == dispatcher.settings
    assert loaded.names == ("base", "a", "b", "c")
    assert torch.equal(loaded.weights(states, words), dispatcher.weights(states, words))
    assert loaded.explain(states[0], words[0]) == dispatcher.explain(states[0], words[0])
    with pytest.raises(DispatchError, match="holds no dispatcher"):
        BayesDispatcher.load(tmp_path)


def test_explanation_adds_up_to_the_posterior() -> None:
    states, domains = clusters(gap=2.0)
    words = [{f"w{k}"} for k in domains.tolist()]
    dispatcher = BayesDispatcher(DispatchSettings(w_keywords=0.5, temperature=2.0)).fit(
        states, words, one_hot(domains, 3)
    )
    told = dispatcher.explain(states[0], words[0])
    parts = told["experts"].values()
    logs = torch.tensor([p["log_prior"] + p["states"] + p["keywords"] for p in parts], dtype=torch.float64)
    assert torch.softmax(logs, dim=0).tolist() == pytest.approx([p["posterior"] for p in parts])
    assert not told["abstains"]
    far = dispatcher.explain(torch.full((12,), 90.0), set())
    assert far["abstains"]
    assert "further than" in far["reason"]
    assert far["experts"]["base"]["weight"] == 1


def test_words_that_tell_nothing_change_nothing(tmp_path: Path) -> None:
    states, domains = clusters()
    words = [{"everywhere"}] * 300
    dispatcher = BayesDispatcher().fit(states, words, one_hot(domains, 3))
    assert dispatcher.vocabulary == {}
    plain = BayesDispatcher().fit(states, None, one_hot(domains, 3))
    assert torch.equal(dispatcher.posterior(states, words), plain.posterior(states))
    assert dispatcher.calibrate(states, words, one_hot(domains, 3))["nll_after"] > 0
    assert dispatcher.explain(states[0], {"everywhere"})["experts"]["base"]["words"] == []
    dispatcher.save(tmp_path / "dispatcher")
    assert torch.equal(BayesDispatcher.load(tmp_path / "dispatcher").prior(), plain.prior())


def test_the_same_rows_give_the_same_dispatcher() -> None:
    states, domains = clusters()
    first, second = (BayesDispatcher().fit(states, None, one_hot(domains, 3)) for _ in range(2))
    assert torch.equal(first.posterior(states), second.posterior(states))


def test_responsibilities_from_losses() -> None:
    losses = torch.tensor([[math.log(4.0), 0.0], [0.0, 0.0]])
    assert responsibilities(losses).tolist() == [[pytest.approx(0.2), pytest.approx(0.8)], [0.5, 0.5]]
    with_base = responsibilities(losses, base_losses=torch.zeros(2))
    assert with_base[1].tolist() == pytest.approx([1 / 3, 1 / 3])
    with pytest.raises(DispatchError, match="not finite"):
        responsibilities(torch.tensor([[math.nan]]))
    assert one_hot(torch.tensor([-1, 1]), 2).tolist() == [[0, 0], [0, 1]]
    with pytest.raises(DispatchError, match="domains"):
        one_hot(torch.tensor([2]), 2)


def test_degenerate_input_is_refused_with_a_remedy() -> None:
    states, domains = clusters()
    right = one_hot(domains, 3)
    fit = BayesDispatcher().fit
    with pytest.raises(DispatchError, match=r"no rows for 'expert 4'.*leave it out"):
        fit(states, None, one_hot(domains, 4))
    with pytest.raises(DispatchError, match="all states are the same"):
        fit(torch.full((300, 5), 0.3), None, right)
    with pytest.raises(DispatchError, match="every expert's rows are all the same"):
        fit(torch.eye(3)[domains], None, right)
    broken = states.clone()
    broken[7, 2] = math.nan
    with pytest.raises(DispatchError, match=r"first: row 7.*leave these rows out"):
        fit(broken, None, right)
    with pytest.raises(DispatchError, match="at least two rows"):
        fit(states[:1], None, right[:1])
    with pytest.raises(DispatchError, match="a column per expert"):
        fit(states, None, right[:10])
    with pytest.raises(DispatchError, match="sum to at most 1"):
        fit(states, None, 2 * right)
    with pytest.raises(DispatchError, match="sum to at most 1"):
        fit(states, None, torch.full((300, 3), math.nan))
    with pytest.raises(DispatchError, match="one set per row"):
        fit(states, [{"a"}], right)
    with pytest.raises(DispatchError, match="one name per expert"):
        fit(states, None, right, ["one"])


def test_wrong_questions_are_refused() -> None:
    states, domains = clusters()
    dispatcher = BayesDispatcher()
    with pytest.raises(DispatchError, match="not fitted"):
        dispatcher.posterior(states)
    dispatcher.fit(states, None, one_hot(domains, 3))
    with pytest.raises(DispatchError, match=r"fitted on \[rows, 12\]"):
        dispatcher.posterior(states[:, :3])
    with pytest.raises(DispatchError, match="keywords are given to a dispatcher fitted without"):
        dispatcher.posterior(states[:1], [{"a"}])
    with pytest.raises(DispatchError, match="not finite"):
        dispatcher.posterior(torch.full((1, 12), math.inf))
    with pytest.raises(DispatchError, match="no expert 'nobody'"):
        dispatcher.update("nobody", won=True)
    with pytest.raises(DispatchError, match="experts are 0"):
        dispatcher.update(4, won=True)
    with pytest.raises(DispatchError, match="at least one"):
        dispatcher.weights(states, top_k=0)
    with pytest.raises(DispatchError, match="columns of responsibilities"):
        dispatcher.calibrate(states, None, one_hot(domains, 4))


def test_constant_features_beside_real_ones_do_no_harm() -> None:
    states, domains = clusters()
    padded = torch.cat([states, torch.full((300, 2), 7.0)], dim=1)
    plain = BayesDispatcher().fit(states, None, one_hot(domains, 3))
    dispatcher = BayesDispatcher().fit(padded, None, one_hot(domains, 3))
    assert torch.allclose(dispatcher.posterior(padded), plain.posterior(states), atol=1e-6)


def test_fewer_rows_than_features() -> None:
    states, domains = clusters(rows=20, experts=2, width=200, gap=12.0)
    dispatcher = BayesDispatcher().fit(states, None, one_hot(domains, 2))
    assert (dispatcher.posterior(states).argmax(dim=1) == domains + 1).all()
