import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from llm_experts.search.box import Box
from llm_experts.search.surrogate import compare, cross_validate, design, features, fit, spread, terms


def box(k, low=0.0, high=1.5, ceiling=math.inf):
    return Box(torch.full((k,), low, dtype=torch.float64), torch.full((k,), high, dtype=torch.float64), ceiling)


def quadratic(k, outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    constant = torch.randn(outputs, generator=generator, dtype=torch.float64)
    linear = torch.randn(k, outputs, generator=generator, dtype=torch.float64)
    bend = torch.randn(k, k, outputs, generator=generator, dtype=torch.float64)
    return lambda a: constant + a @ linear + torch.einsum("pj,jko,pk->po", a, bend, a)


def points(k, count, seed=3, high=1.5):
    return high * torch.rand(count, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None, max_examples=25)
@given(
    k=st.integers(1, 5),
    extra=st.sampled_from([0, 7]),
    ceiling=st.sampled_from([math.inf, 1.0]),
    seed=st.integers(0, 99),
)
def test_exact_on_a_quadratic_from_the_least_number_of_anchors(k, extra, ceiling, seed):
    space, truth = box(k, ceiling=ceiling), quadratic(k, 4, seed)
    anchors = torch.cat([design(space), points(k, extra)])
    assert len(design(space)) == terms(k) == 1 + 2 * k + k * (k - 1) // 2
    for interpolate in (True, False):
        surrogate = fit(anchors, truth(anchors), space, interpolate=interpolate)
        unseen = points(k, 20, seed=5)
        torch.testing.assert_close(surrogate(unseen), truth(unseen), rtol=1e-7, atol=1e-7)


def test_design_stays_in_the_box_and_under_the_ceiling():
    for space in (box(4), box(4, -0.5), box(4, ceiling=1.0), box(3, 0.1, 0.6, 0.9)):
        assert bool(space.holds(design(space)).all())
    vertices = design(box(2, 0.0, 1.0, 1.0))
    assert vertices.tolist() == [[0, 0], [1, 0], [0, 1], [0.5, 0], [0, 0.5], [0.5, 0.5]]


def test_spread_anchors_are_even_and_belong_to_the_seed():
    space = box(2, 0.0, 1.0)
    points = spread(space, 64, 3)
    quarters = (points * 2).long() @ torch.tensor([2, 1])
    assert torch.bincount(quarters).tolist() == [16, 16, 16, 16]
    assert torch.equal(points, spread(space, 64, 3))
    assert not torch.equal(points, spread(space, 64, 4))
    assert spread(space, 0, 3).shape == (0, 2)


def test_radial_part_is_true_at_anchors_and_agrees_with_scipy():
    space = box(2, -1.0, 1.0)
    anchors = torch.cat([design(space), 2 * points(2, 15, high=1.0) - 1])
    outputs = torch.stack([torch.sin(3 * anchors).sum(1), torch.exp(anchors[:, 0])], 1)
    surrogate = fit(anchors, outputs, space)
    torch.testing.assert_close(surrogate(anchors), outputs, rtol=1e-6, atol=1e-6)
    unseen = 2 * points(2, 30, seed=8, high=1.0) - 1
    oracle = RBFInterpolator(anchors.numpy(), outputs.numpy(), kernel="cubic", degree=2)(unseen.numpy())
    torch.testing.assert_close(surrogate(unseen), torch.from_numpy(oracle), rtol=1e-5, atol=1e-6)


def test_more_anchors_help_where_margins_are_no_quadratic():
    space, truth = box(3, 0.0, 1.0), lambda a: torch.sin(4 * a).sum(1, keepdim=True)
    unseen = points(3, 200, seed=9, high=1.0)
    errors = []
    for extra in (0, 20, 80):
        anchors = torch.cat([design(space), points(3, extra, high=1.0)])
        errors.append(float((fit(anchors, truth(anchors), space)(unseen) - truth(unseen)).abs().mean()))
    assert errors[0] > 1.5 * errors[1]
    assert errors[1] > 2 * errors[2]


def test_repeated_anchors_are_harmless_and_too_few_are_refused():
    space, truth = box(2), quadratic(2, 3, 0)
    anchors = torch.cat([design(space), design(space), design(space) + 1e-7, points(2, 3)])
    unseen = points(2, 5, seed=4)
    torch.testing.assert_close(fit(anchors, truth(anchors), space)(unseen), truth(unseen), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="5 anchors determine 5 of the 6 coefficients"):
        fit(anchors[:5], truth(anchors[:5]), space)


def test_monomials_are_all_of_degree_two():
    found = features(torch.tensor([[2.0, 3.0]], dtype=torch.float64))
    assert found.tolist() == [[1, 2, 3, 4, 6, 9]]


def test_cross_validation_sees_no_error_on_a_quadratic_and_one_elsewhere():
    space = box(2, 0.0, 1.0)
    anchors = torch.cat([design(space), points(2, 12, high=1.0)])

    def measures(alphas, outputs):
        return {"mean": outputs.mean(1)}

    truth = quadratic(2, 5, 1)
    exact = cross_validate(anchors, truth(anchors), space, terms(2), measures)["mean"]
    assert exact.mae < 1e-8
    assert exact.mixtures == 12
    assert exact.spearman > 0.99
    waves = torch.sin(9 * anchors)
    assert cross_validate(anchors, waves, space, terms(2), measures)["mean"].mae > 1e-3
    assert cross_validate(anchors[:6], waves[:6], space, terms(2), measures) == {}


def test_error_by_hand():
    found = compare(torch.tensor([0.1, 0.4, 0.3]), torch.tensor([0.1, 0.2, 0.4]))
    assert found.mae == pytest.approx(0.1)
    assert found.worst == pytest.approx(0.2)
    assert found.spearman == pytest.approx(0.5)
    assert math.isnan(compare(torch.ones(3), torch.ones(3)).spearman)
