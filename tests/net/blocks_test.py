"""A user's own block is looked at when the network is built: what it declares is what it builds."""

from __future__ import annotations

import pytest
from blocks_by_hand import Hand, Tied, linear

import pullback as pb
from pullback.errors import ConfigError, PullbackError, ShapeError
from pullback.ir import Axis, Contract, Input, Named, Parameter
from pullback.ir.build import add, scale
from pullback.nn.block import features


class Broken(Hand):
    """A block of one weight (3, n), which ``wrong`` turns into another."""

    def shapes(self):
        return {"weight": (3, self.n)}

    def build(self, x, path):
        out = Axis("units", 3)
        weight = Parameter(f"{path}.weight", (out, features(x)))
        return self.wrong(x, weight)


def unused(x, weight):
    return scale(2.0, x)


def undeclared(x, weight):
    extra = Parameter("extra", (weight.axes[0],))
    return add(linear(x, weight), extra)


def turned(x, weight):
    again = Parameter(weight.name, (Axis("others", 3), features(x)))
    both = Contract((x, again), (*x.axes[:-1], again.axes[0]))
    return add(linear(x, weight), Contract((both,), x.axes[:1]))


def of_another_shape(x, weight):
    return linear(x, Parameter(weight.name, (Axis("units", 2), features(x))))


def another_input(x, weight):
    return add(linear(x, weight), Input("side", (weight.axes[0],)))


def no_batch(x, weight):
    return Contract((weight,), weight.axes[:1])


def one_name_twice(x, weight):
    z = Named("z.same", linear(x, weight), "z")
    return Named("z.same", scale(2.0, z), "z")


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (unused, ConfigError, "lists the parameter '0.weight', but its build does not use it"),
        (undeclared, ConfigError, "'extra', which its parameters"),
        (turned, ConfigError, "'0.weight' stands in .* build it once"),
        (of_another_shape, ShapeError, r"its ParameterSpec has shape \(3, 4\)"),
        (another_input, ConfigError, "reads the input 'side'"),
        (no_batch, ShapeError, r"expected the batch first"),
        (one_name_twice, ConfigError, "two equations are called 'z.same'"),
    ],
)
def test_what_a_block_builds_is_what_it_declares(wrong, error, says):
    block = type("Wrong", (Broken,), {"wrong": staticmethod(wrong)})()
    with pytest.raises(error, match=says):
        pb.Network(pb.Sequential(block), loss=pb.SquaredError())


@pytest.mark.parametrize(("name", "role"), [("gate", "z"), ("delta.0", "delta"), ("loss", "loss")])
def test_an_equation_is_named_by_its_role(name, role):
    def wrong(x, weight):
        return Named(name, linear(x, weight), role)

    block = type("Wrong", (Broken,), {"wrong": staticmethod(wrong)})()
    with pytest.raises(PullbackError, match=f"the equation {name!r} has the role"):
        pb.Network(pb.Sequential(block), loss=pb.SquaredError())


def test_a_right_block_is_taken():
    net = pb.Network(pb.Sequential(Tied(4)), loss=pb.SquaredError())
    assert list(net.parameters) == ["0.weight"]
