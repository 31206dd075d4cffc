"""A network's signature is its identity, and its outer axes are known before it is built."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from zoo import ZOO

import pullback as pb
from pullback.errors import ShapeError
from pullback.ir import Axis, Contract, Named
from pullback.nn import signature_of
from pullback.nn.block import Block


@pytest.mark.parametrize("case", ZOO, ids=repr)
def test_the_axis_that_comes_out_is_the_one_that_is_built(case):
    net = pb.Network(case.model, case.loss)
    assert net.target.axes == net.output.axes
    assert net.n_out == net.output.axes[-1].size


def test_equal_networks_and_only_they_have_equal_signatures():
    by_signature = defaultdict(list)
    for case in ZOO:
        by_signature[case.net.signature()].append(case)
    assert None not in by_signature
    for cases in by_signature.values():
        assert len({(repr(case.model), repr(case.loss), case.l2) for case in cases}) == 1
    assert len(by_signature) == len({(repr(c.model), repr(c.loss), c.l2) for c in ZOO})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pb.LeakyReLU(0.1), pb.LeakyReLU(0.1 + 2e-17)),
        (pb.LeakyReLU(0.01), pb.ELU(0.01)),
        (pb.Linear(3, 3), pb.Linear(3, 3, bias=False)),
        (pb.Linear(3, 3), pb.Linear(3, 3, name="a")),
        (pb.Sequential(pb.Tanh(), pb.Sequential(pb.ReLU())), pb.Sequential(pb.Tanh(), pb.ReLU())),
        (pb.Residual(pb.Tanh()), pb.Residual(pb.Tanh(), 2.0)),
        (pb.Activation("x*2"), pb.Activation("x*3")),
        (pb.CrossEntropy(), pb.CrossEntropy("sum")),
        (pb.BinaryCrossEntropy(), pb.BinaryCrossEntropy(from_logits=False)),
        (pb.BinaryCrossEntropy(), pb.BCELoss()),
        (pb.optim.SGD(0.1), pb.optim.SGD(0.1, momentum=0.5)),
        (pb.optim.Adam(0.1), pb.optim.AdamW(0.1, weight_decay=0.0)),
        (pb.optim.SGD(0.1), pb.optim.SGD(0.1, clip_norm=1.0)),
    ],
    ids=repr,
)
def test_what_differs_has_another_signature(one, other):
    if one == other:  # too near for a float
        assert signature_of(one) == signature_of(other)
    else:
        assert signature_of(one) != signature_of(other)


def test_penalty_and_weights_are_in_the_signature():
    model, loss = pb.Linear(3, 2), pb.CrossEntropy()
    nets = [pb.Network(model, loss), pb.Network(model, loss, l2=0.1)]
    nets += [net.weighted for net in nets]
    assert len({net.signature() for net in nets}) == 4
    assert pb.Network(pb.Linear(np.int64(3), 2), loss).signature() == nets[0].signature()


def test_the_rate_is_not_in_the_signature_of_an_optimiser():
    rates = (0.1, 0.2, pb.optim.Cosine(0.1, steps=5), lambda step: 1 / step)
    assert len({pb.optim.Adam(rate).signature() for rate in rates}) == 1


class Swish(pb.Sigmoid):
    """A user's own."""


@dataclass(frozen=True)
class Own(pb.SquaredError):
    """A user's own."""


class Plain(pb.optim.SGD):
    """A user's own."""


def test_what_is_not_ours_has_no_signature():
    inside = pb.Sequential(pb.Linear(2, 2), pb.Residual(pb.Sequential(Swish())))
    assert pb.Network(inside, pb.MSELoss()).signature() is None
    assert pb.Network(pb.Linear(2, 2), Own()).signature() is None
    assert Plain(0.1).signature() is None


class Halved(Block):
    """A user's block that only says how it is built: sums of neighbours."""

    def build(self, x, path):
        half = Axis("half", x.axes[-1].size // 2)
        from pullback.ir import rows

        first = Contract((x, rows(half, x.axes[-1], 0, half.size)), (x.axes[0], half))
        return Named(f"a.{path}", first, "a")


def test_a_block_that_only_builds_tells_its_axis_by_building():
    net = pb.Network(pb.Sequential(pb.Linear(3, 4), Halved(), pb.Linear(2, 2)), pb.MSELoss())
    assert net.n_out == 2
    assert pb.Network(pb.Sequential(pb.Linear(3, 4), Halved()), pb.MSELoss()).n_out == 2
    with pytest.raises(ShapeError, match="takes 3 features"):
        pb.Network(pb.Sequential(pb.Linear(3, 4), Halved(), pb.Linear(3, 2)), pb.MSELoss())
