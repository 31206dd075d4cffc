"""The compiled epoch is written for every network, and trains it as NumPy does."""

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING

import pullback as pb
from pullback import emit
from pullback.ir import Contract
from pullback.ir.build import add
from pullback.nn import Block
from pullback.train.optim import equations


# that they learn the same is tested with ``fit``
@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)
def test_every_network_is_compiled(case):
    rule = equations(pb.optim.SGD(0.1))
    given = case.net.training_roots, rule, case.net.leaves, "float64", "training"
    lines = emit.training_code(*given, case.net.update_keys, case.net.noise).lines
    assert lines[0].startswith("gather: ")
    assert lines[-1] == "meet"


class Twins(Block):
    """(A + B) x: the gradients of A and B are one product."""

    def build(self, x, at):
        out, f = at.axis("units", 3), x.axes[-1]
        both = (at.parameter(name, (out, f)) for name in "ab")
        return at.z(add(*(Contract((x, each), (x.axes[0], out)) for each in both)))


class Scaled(Block):
    """s ⊙ A x: the gradient of s reads A after the product that A's own gradient has too."""

    def build(self, x, at):
        out, f = at.axis("units", 3), x.axes[-1]
        weight, scale = at.parameter("a", (out, f)), at.parameter("s", (out,), 1.0)
        return at.z(Contract((x, weight, scale), (x.axes[0], out)))


@pytest.mark.parametrize("block", [Twins(), Scaled()], ids=["twins", "scaled"])
def test_gradients_that_share_a_product(block):
    model = pb.Sequential(block, pb.Tanh(), pb.Linear(3, 2))
    net = pb.Network(model, pb.SquaredError(), x="features=4")
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    options = dict(params=net.init(0), epochs=2, batch_size=4, progress=False, shuffle=False,
                   optimizer=pb.optim.SGD(0.1))  # fmt: skip
    found, expected = (pb.fit(net, X, Y, engine=e, **options).params for e in ("compiled", "numpy"))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12)
