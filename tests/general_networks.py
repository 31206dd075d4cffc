"""Networks that are no stack of layers over (batch, features), from blocks written as users do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

import pullback as pb
from pullback.ir import Axis, Contract, LogSumExp, Map, Node, Rename, Scalar, fn, symbol
from pullback.ir.build import add, mean_over, multiply, scalar_map, subtract
from pullback.nn import Block, Scope

Array = np.ndarray[Any, np.dtype[Any]]


class LayerNorm(Block):
    """(x − μ)/√(σ² + ε) · gain + bias over the last axis, μ and the factor as equations."""

    def build(self, x: Node, at: Scope) -> Node:
        f = x.axes[-1]
        mean = at.stat(mean_over(x, (f,)), "mean")
        centred = subtract(x, mean)
        variance = mean_over(multiply(centred, centred), (f,))
        inverse = at.stat(scalar_map(1 / sp.sqrt(symbol(0) + 1e-5), variance), "inverse")
        gain, bias = at.parameter("weight", (f,), 1.0), at.parameter("bias", (f,), 0.0)
        return at.a(add(multiply(centred, inverse, gain), bias))


@dataclass(frozen=True)
class Gated(Block):
    """(V x) · σ(W x)."""

    n_out: int

    def build(self, x: Node, at: Scope) -> Node:
        out, f = at.axis("units", self.n_out), x.axes[-1]
        over = (*x.axes[:-1], out)
        value = at.z(Contract((x, at.parameter("value.weight", (out, f))), over), "value")
        gate = at.z(Contract((x, at.parameter("gate.weight", (out, f))), over), "gate")
        opened = at.a(Map(Scalar.of(fn("sigmoid")(symbol(0))), (gate,)), "gate")
        return at.a(multiply(value, opened))


@dataclass(frozen=True)
class Frozen(Block):
    """A linear layer whose weight is not trained, its bias is."""

    n_out: int

    def build(self, x: Node, at: Scope) -> Node:
        out, f = at.axis("units", self.n_out), x.axes[-1]
        weight = at.parameter("weight", (out, f), trained=False)
        z = Contract((x, weight), (*x.axes[:-1], out))
        return at.z(add(z, at.parameter("bias", (out,), "bias")))


@dataclass(frozen=True)
class Autoencoder(Block):
    """Wᵀ tanh(W x): one weight, used twice."""

    hidden: int

    def build(self, x: Node, at: Scope) -> Node:
        f, h = x.axes[-1], at.axis("hidden", self.hidden)
        back = at.axis("back", f.size or 1)
        weight = at.parameter("weight", (h, f))
        z = at.z(Contract((x, weight), (*x.axes[:-1], h)), "code")
        a = at.a(Map(Scalar.of(fn("tanh")(symbol(0))), (z,)), "code")
        return at.z(Contract((a, Rename(weight, ((f, back),))), (*x.axes[:-1], back)), "back")


@dataclass(frozen=True)
class Pixels(Block):
    """z = Σ over height and width of W (out, height, width) x."""

    n_out: int

    def build(self, x: Node, at: Scope) -> Node:
        out = at.axis("units", self.n_out)
        weight = at.parameter("weight", (out, *x.axes[1:]))
        return at.z(
            add(Contract((x, weight), (x.axes[0], out)), at.parameter("bias", (out,), "bias"))
        )


@dataclass(frozen=True)
class Joined(Block):
    """tanh(V u + W v): two inputs that meet."""

    n_out: int

    def build(self, x: Mapping[str, Node], at: Scope) -> Node:  # type: ignore[override]
        out = at.axis("units", self.n_out)
        parts = []
        for name, each in x.items():
            weight = at.parameter(f"{name}.weight", (out, *each.axes[1:]))
            parts.append(at.z(Contract((each, weight), (each.axes[0], out)), name))
        return at.a(Map(Scalar.of(fn("tanh")(symbol(0) + symbol(1))), tuple(parts)))


class Attention(Block):
    """One head over tokens: softmax(Q Kᵀ/√d) V, with projections of its own."""

    def build(self, x: Node, at: Scope) -> Node:
        batch, tokens, f = x.axes
        d, other = at.axis("d", f.size or 1), Axis(f"{tokens.name}.other", tokens.size)
        projected = {}
        for name in ("query", "key", "value"):
            weight = at.parameter(f"{name}.weight", (d, f))
            projected[name] = at.z(Contract((x, weight), (batch, tokens, d)), name)
        key, value = (Rename(projected[n], ((tokens, other),)) for n in ("key", "value"))
        share = scalar_map(symbol(0) / sp.sqrt(f.size or 1), projected["query"])
        scores = at.z(Contract((share, key), (batch, tokens, other)), "scores")
        total = at.stat(LogSumExp(scores, other), "total")
        weights = at.a(scalar_map(fn("exp")(symbol(0) - symbol(1)), scores, total), "weights")
        return at.a(Contract((weights, value), (batch, tokens, d)))


class Turned(Block):
    """W over the first of two axes of one length: they take one another's names before."""

    def build(self, x: Node, at: Scope) -> Node:
        batch, t, f = x.axes
        turned = at.a(Rename(x, ((t, f), (f, t))), "turned")
        both = at.a(add(x, Rename(turned, ((t, f), (f, t))), Rename(x, ((t, f), (f, t)))), "both")
        units = at.axis("units", 3)
        weight = at.parameter("weight", (units, f))
        return at.z(Contract((Rename(both, ((t, f), (f, t))), weight), (batch, t, units)))


class Summed(Block):
    """Σ over everything of a sample: one number, without an axis of its own."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.z(Contract((x,), x.axes[:1]), "sum")


class Pooled(Block):
    """Σ over the tokens: each token has the same δ."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(Contract((x,), (x.axes[0], *x.axes[2:])))


class Counts(Block):
    """log(1 + n) of whole numbers."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(scalar_map(fn("log1p")(symbol(0)), x))


@dataclass(frozen=True, eq=False)
class General:
    """A network with seeded data and parameters, and the seed's shapes."""

    name: str
    model: Any
    shapes: Any
    x: Any = "features"
    loss: Any = None
    batch: int = 5

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def net(self) -> pb.Network:
        return pb.Network(self.model, loss=self.loss or pb.SquaredError(), x=self.x)

    @cached_property
    def params(self) -> dict[str, Array]:
        return {k: v + 0.1 for k, v in self.net.init(seed=2).items()}

    @cached_property
    def X(self) -> Any:
        rng = np.random.default_rng(1)

        def drawn(name: str, shape: tuple[int, ...]) -> Array:
            whole = self.net.xs[name].whole
            size = (self.batch, *shape)
            return rng.integers(0, 5, size) if whole else rng.normal(size=size)

        if isinstance(self.shapes, dict):
            return {name: drawn(name, shape) for name, shape in self.shapes.items()}
        return drawn("x", self.shapes)

    @cached_property
    def Y(self) -> Array:
        shape = tuple(axis.size for axis in self.net.target.axes[1:])
        rng = np.random.default_rng(3)
        if self.net.criterion.target == "classes":
            return rng.integers(0, shape[-1], (self.batch, *shape[:-1]))
        return rng.normal(size=(self.batch, *shape))


L, S = pb.Linear, pb.Sequential
GENERAL = [
    General("linear over tokens", S(L(4, 5), pb.Tanh(), L(5, 2)), (3, 4), "tokens=3 features"),
    General("classes of tokens", S(L(4, 5), pb.ReLU(), L(5, 3)), (2, 4), "tokens=2 features=4",
            pb.CrossEntropy()),
    General("tokens under torch's mean", S(L(4, 2)), (3, 4), "tokens=3 features=4", pb.MSELoss()),
    General("layer norm", S(L(4, 6), LayerNorm(), pb.Tanh(), L(6, 2)), (4,)),
    General("layer norm over tokens", S(LayerNorm(), L(4, 2)), (3, 4), "tokens=3 features=4"),
    General("gated", S(Gated(5), L(5, 2)), (4,), "features=4"),
    General("frozen weight", S(Frozen(5), pb.Tanh(), L(5, 2)), (4,), "features=4"),
    General("one weight twice", Autoencoder(3), (4,), "features=4"),
    General("pixels", S(Pixels(4), pb.Sigmoid(), L(4, 2)), (3, 2), "height=3 width=2"),
    General("two inputs", S(Joined(4), L(4, 2)), {"u": (3,), "v": (2,)},
            {"u": "left=3", "v": "right=2"}),
    General("two inputs of two shapes", S(Joined(4), L(4, 2)), {"u": (3, 2), "v": (2,)},
            {"u": "height=3 width=2", "v": "right=2"}),
    General("attention over tokens", S(Attention(), L(4, 2)), (3, 4), "tokens=3 features=4"),
    General(
        "tokens summed", S(L(4, 5), pb.Tanh(), L(5, 3), Pooled(), L(3, 2)), (2, 4),
        "tokens=2 features=4", pb.MSELoss(),
    ),
    General(
        "axes that take one another's names", S(L(3, 3), pb.Tanh(), Turned(), L(3, 2)), (3, 3),
        "tokens=3 features=3",
    ),
    General("gru", S(pb.GRU(2, 3, output="last"), L(3, 2)), (3, 2), "time=3 features"),
    General("lstm", S(pb.LSTM(2, 2), L(2, 1)), (2, 2), "time=2 features"),
    General("one number a sample", S(L(4, 3), pb.Tanh(), Summed()), (4,), "features=4"),
    General("whole numbers", S(Counts(), L(4, 2)), (4,), "features=4:index"),
]  # fmt: skip
