import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from benchmarks.methods.baselines import edits, fairvgnn
from benchmarks.methods.baselines._graph_operators import gcn_operator, undirected
from benchmarks.methods.baselines._linear_gcn import LinearGCN, weighted_operator
from metrics.points import point_values
from tasks.load import load_task

QUICK = {"epochs": 20, "classifier_steps": 2, "discriminator_steps": 2, "generator_steps": 2}
EDITS = {"removed": 4, "rewiring": 1.0, "lr": 1e-2, "epochs": 50}


@pytest.fixture(scope="module")
def german():
    return load_task("german", protocol="nifty", with_edges=True, progress=False)


@pytest.fixture(scope="module")
def view(german):
    return german.view()


def other_test_groups(view):
    groups = view.groups.clone()
    groups[view.split.test] = 1 - groups[view.split.test]
    return dataclasses.replace(view, groups=groups)


# The shared layer ---------------------------------------------------------------------------------------------------


def test_layers_multiplied_out_are_the_layers():
    model = LinearGCN.drawn(torch.tensor([1.0, 0.0, 1.0]), seed=3)
    with torch.no_grad():
        model.bias.copy_(torch.arange(16.0))
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
        by_hand = model.head(model.layer(x * model.mask) + model.bias)[:, 0]
        torch.testing.assert_close(model(x), by_hand)
        x[:, 1] = 1e6
        torch.testing.assert_close(model(x), by_hand)  # a masked column is never read


@pytest.mark.data
def test_weighted_operator_on_a_path_of_three(view):
    path = dataclasses.replace(view, features=torch.zeros(3, 2), edges=torch.tensor([[0, 1], [1, 2]]))
    found = weighted_operator(path, torch.tensor([1.0, 0.5])).to_dense()
    # degrees with loops: 2, 2.5, 1.5
    expected = torch.tensor(
        [[1 / 2, 1 / 5**0.5, 0], [1 / 5**0.5, 1 / 2.5, 0.5 / 3.75**0.5], [0, 0.5 / 3.75**0.5, 1 / 1.5]]
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.data
def test_weights_of_one_give_the_operator_of_a_gcn(view):
    edges = undirected(view).shape[1] // 2
    torch.testing.assert_close(weighted_operator(view, torch.ones(edges)).to_dense(), gcn_operator(view).to_dense())


# EDITS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "others", "slack"), [(40, 40, 1e-6), (37, 80, 0.02), (15, 200, 0.04)])
def test_distance_agrees_with_scipy(members, others, slack):
    rng = np.random.default_rng(members)
    values = np.concatenate([rng.normal(0.5, 1, (members, 3)), rng.normal(0, 2, (others, 3))]).astype(np.float32)
    member = torch.arange(members + others) < members
    found, _ = edits.wasserstein(torch.from_numpy(values), member)
    truth = [wasserstein_distance(values[:members, j], values[members:, j]) for j in range(3)]
    np.testing.assert_allclose(found.numpy(), truth, atol=slack)


def test_gradient_says_how_the_distance_changes():
    values = torch.randn(20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    member = torch.arange(20) % 2 == 0
    _, gradient = edits.wasserstein(values, member)
    for row, column in ((0, 0), (7, 1), (12, 0)):
        moved = values.clone()
        moved[row, column] += 1e-6
        slope = (edits.wasserstein(moved, member)[0] - edits.wasserstein(values, member)[0])[column] / 1e-6
        assert float(slope) == pytest.approx(float(gradient[row, column]), abs=1e-4)


def test_equal_groups_have_no_distance_and_a_missing_group_is_told():
    values = torch.arange(6.0).repeat(2)[:, None]
    groups = torch.arange(12) // 6
    assert float(edits.bias(values, groups, 2)[0]) == 0
    with pytest.raises(ValueError, match="a group has none"):
        edits.bias(values, torch.zeros(12, dtype=torch.int64), 2)


@pytest.mark.data
def test_the_sensitive_attribute_is_removed_first_and_one_attribute_always_stays(view):
    assert view.feature_names[int(edits.without_attributes(view, 1).argmin())] == "Gender"
    kept = [int(edits.without_attributes(view, n).sum()) for n in (0, 4, 500)]
    assert kept == [27, 23, 1]


@pytest.mark.data
def test_edges_lose_weight_where_it_brings_the_groups_together(view):
    kept = edits.without_attributes(view, 4)
    features = edits.unit_columns(view.features) * kept
    ones = torch.ones(undirected(view).shape[1] // 2)
    torch.testing.assert_close(edits.edge_weights(view, kept, 0), ones)
    before = edits._structural_bias(view, features, ones)[0]
    half, full = (edits.edge_weights(view, kept, r) for r in (0.5, 1.0))
    after = [edits._structural_bias(view, features, w)[0] for w in (half, full)]
    assert after[1] < after[0] < before and after[1] < 0.85 * before
    assert 0 <= float(full.min()) < 0.5 and float(full.max()) <= 1


@pytest.mark.data
def test_edge_gradient_agrees_with_autograd(view):
    """The distance is piecewise linear in the propagated values, so its gradient chains through both hops."""
    ones = torch.ones(undirected(view).shape[1] // 2)
    features = edits.unit_columns(view.features).clone()
    _, gradient = edits._structural_bias(view, features, ones)
    both, rows = undirected(view), view.split.train
    degree = torch.ones(len(features)).index_add_(0, both[0], torch.ones(both.shape[1]))
    weights = ones.clone().requires_grad_()
    dense = torch.diag(1 / degree).index_put(
        (both[0], both[1]), weights.repeat(2) * (degree[both[0]] * degree[both[1]]).rsqrt(), accumulate=True
    )
    one = dense @ features
    two = dense @ one
    total = sum((v[rows] * edits.bias(v[rows].detach(), view.groups[rows], 2)[1]).sum() for v in (one, two))
    torch.autograd.backward(total)
    torch.testing.assert_close(gradient, weights.grad, atol=1e-7, rtol=1e-3)


# Both ---------------------------------------------------------------------------------------------------------------

FITS = [
    pytest.param(lambda v, seed=0, **more: edits.fit(v, EDITS | more, seed), id="edits"),
    pytest.param(lambda v, seed=0, **more: fairvgnn.fit(v, QUICK | more, seed), id="fairvgnn"),
]


@pytest.mark.data
@pytest.mark.parametrize("fit", FITS)
def test_seed_decides_and_groups_and_labels_of_test_rows_do_not(view, fit):
    rows = view.split.test
    first = fit(view).logits(view, rows)
    assert torch.equal(first, fit(view).logits(view, rows))
    assert torch.equal(first, fit(other_test_groups(view)).logits(view, rows))
    assert not torch.equal(first, fit(view, seed=1).logits(view, rows))
    assert view.labels[rows].eq(-1).all() and first.isfinite().all()


@pytest.mark.data
@pytest.mark.parametrize("fit", FITS)
def test_attributions_are_exact_and_masked_columns_are_unknown_everywhere(view, fit):
    expert, rows = fit(view), view.split.validation[:20]
    nothing = torch.zeros(20, len(view.columns), dtype=torch.bool)
    total = expert.logits(view, rows) - expert.logits(view, rows, nothing)
    torch.testing.assert_close(expert.attributions(view, rows).sum(1), total, atol=1e-3, rtol=1e-3)
    keep = ~nothing
    keep[:, 3] = False
    gone = view.features.clone()
    gone[:, view.column_of_feature == 3] = 0
    torch.testing.assert_close(
        expert.logits(view, rows, keep), expert.logits(view.with_features(gone), rows), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("method", [edits.METHOD, fairvgnn.METHOD], ids=["edits", "fairvgnn"])
def test_search_space_holds_parameters_of_the_fit_and_published_settings_are_whole(method):
    module = edits if method is edits.METHOD else fairvgnn
    known = edits.PUBLISHED if module is edits else fairvgnn.DEFAULTS
    assert set(method.space()) <= set(known)
    for dataset in ("german", "bail", "credit", "bail_clean"):
        assert set(method.published(dataset)) == set(known)
    assert method.fair and method.graph and not method.sensitive_at_prediction


# FairVGNN -----------------------------------------------------------------------------------------------------------


def game_of(view, **settings):
    settings = fairvgnn.DEFAULTS | QUICK | settings
    return fairvgnn._game(view, gcn_operator(view) @ view.features, settings, 0), settings


@pytest.mark.data
def test_weights_are_clipped_to_the_share_of_kept_masks(view):
    game, settings = game_of(view, clip=0.05, epochs=3, clip_head=0.02)
    fairvgnn._play(game, settings)
    assert float(game.model.layer.weight.detach().abs().max()) <= 0.05
    assert float(game.model.head.weight.detach().abs().max()) <= 0.02
    with torch.no_grad():
        game.model.layer.weight.fill_(1)
    bound = torch.linspace(0, 1, 27)
    fairvgnn._clip(game, bound, 0.0)
    torch.testing.assert_close(game.model.layer.weight.data, bound.expand(16, 27))


@pytest.mark.data
def test_group_logits_are_those_of_the_layers(view):
    game, _ = game_of(view, adversary_rows=50)
    masks = game.masks(3).detach()
    for k, mask in enumerate(masks):
        hidden = game.model.layer(game.grouped[0] * mask) + game.model.bias
        torch.testing.assert_close(game.group_logits(masks)[:, k], game.discriminator(hidden), atol=1e-3, rtol=1e-3)


@pytest.mark.data
def test_discriminator_sees_no_row_of_the_test_part(view):
    game, _ = game_of(view, adversary_rows=0)
    assert len(game.grouped[0]) == len(view.features) - len(view.split.test)
    assert len(game_of(view, adversary_rows=50)[0].grouped[0]) == 50


@pytest.mark.data
@pytest.mark.parametrize("steps", ["discriminator_steps", "classifier_steps", "generator_steps"])
def test_every_loss_moves_the_model(view, steps):
    plain = fairvgnn._play(*game_of(view, epochs=3))[0]
    without = fairvgnn._play(*game_of(view, epochs=3, **{steps: 0}))[0]
    assert not torch.allclose(plain, without)


@pytest.mark.data
def test_the_price_of_masking_keeps_attributes(view):
    cheap, dear = (fairvgnn._play(*game_of(view, epochs=60, ratio=ratio))[1][-20:].mean() for ratio in (0.0, 20.0))
    assert float(dear) > float(cheap) + 0.05


@pytest.mark.data
def test_epochs_are_chosen_by_utility_and_gaps(german, view):
    """Three models: by label and group, by label alone (worse), and a constant one."""
    rows = torch.arange(len(view.features))
    shown = torch.stack([german.labels * 2.0 - 1, view.groups * 2.0 - 1, (rows % 5 == 0).float()], dim=1)
    unfair, fair, constant = torch.tensor([[1.0, -2.5, 0, 1.5], [1.0, 0, -1.5, 0.0], [0, 0, 0, 1.0]])
    lines = torch.stack([constant, unfair, fair])
    part = view.split.validation
    v = point_values(
        torch.sigmoid(lines[:, :-1] @ shown[part].T + lines[:, -1:]), view.labels[part], view.groups[part], 2
    )
    utility, gaps = v["auc@1"] + v["f1@1"] + v["acc@1"], v["dp@1"] + v["eopp@1"]
    for alpha in (0.0, 1.0, 50.0):
        assert fairvgnn._chosen(lines, shown, view, alpha) == int((utility - alpha * gaps).argmax())
    assert fairvgnn._chosen(lines, shown, view, 50.0) == 0  # nothing is as fair as a constant


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "seeds", "accuracy", "parity"),
    [(edits.METHOD, 12, (71.60, 0.89), (4.05, 4.48)), (fairvgnn.METHOD, 3, (70.16, 0.86), (1.71, 1.68))],
    ids=["edits", "fairvgnn"],
)
def test_published_settings_reach_the_published_interval_on_german(german, view, method, seeds, accuracy, parity):
    """FairVGNN's main table (KDD 2022), mean ± 2 standard deviations; and the spread of our own seeds.

    Some seeds of EDITS collapse (accuracy 60 to 74 over twelve seeds, standard deviation 4.5), and which ones they are
    depends on how a processor rounds. So the median is compared, and its own standard error (that of a median,
    √(π/2) s / √n) counts beside the published spread.
    """
    rows, found = german.split.test, []
    for seed in range(seeds):
        probability = torch.sigmoid(method.fit(view, method.published("german"), seed).logits(view, rows))[None]
        found.append(point_values(probability, german.labels[rows], german.groups[rows], 2))
    for metric, (mean, std) in (("acc@1", accuracy), ("dp@1", parity)):
        ours = 100 * np.array([float(v[metric]) for v in found])
        error = np.sqrt(np.pi / 2) * ours.std(ddof=1) / np.sqrt(seeds)
        assert abs(np.median(ours) - mean) <= 2 * np.hypot(std, error), (metric, ours)
