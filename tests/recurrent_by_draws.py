"""Recurrent cells of one's own, and what a cotangent of the last state becomes in draws of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pullback.calculus import cotangents
from pullback.ir import Axis, Contract, Input, Parameter, Rename, fn, simplify, symbol, walk
from pullback.ir.build import add, multiply, scalar_map
from pullback.ir.node import Node
from pullback.ir.pick import entry
from pullback.ir.scan import Scan, scan
from pullback.moments.law.two_time.process import OverTime
from pullback.moments.law.two_time.recursion import TwoTime
from pullback.net.program import compile_program

x0, x1, x2 = map(symbol, range(3))
Step = Callable[["Own", Node, Node], Node]


@dataclass
class Own:
    """A loop h ← step(h, x) over n units, with the gains σ²·n of its weights by name."""

    step: Step
    gains: dict[str, float]
    n: int = 64
    turns: int = 8
    batch: Axis = field(default_factory=lambda: Axis("batch"))

    def __post_init__(self):
        self.units, self.time = Axis("units", self.n), Axis("time", self.turns)
        self.h0 = Input("h0", (self.batch, self.units))
        self.x = Input("x", (self.batch, self.time, self.units))
        (self.h,) = scan(
            self.time, (self.h0,), (self.x,), lambda s, r: (self.step(self, s[0], r[0]),), lead=1
        )
        self.loop = next(node for node in walk([self.h]) if isinstance(node, Scan))

    def wide(self, name, node, size=None):
        """A weight of that name times the node: back to the units, or to another number of them."""
        (inner,) = (axis for axis in node.axes if axis != self.batch)
        out = Axis("out", self.n) if size is None else Axis("few", size)
        z = Contract((node, Parameter(name, (out, inner))), (self.batch, out))
        return Rename(z, ((out, self.units),)) if size is None else z

    def entries(self, parameter, index):
        return 0.0, self.gains[parameter.name] / (parameter.axes[1].size or 1)

    def law(self, x=1.0, start=0.3, seed=0):
        given = {self.x: OverTime.alike(self.turns, x), self.h0: OverTime.alike(1, start)}
        return TwoTime(self.loop, self.turns, given, self.entries, seed)

    def drawn(self, draws, seed=0, x=1.0, start=0.3, samples=8):
        """Means and errors of E h² at the end, E δ² at the start, both of one entry."""
        last, g = entry(self.h, self.time, -1), Input("g", (self.batch, self.units))
        back = cotangents(Contract((last, g), ()), [self.h0])[self.h0]
        roots = dict(zip(("h", "delta"), simplify(last, back), strict=True))
        program = compile_program(roots, "A loop.", leaves=(self.h0, self.x, g))
        weights = {n.name: n for n in walk(roots.values()) if isinstance(n, Parameter)}
        rng, found = np.random.default_rng(seed), []
        for _ in range(draws):
            params = {
                name: rng.normal(0, np.sqrt(self.entries(w, ())[1]), [a.size for a in w.axes])
                for name, w in weights.items()
            }
            inputs = {
                "h0": rng.normal(0, np.sqrt(start), (samples, self.n)),
                "x": rng.normal(0, np.sqrt(x), (samples, self.turns, self.n)),
                "g": rng.normal(size=(samples, self.n)),
            }
            values = program(params, inputs)
            found.append([np.mean(values["h"] ** 2), np.mean(values["delta"] ** 2)])
        return np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(draws)


def of(name, node):
    return scalar_map(fn(name)(x0), node)


def linear(at, h, x):
    return add(scalar_map(x0 / 2, h), scalar_map(x0 / 2, at.wide("W", h)), scalar_map(0 * x0, x))


def shared_skip(at, h, x):
    return add(h, scalar_map(fn("tanh")(x0) / 2, add(at.wide("W", h), x)))


def bottleneck(at, h, x):
    few = of("tanh", add(at.wide("V", h, size=at.n // 2), at.wide("U", x, size=at.n // 2)))
    return add(scalar_map(0.8 * x0, h), at.wide("W", few))


def janet(at, h, x):
    """Van der Westhuizen and Lasenby 2018: an LSTM with nothing but the forget gate."""
    f = of("sigmoid", add(at.wide("Uf", h), at.wide("Wf", x)))
    c = of("tanh", add(at.wide("Uc", h), at.wide("Wc", x)))
    return scalar_map(x0 * x1 + (1 - x0) * x2, f, h, c)


def minimal_gated(at, h, x):
    """Zhou et al. 2016: one gate, which also stands inside the candidate's product."""
    f = of("sigmoid", add(at.wide("Uf", h), at.wide("Wf", x)))
    c = of("tanh", add(at.wide("Uc", multiply(f, h)), at.wide("Wc", x)))
    return scalar_map((1 - x0) * x1 + x0 * x2, f, h, c)


def read_twice(at, h, x):
    """One product in two sums: they are no longer independent of each other."""
    z = at.wide("W", h)
    gate = of("sigmoid", add(z, x))
    return scalar_map((1 - x0) * x1 + x0 * fn("tanh")(x2), gate, h, add(z, at.wide("V", x)))


CELLS = {
    "shared skip": (shared_skip, {"W": 1.2}),
    "bottleneck": (bottleneck, {"V": 1.0, "U": 1.0, "W": 0.5}),
    "JANET": (janet, dict.fromkeys(("Uf", "Wf", "Uc", "Wc"), 1.0)),
    "minimal gated unit": (minimal_gated, dict.fromkeys(("Uf", "Wf", "Uc", "Wc"), 1.0)),
    "one product in two sums": (read_twice, {"W": 1.0, "V": 0.5}),
}
