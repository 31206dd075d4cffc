"""Blocks that a user writes from plain nodes, each with the same function in torch's words.

``Hand.torch`` is an independent truth: it shares no line with the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp
import torch

from pullback.ir import (
    Axis,
    Contract,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    Parameter,
    Rename,
    Scalar,
    fn,
    rows,
    symbol,
)
from pullback.ir.build import add, mean_over, multiply, scalar_map, scale, subtract
from pullback.ir.pick import entry, pick
from pullback.nn.block import Block, ParameterSpec, features, joined

Held = Mapping[str, Any]  # a block's own parameters, by their last names


@dataclass(frozen=True)
class Hand(Block):
    """A block on ``n`` features whose parameters have these shapes."""

    n: int = 4

    @property
    def n_in(self) -> int:
        return self.n

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        for name, shape in self.shapes().items():
            kind = "weight" if len(shape) > 1 else "bias"
            yield ParameterSpec(joined(path, name), shape, kind, shape[-1], shape[0])

    def torch(self, held: Held, x: Any) -> Any:
        """The same in torch."""
        raise NotImplementedError


def linear(x: Node, weight: Parameter) -> Node:
    """x Wᵀ, for a weight (out, in)."""
    return Contract((x, weight), (*x.axes[:-1], weight.axes[0]))


def z(path: str, node: Node, part: str = "") -> Named:
    return Named(f"z.{joined(path, part) if part else path}", node, "z")


def a(path: str, node: Node, part: str = "") -> Named:
    return Named(f"a.{joined(path, part) if part else path}", node, "a")


def of(name: str, x: Node) -> Node:
    """A function by its name, entry by entry."""
    return Map(Scalar.of(fn(name)(symbol(0)), 1), (x,))


def softmax(x: Node, axis: Axis) -> Node:
    return scalar_map(fn("exp")(symbol(0) - symbol(1)), x, LogSumExp(x, axis))


class LayerNorm(Hand):
    def shapes(self):
        return {"weight": (self.n,), "bias": (self.n,)}

    def build(self, x, path):
        f = features(x)
        centred = subtract(x, mean_over(x, (f,)))
        variance = mean_over(multiply(centred, centred), (f,))
        inverse = scalar_map(1 / sp.sqrt(symbol(0) + 1e-5), variance)
        weight, bias = (Parameter(joined(path, name), (f,)) for name in ("weight", "bias"))
        return a(path, add(multiply(centred, inverse, weight), bias))

    def torch(self, held, x):
        return torch.nn.functional.layer_norm(x, (self.n,), held["weight"], held["bias"])


class GLU(Hand):
    def shapes(self):
        return {"value.weight": (5, self.n), "gate.weight": (5, self.n)}

    def build(self, x, path):
        out, f = Axis(f"units.{path}", 5), features(x)
        value, gate = (
            z(path, linear(x, Parameter(joined(path, f"{part}.weight"), (out, f))), part)
            for part in ("value", "gate")
        )
        return a(path, multiply(value, a(path, of("sigmoid", gate), "gate")))

    def torch(self, held, x):
        return (x @ held["value.weight"].T) * torch.sigmoid(x @ held["gate.weight"].T)


class Tied(Hand):
    """h ← tanh(W h), three times, one W."""

    def shapes(self):
        return {"weight": (self.n, self.n)}

    def build(self, x, path):
        f, out = features(x), Axis(f"units.{path}", self.n)
        weight = Parameter(joined(path, "weight"), (out, f))
        for step in "012":
            x = a(path, of("tanh", z(path, linear(x, weight), step)), step)
            x = x if step == "2" else Rename(x, ((out, f),))
        return x

    def torch(self, held, x):
        for _ in range(3):
            x = torch.tanh(x @ held["weight"].T)
        return x


class Convolution(Hand):
    """One channel, three taps, no padding, by slices."""

    def shapes(self):
        return {"weight": (3,)}

    def build(self, x, path):
        f, taps = features(x), Axis(f"taps.{path}", 3)
        weight = Parameter(joined(path, "weight"), (taps,))
        return z(path, add(*(
            Contract((pick(x, f, at, at + self.n - 2), pick(weight, taps, at, at + 1)),
                     (*x.axes[:-1], Axis(f"{f.name}:{self.n - 2}", self.n - 2)))
            for at in range(3)
        )))  # fmt: skip

    def torch(self, held, x):
        return torch.nn.functional.conv1d(x[:, None], held["weight"][None, None])[:, 0]


class Attention(Hand):
    """Two heads of width 2 over three tokens, on axes split off the features and joined again."""

    def shapes(self):
        return {f"{each}.weight": (2, 2, self.n // 3) for each in ("q", "k", "v", "out")}

    def build(self, x, path):
        width, batch, f = self.n // 3, x.axes[:-1], features(x)
        token, d = Axis(f"token.{path}", 3), Axis(f"{f.name}:{width}", width)
        head, key, one = Axis(f"head.{path}", 2), Axis(f"key.{path}", 2), Axis("one", 1)
        tokens = add(*(
            Contract((pick(x, f, t * width, (t + 1) * width), rows(one, token, t, t + 1)),
                     (*batch, token, d))
            for t in range(3)
        ))  # fmt: skip
        weight = {n: Parameter(joined(path, n), (head, key, d)) for n in self.shapes()}
        q, k, v = (
            z(path, Contract((tokens, weight[f"{each}.weight"]), (*batch, token, head, key)), each)
            for each in "qkv"
        )
        from_token = token.primed
        there = ((token, from_token),)
        scores = Contract((q, Rename(k, there)), (*batch, head, token, from_token))
        scores = z(path, scale(2**-0.5, scores), "scores")
        share = a(path, softmax(scores, from_token), "share")
        mixed = Contract((share, Rename(v, there)), (*batch, token, head, key))
        after = z(path, Contract((mixed, weight["out.weight"]), (*batch, token, d)), "after")
        out = Axis(f"units.{path}", self.n)
        return z(path, add(*(
            Contract((entry(after, token, t), rows(d, out, t * width, (t + 1) * width)),
                     (*batch, out))
            for t in range(3)
        )))  # fmt: skip

    def torch(self, held, x):
        tokens = x.reshape(len(x), 3, -1)
        q, k, v = (torch.einsum("btd,hkd->bhtk", tokens, held[f"{n}.weight"]) for n in "qkv")
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return torch.einsum("bhtk,hkd->btd", mixed, held["out.weight"]).reshape(len(x), -1)


class Softmax(Hand):
    def build(self, x, path):
        return a(path, softmax(x, features(x)))

    def torch(self, held, x):
        return torch.softmax(x, -1)


class Highway(Hand):
    """g ⊙ tanh(W x) + (1 − g) ⊙ x, with the gate g = σ(V x)."""

    def shapes(self):
        return {"weight": (self.n, self.n), "gate": (self.n, self.n)}

    def build(self, x, path):
        f, out = features(x), Axis(f"units.{path}", self.n)
        weight, gate = (Parameter(joined(path, name), (out, f)) for name in ("weight", "gate"))
        new = a(path, of("tanh", z(path, linear(x, weight), "new")), "new")
        share = a(path, of("sigmoid", z(path, linear(x, gate), "gate")), "gate")
        old = Rename(x, ((f, out),))
        return a(path, add(multiply(share, new), multiply(subtract(old, multiply(share, old)))))

    def torch(self, held, x):
        share = torch.sigmoid(x @ held["gate"].T)
        return share * torch.tanh(x @ held["weight"].T) + (1 - share) * x


class Branches(Hand):
    """Two layers side by side, tanh and sin, joined to one axis."""

    def shapes(self):
        return {"left": (2, self.n), "right": (3, self.n), "bias": (3,)}

    def build(self, x, path):
        f, out = features(x), Axis(f"units.{path}", 5)
        left, right = Axis(f"left.{path}", 2), Axis(f"right.{path}", 3)
        bias = Parameter(joined(path, "bias"), (right,))
        one = linear(x, Parameter(joined(path, "left"), (left, f)))
        two = add(linear(x, Parameter(joined(path, "right"), (right, f))), bias)
        one = a(path, of("tanh", z(path, one, "left")), "left")
        two = a(path, of("sin", z(path, two, "right")), "right")
        batch = x.axes[:-1]
        return a(path, add(
            Contract((one, rows(left, out, 0, 2)), (*batch, out)),
            Contract((two, rows(right, out, 2, 5)), (*batch, out)),
        ))  # fmt: skip

    def torch(self, held, x):
        one = torch.tanh(x @ held["left"].T)
        return torch.cat([one, torch.sin(x @ held["right"].T + held["bias"])], -1)


class Summed(Hand):
    """Two layers, tanh and sin, added."""

    def shapes(self):
        return {"left": (5, self.n), "right": (5, self.n)}

    def build(self, x, path):
        out, f = Axis(f"units.{path}", 5), features(x)
        one, two = (
            z(path, linear(x, Parameter(joined(path, name), (out, f))), name)
            for name in ("left", "right")
        )
        one, two = a(path, of("tanh", one), "left"), a(path, of("sin", two), "right")
        return a(path, add(one, two))

    def torch(self, held, x):
        return torch.tanh(x @ held["left"].T) + torch.sin(x @ held["right"].T)


class Scale(Hand):
    """x ⊙ s + t, with no equation of its own."""

    def shapes(self):
        return {"s": (self.n,), "t": (self.n,)}

    def build(self, x, path):
        s, t = (Parameter(joined(path, name), (features(x),)) for name in "st")
        return add(multiply(x, s), t)

    def torch(self, held, x):
        return x * held["s"] + held["t"]


class Temperature(Hand):
    """One number for all units, in an equation that is neither z nor a."""

    def shapes(self):
        return {"beta": ()}

    def parameters(self, path):
        yield ParameterSpec(joined(path, "beta"), (), "bias", 1, 1)

    def build(self, x, path):
        warm = multiply(x, Parameter(joined(path, "beta"), ()))
        return Named("warm", of("tanh", warm))

    def torch(self, held, x):
        return torch.tanh(x * held["beta"])


class Maxout(Hand):
    """The larger of two layers, unit by unit."""

    def shapes(self):
        return {"weight": (2, 5, self.n)}

    def build(self, x, path):
        which, out = Axis(f"piece.{path}", 2), Axis(f"units.{path}", 5)
        weight = Parameter(joined(path, "weight"), (which, out, features(x)))
        both = z(path, Contract((x, weight), (*x.axes[:-1], which, out)))
        return a(path, Max(both, which))

    def torch(self, held, x):
        return torch.einsum("bi,koi->bko", x, held["weight"]).amax(1)


class Bilinear(Hand):
    """xᵀ Wₖ x for each output k, a form of degree two."""

    def shapes(self):
        return {"weight": (3, self.n, self.n)}

    def build(self, x, path):
        f, out = features(x), Axis(f"units.{path}", 3)
        weight = Parameter(joined(path, "weight"), (out, f, f.primed))
        again = Rename(x, ((f, f.primed),))
        return z(path, Contract((x, weight, again), (*x.axes[:-1], out)))

    def torch(self, held, x):
        return torch.einsum("bi,kij,bj->bk", x, held["weight"], x)


class Centred(Hand):
    """x minus its mean over the batch: a sample's output depends on the others."""

    def build(self, x, path):
        return a(path, subtract(x, mean_over(x, x.axes[:1])))

    def torch(self, held, x):
        return x - x.mean(0)


class Unnamed(Hand):
    """tanh(W x) with no equation at all, and a parameter whose name has no dot."""

    def shapes(self):
        return {"weight": (3, self.n)}

    def parameters(self, path):
        yield ParameterSpec("mine", (3, self.n), "weight", self.n, 3)

    def build(self, x, path):
        return of("tanh", linear(x, Parameter("mine", (Axis("own", 3), features(x)))))

    def torch(self, held, x):
        return torch.tanh(x @ held["mine"].T)


@dataclass(frozen=True)
class Cells(Block):
    """c ← c + σ(W h) tanh(V h), h ← σ(U h) tanh c: two states that meet at each step."""

    n: int
    steps: int

    def build(self, x, at):
        f, out = x.axes[-1], at.axis("units", self.n)
        weights = {name: at.parameter(name, (out, f)) for name in ("W", "V", "U")}
        h, c = x, Rename(x, ((f, out),))
        for step in map(str, range(self.steps)):
            z = {
                name: at.z(Contract((h, weight), (*h.axes[:-1], out)), f"{name}.{step}")
                for name, weight in weights.items()
            }
            gated = fn("sigmoid")(symbol(0)) * fn("tanh")(symbol(1))
            c = at.a(scalar_map(symbol(2) + gated, z["W"], z["V"], c), f"c.{step}")
            made = at.a(scalar_map(gated, z["U"], c), f"h.{step}")
            h = Rename(made, ((out, f),))
        return at.a(made, "last")
