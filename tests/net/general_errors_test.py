"""What makes no network, or no batch of one, is refused by its names and axes before any work."""

from __future__ import annotations

import numpy as np
import pytest
from general_networks import GENERAL

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError, ShapeError, UnknownNameError
from pullback.ir import Contract, Input, Parameter
from pullback.ir.build import add
from pullback.nn import Block, Loss, ParameterSpec

L, S = pb.Linear, pb.Sequential


class By(Block):
    """A block that a function builds."""

    def __init__(self, make):
        self.make = make

    def build(self, x, at):
        return self.make(x, at)

    def __repr__(self):
        return "By()"


class Of(Loss):
    """A loss that a function builds."""

    target = "values"

    def __init__(self, make):
        super().__init__()
        object.__setattr__(self, "make", make)

    def per_sample(self, output, target):
        return self.make(output, target)


def linear(x, at, part="weight", units="units", n=3, axes=None, **how):
    out, inner = at.axis(units, n), x.axes[-1]
    weight = at.parameter(part, axes or (out, inner), **how)
    return at.z(Contract((x, weight), (*x.axes[:-1], out)))


def tied(x, at):
    """One name, two shapes."""
    wide = Contract((linear(x, at), at.parameter("weight", (at.axis("units", 3),))), x.axes[:1])
    return wide


class Listed(Block):
    """Frozen in its list, and trained where it is built."""

    def parameters(self, path):
        yield ParameterSpec(f"{path}.gain", (4,), "weight", 4, 4, trained=False)

    def build(self, x, path):
        return Contract((x, Parameter(f"{path}.gain", x.axes[1:])), x.axes)


def network(model, x="features=4", loss=None):
    return pb.Network(model, loss=loss or pb.SquaredError(), x=x)


def by(make, **given):
    return lambda: network(By(make), **given)


MODELS = {
    "an output without the batch": (
        by(lambda x, at: Contract((x,), x.axes[1:])),
        ShapeError, r"the axes \(features=4\); expected the batch first",
    ),
    "the batch last": (by(lambda x, at: Contract((x,), x.axes[::-1])), ShapeError,
                       r"\(features=4, batch\); expected the batch first"),
    "nothing is built": (by(lambda x, at: None), ShapeError, "By.. at the top builds a NoneType"),
    "an array, in a chain": (lambda: network(S(By(lambda x, at: np.ones(3)), L(3, 2))), ShapeError,
                             "By.. at '0' builds a ndarray; expected a node"),
    "one name, two axes": (by(lambda x, at: add(linear(x, at), linear(x, at, units="other"))),
                           ConfigError, r"called 'weight', with the axes \(units=3, features=4\)"),
    "tied weights of two shapes": (by(tied), ConfigError, r"and \(units=3\); .* axes renamed"),
    "two layers of one name": (lambda: network(S(L(4, 3, name="fc"), L(3, 4, name="fc"))),
                               ConfigError, r"'fc.weight', with .*\(units.fc=4, units.fc=3\)"),
    "a size that is not known": (by(linear, x="features"), ShapeError,
                                 "the axis 'features', whose size is not known.*x='features=8'"),
    "axes of text": (by(lambda x, at: at.parameter("w", "units")), ConfigError,
                     "the parameter 'w' has the axes 'units'; expected a tuple of Axis"),
    "axes of numbers": (by(lambda x, at: at.parameter("w", (3, 4))), ConfigError,
                        r"has the axes \(3, 4\); expected a tuple of Axis"),
    "a law that is none": (by(lambda x, at: linear(x, at, law="weights")), ConfigError,
                           "its law, which is 'weight', 'bias' or a number, is 'weights'"),
    "a start that is no number": (by(lambda x, at: linear(x, at, law=float("nan"))), ConfigError,
                                  "is nan; expected a number"),
    "trained as text": (by(lambda x, at: linear(x, at, trained="no")), ConfigError,
                        "trained is 'no'; expected True, or False"),
    "a part that is no name": (by(lambda x, at: linear(x, at, part=3)), ConfigError,
                               "is 3; expected a text"),
    "a weight that nothing reads": (
        by(lambda x, at: [at.parameter("w", x.axes[1:]), x][1]), ConfigError, "does not use it"),
    "frozen in one place only": (lambda: network(S(Listed())), ConfigError,
                                 "'0.gain' is frozen in its ParameterSpec only"),
    "an input of its own": (by(lambda x, at: add(x, Input("y", x.axes))), ConfigError,
                            r"reads the input 'y' \(batch, features=4\)"),
    "an input with a weight's name": (
        lambda: network(S(By(lambda x, at: linear(x["0.weight"], at))), {"0.weight": "f=4"}),
        ConfigError, "'0.weight' is the name of an input and of a parameter"),
    "several inputs for a block of one": (lambda: network(S(L(4, 2)), {"u": "f=4", "v": "g=3"}),
                                          ConfigError, "at '0' is not for the inputs u, v"),
    "a layer of another width": (lambda: network(S(L(4, 3), L(4, 2))), ShapeError,
                                 "takes 4 features, but what comes in has the axis units.0=3"),
    "no loss": (lambda: pb.Network(L(4, 2)), ConfigError, "a network needs a loss"),
    "a loss of nothing": (lambda: network(L(4, 2), loss=Of(lambda z, y: None)), ShapeError,
                          "gives a NoneType for each sample"),
    "a loss with a weight": (
        lambda: network(L(4, 2), loss=Of(lambda z, y: add(Contract((z,), z.axes[:1]),
                                                          Parameter("c", ())))),
        ConfigError, "reads 'c'"),
    "classes without an axis": (
        by(lambda x, at: Contract((x,), x.axes[:1]), loss=pb.CrossEntropy()), ShapeError,
        r"an axis of classes, found \(batch\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_none(name):
    make, error, message = MODELS[name]
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (None, "x is None; expected the axes"),
        (3, "x is 3; expected the axes"),
        ({}, "x is {}; expected the axes"),
        ({"u": 3}, "the axes of u are 3; expected a text"),
        ({"target": "a=4"}, "an input is called 'target'"),
        ({3: "a=4"}, "an input is called 3"),
        ({"u": "a=4", "v": "a=3"}, r"the axis 'a' is \(a=4\) and \(a=3\)"),
        ("height=28,width", "'height=28,width' is no axis"),
        ("a a", "'a' stands there twice"),
        ("batch=4", "'batch' stands there twice; the batch comes first"),
        ("a=0", "'a=0' is no axis"),
        ("a=-1", "'a=-1' is no axis"),
        ("a=9999999999", "'a=9999999999' is no axis"),
        ("a=4:indices", "'a=4:indices' is no axis"),
        ("2=4", "'2=4' is no axis"),
    ],
)
def test_axes_that_are_none(x, message):
    with pytest.raises(ConfigError, match=message):
        pb.Network(L(4, 2), pb.SquaredError(), x=x)


BY_NAME = {case.name: case for case in GENERAL}
INPUTS, WHOLE = BY_NAME["two inputs"], BY_NAME["whole numbers"]
TOKENS, PIXELS = BY_NAME["classes of tokens"], BY_NAME["pixels"]
DATA = {
    "a float for an index": (WHOLE, WHOLE.X + 0.5, WHOLE.Y, DTypeError, "expected whole numbers"),
    "an index below 0": (WHOLE, -1 - WHOLE.X, WHOLE.Y, DataError, r"X\[0, 0\] is -.*from 0"),
    "a flat image": (PIXELS, PIXELS.X.reshape(5, 6), PIXELS.Y, ShapeError,
                     r"X has shape \(5, 6\); expected \(batch, height=3, width=2\)"),
    "one image": (PIXELS, PIXELS.X[0], PIXELS.Y, ShapeError, r"one sample is X\[None\]"),
    "one input of two": (INPUTS, INPUTS.X["u"], INPUTS.Y, ShapeError, "takes u, v: pass a dict"),
    "an input is missing": (INPUTS, {"u": INPUTS.X["u"]}, INPUTS.Y, UnknownNameError, "'v'"),
    "an input too many": (INPUTS, {**INPUTS.X, "w": 1}, INPUTS.Y, UnknownNameError, "'w'"),
    "a tuple of one": (INPUTS, (INPUTS.X["u"],), INPUTS.Y, ShapeError, "a tuple of 1; .* u, v"),
    "inputs of two lengths": (INPUTS, {**INPUTS.X, "v": INPUTS.X["v"][:3]}, INPUTS.Y, ShapeError,
                              r"X\['v'\] has shape \(3, 2\); expected \(batch=5, right=2\)"),
    "NaN in one input": (INPUTS, {**INPUTS.X, "v": INPUTS.X["v"] * np.nan}, INPUTS.Y, DataError,
                         r"X\['v'\] holds NaN, first at \[0, 0\]"),
    "one class a sample": (TOKENS, TOKENS.X, TOKENS.Y[:, 0], ShapeError,
                           r"\(5,\); expected \(batch=5, tokens=2, .*=3\) or class numbers "
                           r"\(batch, tokens\)"),
    "classes of more tokens": (TOKENS, TOKENS.X, TOKENS.Y[:, [0, 1, 1]], ShapeError,
                               r"\(5, 3\); expected \(batch=5, tokens=2"),
    "a class out of range": (TOKENS, TOKENS.X, TOKENS.Y + 2, DataError, r"Y\[.*\] is [34]; .* 2"),
    "targets without tokens": (BY_NAME["linear over tokens"], BY_NAME["linear over tokens"].X,
                               np.ones((5, 2)), ShapeError, r"\(batch=5, tokens=3, units.2=2\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_data_that_do_not_fit(name):
    case, X, Y, error, message = DATA[name]
    readers = (
        lambda: case.net.value_and_grad(case.params, X, Y),
        lambda: case.net.trace(case.params, X, Y),
        lambda: pb.check(case.net, case.params, X, Y),
        lambda: pb.fit(case.net, X, Y, case.params, batch_size=None, progress=False),
    )
    for reader in readers:
        with pytest.raises(error, match=message):
            reader()


@pytest.mark.parametrize("name", ["target", "sample_weight", "output", "loss"])
def test_a_parameter_is_not_called_as_what_a_network_takes_or_gives(name):
    class Own(Block):
        def build(self, x, at):
            return at.z(add(x, at.parameter(name, (x.axes[-1],))))

    with pytest.raises(ConfigError, match=f"a parameter is called '{name}'"):
        pb.Network(Own(), pb.SquaredError(), x="features=2")
    inside = pb.Network(pb.Sequential(Own()), pb.SquaredError(), x="features=2")
    assert [spec.name for spec in inside.specs] == [f"0.{name}"]


def test_whole_numbers_beyond_int64_are_refused():
    net = pb.Network(pb.Sin(), pb.SquaredError(), x="features=2:index")
    with pytest.raises(DataError, match="expected at most"):
        net.predict({}, np.array([[2**63 + 5, 1]], dtype=np.uint64))


def test_a_residual_adds_axes_by_their_names():
    class Permuted(Block):
        def build(self, x, at):
            batch, t, f = x.axes
            return at.a(Contract((x,), (batch, f, t)))

    net = pb.Network(pb.Residual(Permuted()), pb.SquaredError(), x="t=3 f=3")
    X = np.arange(9.0).reshape(1, 3, 3)
    assert np.array_equal(net.predict({}, X), 2 * X)
