"""Local Jacobians: cut where every way passes, and what can only be applied is not held."""

from dataclasses import dataclass

import numpy as np
import pytest

import pullback as pb
from pullback.calculus import Factor, LinearMap, gradients, linearise
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Constant, Contract, Input, Node
from pullback.ir.build import scale
from pullback.plan.jacobian.local import Branches, local_jacobians

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
