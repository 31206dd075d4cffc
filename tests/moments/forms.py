"""Networks of one form of equation, and what their laws say of them."""

from __future__ import annotations

import numpy as np

import pullback as pb
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import Theory
from pullback.moments.law.units import Placed

HE = pb.init.he()


def images(samples=6, channels=3, size=8, seed=0):
    return np.random.default_rng([seed, 9]).normal(size=(samples, channels, size, size))


def theory_of(blocks, X, x, Y=None, scheme=HE, loss=None):
    net = pb.Network(pb.Sequential(*blocks), loss or pb.SquaredError(), x=x)
    shape = (len(X), *(axis.size for axis in net.output.axes[1:]))
    Y = np.zeros(shape) if Y is None else Y
    return Theory(Setting.of(net, X, Y, scheme))


def carried(theory, first=0, last=-1):
    """E δ² at each place of a layer, where it is 1 at every unit of another."""
    layers, flow = theory.setting.layers, theory.flow
    at = layers[last].equation
    law = flow.passed[at].units.law
    start = Placed(law.kept, 0 * law.mean, np.ones_like(law.second))
    return flow.average(flow.behind(at, start)[layers[first].equation].second)


def second(theory, name):
    """E a² at each place of an equation."""
    flow = theory.flow
    found = next(law for node, law in flow.passed.items() if node.name == name)
    return flow.average(found.units.law.second)


def convolutions(depth, channels=128, first=3, **options):
    blocks = []
    for at in range(depth):
        blocks += [pb.Conv2d(channels if at else first, channels, 3, **options), pb.ReLU()]
    return blocks[:-1]


PIXELS = "channels=3 height=8 width=8"
