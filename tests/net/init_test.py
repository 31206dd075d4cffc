"""How parameters of any rank are drawn: fan-in, bias, orthogonality, and a recipe's choice."""

from __future__ import annotations

import numpy as np
import pytest
from general_networks import GENERAL, Joined, Pixels

import pullback as pb
from pullback.net.recipe import Recipe
from pullback.nn import Scope


def specs(model, x="features=4"):
    return {spec.name: spec for spec in pb.Network(model, pb.SquaredError(), x=x).specs}


def test_the_fan_in_is_the_product_of_what_is_summed():
    found = specs(pb.Sequential(Pixels(5)), "height=3 width=2")
    assert (found["0.weight"].shape, found["0.weight"].n_in, found["0.weight"].n_out) == (
        (5, 3, 2), 6, 5)  # fmt: skip
    joined = specs(Joined(5), {"u": "height=3 width=2", "v": "right=7"})
    assert [spec.n_in for spec in joined.values()] == [6, 7]


@pytest.mark.parametrize(
    ("model", "x", "bias", "n_in"),
    [
        (pb.Linear(400, 3), "features", "bias", 400),
        (pb.Sequential(pb.Linear(9, 3), pb.Linear(3, 50)), "features", "1.bias", 3),
        (pb.Sequential(pb.Linear(9, 3), Pixels(5)), "height=4 width=9", "1.bias", 12),
    ],
)
def test_a_bias_is_drawn_with_the_fan_in_of_its_weight(model, x, bias, n_in):
    net = pb.Network(model, pb.SquaredError(), x=x)
    assert {spec.name: spec for spec in net.specs}[bias].n_in == n_in
    drawn = np.stack([net.init(seed, pb.init.torch_default())[bias] for seed in range(300)])
    assert np.abs(drawn).max() == pytest.approx(1 / np.sqrt(n_in), rel=0.05)
    assert np.abs(drawn).max() <= 1 / np.sqrt(n_in)


@pytest.mark.parametrize("shape", [(5, 3, 2), (6, 3, 2), (9, 3, 2), (4,), (3, 7), (7, 3), ()])
def test_an_orthogonal_weight_is_a_matrix_of_its_first_axis_and_the_rest(shape):
    at = Scope()
    axes = tuple(at.axis(f"a{n}", size) for n, size in enumerate(shape))
    at.parameter("weight", axes)
    drawn = pb.init.orthogonal(gain=2.0).draw(at.specs[0], np.random.default_rng(0))
    assert drawn.shape == shape
    matrix = drawn.reshape(shape[0] if shape else 1, -1) / 2
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


@pytest.mark.parametrize(
    ("block", "x", "fans"),
    [
        (pb.Conv2d(4, 6, (3, 2)), "channels=4 height=5 width=5", (24, 36)),
        (pb.Conv1d(4, 6, 3), "channels=4 places=5", (12, 18)),
        (pb.Conv1d(4, 4, 3, groups=4), "channels=4 places=5", (3, 3)),  # depthwise
    ],
    ids=repr,
)
def test_the_fan_out_of_a_convolution_counts_its_taps(block, x, fans):
    """As in torch.nn.init, but for groups: there torch takes all channels for one group's."""
    spec = specs(block, x)["weight"]
    assert (spec.n_in, spec.n_out) == fans
    if block.groups == 1:
        torch = pytest.importorskip("torch")
        theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(spec.shape))
        assert theirs == fans


SCHEMES = [pb.init.glorot(), pb.init.he(distribution="uniform"), pb.init.normal(2.0),
           pb.init.torch_default(), pb.init.orthogonal()]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_entries_have_the_variance_that_the_scheme_states(scheme):
    for case in GENERAL:
        for spec in case.net.specs:
            if spec.kind != "weight":
                continue
            rng = np.random.default_rng(0)
            drawn = np.stack([scheme.draw(spec, rng) for _ in range(400)])
            assert drawn.shape == (400, *spec.shape)
            # one of the parameter's own goes before the network's
            of = spec.start if isinstance(spec.start, pb.init.Scheme) else scheme
            if not (drawn == 0).any():  # as a row for padding is
                assert drawn.var() == pytest.approx(of.variance_of(spec), rel=0.15)


HE, GLOROT = pb.init.he(), pb.init.glorot()


@pytest.mark.parametrize(
    ("between", "scheme"),
    [
        (pb.ReLU(), HE), (pb.LeakyReLU(0.1), HE), (pb.ELU(), HE), (pb.GELU(), HE), (pb.SiLU(), HE),
        (pb.Softplus(), HE), (pb.Activation("x*sigmoid(1.702*x)"), HE), (pb.Tanh(), GLOROT),
        (pb.SELU(), GLOROT), (pb.Identity(), GLOROT), (pb.Sigmoid(), GLOROT), (pb.Sin(), GLOROT),
        (pb.Activation("x**2"), GLOROT), (pb.Activation("exp(x)"), GLOROT),
        (pb.Residual(pb.Sequential(pb.Linear(3, 3), pb.ReLU())), HE),
        (pb.Sequential(pb.ReLU(), pb.Tanh()), GLOROT),
    ],
)  # fmt: skip
def test_a_recipe_s_initialiser_follows_the_functions_of_its_graph(between, scheme):
    assert Recipe(pb.Sequential(pb.Linear(4, 3), between, pb.Linear(3, 2))).scheme == scheme
    assert Recipe(pb.Linear(4, 2)).scheme == GLOROT
    assert Recipe(pb.Sequential(pb.Linear(4, 3), between), initial=HE).scheme == HE
