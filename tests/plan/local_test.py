"""Local Jacobians: cut where every way passes, and what can only be applied is not held."""

from dataclasses import dataclass

import numpy as np
import pytest
from blocks_by_hand import Cells

import pullback as pb
from pullback.calculus import Factor, LinearMap, Routes, gradients, linearise
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Constant, Contract, Input, Node
from pullback.ir.build import scale
from pullback.ir.evaluate import evaluate
from pullback.plan.jacobian.local import Branches, local_jacobians
from pullback.plan.jacobian.operators import MatrixOperator, as_array, multiply
from pullback.plan.jacobian.places import PlacesOperator

L, S = pb.Linear, pb.Sequential


@dataclass(frozen=True)
class Twice(LinearMap):
    """A map that is known by what it does."""

    into: tuple[Axis, ...]
    out: tuple[Axis, ...]
    tensor: None = None
    ties: tuple[()] = ()

    @property
    def T(self):
        return Twice(self.out, self.into)

    def __matmul__(self, vector):
        return scale(2.0, vector)

    def structure(self):
        return {axis.name: "diagonal" for axis in self.into}


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Doubled(Node):
    arg: Node

    @property
    def args(self):
        return (self.arg,)

    def result_axes(self):
        return self.arg.axes

    def rebuild(self, args):
        return Doubled(args[0])


@linearise.register
def _(node: Doubled):
    return [(node.arg, Twice(node.arg.axes, node.axes))]


def test_a_map_without_a_tensor_is_swept_and_not_held():
    x = Input("x", (Axis("batch"), Axis("features", 3)))
    total = Contract((Doubled(x),), ())
    (slope,) = gradients(total, [x])
    assert slope is Constant(2.0, x.axes)
    with pytest.raises(NotApplicableError, match="can only be applied"):
        local_jacobians(Doubled(x), (x,))


def kinds(stages):
    """A chain as text: F for a factor, and the branches of a sum in brackets."""
    return [
        "F" if isinstance(stage, Factor) else sorted(map(kinds, stage.ways)) for stage in stages
    ]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (S(L(3, 4), pb.Tanh(), L(4, 2)), ["F", "F", "F"]),
        (S(L(3, 3), pb.Residual(S(L(3, 3), pb.Tanh())), L(3, 2)), ["F", [[], ["F", "F"]], "F"]),
        (pb.Residual(pb.Residual(L(3, 3)), 0.5), [[[], [[[], ["F"]], "F"]]]),
        (pb.Identity(), []),
    ],
    ids=["chain", "residual", "nested", "nothing"],
)
def test_a_chain_is_cut_where_every_way_passes(model, expected):
    net = pb.Network(model, loss=pb.SquaredError(), x="features=3")
    local = local_jacobians(net.output, (net.x,))
    chain = local.chain(net.x, net.output)
    assert kinds(chain) == expected
    assert local.chain(net.x, net.output) is chain
    assert all(isinstance(each, (LinearMap, Branches)) for each in chain)


def test_no_way_is_the_map_to_zero():
    net = pb.Network(S(L(3, 2), pb.Activation("x**0")), loss=pb.SquaredError())
    (zero,) = local_jacobians(net.output, (net.x,)).chain(net.x, net.output)
    assert (zero.into, zero.out) == (net.x.axes, net.output.axes)
    assert not pb.jacobian(net, net.init(seed=0), np.ones((2, 3))).dense().any()


@pytest.mark.parametrize("wrt", ["input", "params"])
def test_ways_that_cross_are_more_than_maps_and_every_map_is_used_once(wrt):
    """Two states meet at each of many steps: there are 2^steps ways, and some maps a step."""
    net = pb.Network(S(Cells(3, 30), L(3, 2)), loss=pb.SquaredError(), x="features=3")
    rng = np.random.default_rng(0)
    params = {s.name: rng.normal(size=s.shape) for s in net.specs}
    X, v = rng.normal(size=(2, 3)), rng.normal(size=2)
    (web, _) = local_jacobians(net.output, (net.x,)).chain(net.x, net.output)
    assert isinstance(web, Routes)
    assert web.count > 2**30 > sum(len(into) for into in web.into.values())
    J = pb.jacobian(net, params, X, wrt=wrt)
    dense = J.dense()

    def moved(at):
        if wrt == "input":
            step = X.astype(complex)
            step[:, at] += 1e-30j
            return evaluate(net.output, {**params, "x": step}).imag / 1e-30
        flat, unravel = pb.ravel(params)
        return (
            evaluate(net.output, {**unravel(flat + 1e-30j * (np.arange(len(flat)) == at)), "x": X})
        ).imag / 1e-30

    for at in (0, 2):
        found = dense[:, :, at] if wrt == "input" else dense[:, at].reshape(2, 2)
        np.testing.assert_allclose(found, moved(at), rtol=1e-9, atol=1e-14)
    if wrt == "input":
        np.testing.assert_allclose((J.T @ v)[:, :, None], dense.swapaxes(1, 2) @ v[:, None])
        np.testing.assert_allclose(J.T.dense(), dense.swapaxes(1, 2))
        np.testing.assert_allclose(J.gram(), dense @ dense.swapaxes(1, 2))


def test_a_weight_over_tokens_is_applied_at_each_and_not_written_out():
    net = pb.Network(
        S(L(3, 4), pb.Tanh(), L(4, 2)), loss=pb.SquaredError(), x="tokens=5 features=3"
    )
    params, rng = net.init(seed=0), np.random.default_rng(0)
    X = rng.normal(size=(2, 5, 3))
    J = pb.jacobian(net, params, X)
    first, slope, last = J.factors
    assert [type(each) for each in (first, last)] == [PlacesOperator] * 2
    one, two = (np.kron(np.eye(5), params[f"{at}.weight"]) for at in (0, 2))
    written = two @ (slope.values[..., None] * one)
    np.testing.assert_allclose(J.dense(), written, rtol=1e-6)
    np.testing.assert_allclose(J.T.dense(), written.swapaxes(1, 2), rtol=1e-6)
    np.testing.assert_allclose(
        as_array(multiply(last, slope)), two * slope.values[:, None], rtol=1e-6
    )
    dense = MatrixOperator(rng.normal(size=(3, 20)))
    np.testing.assert_allclose(
        as_array(multiply(dense, first)), dense.values @ one, rtol=1e-6, atol=1e-9
    )
    v = rng.normal(size=(2, 15))
    np.testing.assert_allclose(J @ v, (written @ v[..., None])[..., 0], rtol=1e-6)
    assert J.plan("jvp").optimal.fma == 2 * 5 * 4 + 5 * (4 * 3 + 2 * 4)
