"""What is compiled, or known, of one network is never that of another."""

from __future__ import annotations

import numpy as np

import pullback as pb
from pullback import emit
from pullback.ir import Contract
from pullback.net.predictor import Predictor
from pullback.nn import Block
from pullback.train.optim import equations


class Mine(Block):
    """A linear layer whose weight has this name."""

    def __init__(self, part):
        self.part = part

    def build(self, x, at):
        units = at.axis("units", 2)
        weight = at.parameter(self.part, (units, x.axes[-1]))
        return at.z(Contract((x, weight), (x.axes[0], units)))


def test_weights_that_have_one_name_in_the_source_are_told_apart():
    X, Y = np.random.default_rng(0).normal(size=(6, 3)), np.zeros((6, 2))
    sources = []
    for part in ("k.x", "k_x"):
        net = pb.Network(pb.Sequential(Mine(part)), pb.SquaredError(), x="features=3")
        options = dict(epochs=1, batch_size=2, validation=(X, Y), progress=False)
        trained = [pb.fit(net, X, Y, engine=engine, **options) for engine in ("numpy", "compiled")]
        for name, value in trained[0].params.items():
            np.testing.assert_allclose(trained[1].params[name], value, rtol=1e-12)
        losses = [result.history["validation_loss"] for result in trained]
        np.testing.assert_allclose(*losses, rtol=1e-12)
        found = Predictor(net, X.dtype)(trained[0].params, X)
        np.testing.assert_allclose(found, net.predict(trained[0].params, X), rtol=1e-12)
        rule = equations(pb.optim.SGD(0.1, momentum=0.9))
        code = emit.training_code(net.training_roots, rule, net.leaves, "float64")
        sources.append(str(code.module))
    assert sources[0] == sources[1]


def test_the_axes_of_the_inputs_are_in_the_signature():
    model, loss = pb.Linear(4, 2), pb.SquaredError()
    texts = ("features", "tokens=3 features=4", "tokens=2 features=4", "features=4:index",
             {"u": "features=4"}, {"v": "features=4"})  # fmt: skip
    nets = []
    for x in texts[:4]:
        nets += [pb.Network(model, loss, x=x), pb.Network(model, loss, x=x, weighted=True)]
    signatures = [net.signature() for net in nets]
    assert None not in signatures
    assert len(set(signatures)) == len(nets)
    for x in (*texts[:4], *texts[:4]):
        again = pb.Network(pb.Linear(4, 2), pb.SquaredError(), x=x)
        assert signatures.count(again.signature()) == 1
        assert again.xs == pb.Network(model, loss, x=x).xs


def test_equal_models_share_an_outline_and_nothing_that_can_change():
    one, other = (pb.Network(pb.Linear(4, 2), pb.SquaredError()) for _ in range(2))
    one.xs.clear()
    assert list(other.xs) == list(pb.Network(pb.Linear(4, 2), pb.SquaredError()).xs) == ["x"]
