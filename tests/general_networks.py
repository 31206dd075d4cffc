"""Networks that are no stack of layers over (batch, features), from blocks written as users do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

import pullback as pb
from pullback.ir import (
    Axis,
    Contract,
    Detach,
    LogSumExp,
    Map,
    Max,
    Node,
    Rename,
    Scalar,
    fn,
    symbol,
)
from pullback.ir.build import add, multiply, scalar_map
from pullback.nn import Block, Scope

Array = np.ndarray[Any, np.dtype[Any]]


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


class Largest(Block):
    """The largest over the tokens; the first of several has the whole δ."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(Max(x, x.axes[1], "first"))


class Held(Block):
    """x · tanh(x), where tanh(x) counts as given."""

    def build(self, x: Node, at: Scope) -> Node:
        gate = at.a(scalar_map(fn("tanh")(symbol(0)), x), "gate")
        return at.a(multiply(x, Detach(gate)))


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
    training: bool = True

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def net(self) -> pb.Network:
        loss = self.loss or pb.SquaredError()
        return pb.Network(self.model, loss=loss, x=self.x, training=self.training)

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
            classes = rng.integers(0, shape[-1], (self.batch, *shape[:-1]))
            ignored = self.net.criterion.ignore_index
            return classes if ignored is None else np.where(classes == 1, ignored, classes)
        if self.net.criterion.target == "probabilities":
            return rng.uniform(0.1, 0.9, (self.batch, *shape))
        return rng.normal(size=(self.batch, *shape))


L, S = pb.Linear, pb.Sequential
GENERAL = [
    General("linear over tokens", S(L(4, 5), pb.Tanh(), L(5, 2)), (3, 4), "tokens=3 features"),
    General("classes of tokens", S(L(4, 5), pb.ReLU(), L(5, 3)), (2, 4), "tokens=2 features=4",
            pb.CrossEntropy()),
    General("tokens under torch's mean", S(L(4, 2)), (3, 4), "tokens=3 features=4", pb.MSELoss()),
    General("layer norm", S(L(4, 6), pb.LayerNorm(6), pb.Tanh(), L(6, 2)), (4,)),
    General("layer norm over tokens", S(pb.LayerNorm(4), L(4, 2)), (3, 4), "tokens=3 features=4"),
    General("layer norm over two axes", S(pb.LayerNorm((3, 4), bias=False), L(4, 2)), (3, 4),
            "tokens=3 features=4"),
    General("root mean square norm", S(pb.RMSNorm(4), L(4, 2)), (3, 4), "tokens=3 features=4"),
    General("norms without gain", S(pb.LayerNorm(4, elementwise_affine=False), L(4, 5),
            pb.RMSNorm(5, elementwise_affine=False), L(5, 2)), (4,)),
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
    General("embedding", S(pb.Embedding(5, 3), L(3, 2)), (4,), "tokens=4:index"),
    General("embedding with padding", S(pb.Embedding(5, 3, padding_idx=0), Pooled(), L(3, 2)),
            (4,), "tokens=4:index"),
    General("attention with heads", S(pb.MultiheadAttention(4, 2, bias=False), L(4, 2)), (3, 4),
            "tokens=3 features=4"),
    General("causal attention under a mask",
            S(pb.MultiheadAttention(4, 2, bias=False, causal=True), L(4, 2)),
            {"query": (3, 4), "key_padding_mask": (3,)},
            {"query": "tokens=3 features=4", "key_padding_mask": "seen=3:index"}),
    General("encoder layer",
            S(pb.TransformerEncoderLayer(4, 2, 5, dropout=0.0, bias=False), L(4, 2)), (2, 4),
            "tokens=2 features=4"),
    General("largest token", S(L(4, 3), pb.ReLU(), Largest(), L(3, 2)), (3, 4),
            "tokens=3 features=4"),
    General("held gate", S(L(4, 3), Held(), L(3, 2)), (4,), "features=4"),
    General("one slope for each channel", S(pb.PReLU(3), L(4, 3), pb.PReLU(), L(3, 2)), (3, 4),
            "channels=3 features=4"),
    General("softmax over tokens", S(L(4, 3, bias=False), pb.Softmax(1), L(3, 2),
            pb.Softmax()), (3, 4),
            "tokens=3 features=4"),
    General("log softmax", S(L(4, 3), pb.LogSoftmax(), L(3, 2)), (4,)),
    General("gated halves", S(L(4, 6), pb.GLU(), L(3, 2)), (4,)),
    General("halves of the channels", S(pb.GLU(dim=1), L(4, 2)), (4, 4), "channels=4 features=4"),
    General("branches one after another", S(pb.Concat(S(L(4, 3), pb.Tanh()), L(4, 2)), L(5, 2)),
            (4,)),
    General("branches along tokens", S(pb.Concat(L(4, 3), L(4, 3), dim=1), L(3, 2)), (2, 4),
            "tokens=2 features=4"),
    General("two inputs added", S(pb.Parallel(u=L(3, 4), v=L(2, 4), join="sum"), L(4, 2)),
            {"u": (3,), "v": (2,)}, {"u": "left", "v": "right"}),
    General("branches of one input added", S(pb.Parallel(pb.Tanh(), L(4, 4), join="sum"), L(4, 2)),
            (4,)),
    General("weighted classes of tokens", S(L(4, 5), pb.Tanh(), L(5, 3)), (2, 4),
            "tokens=2 features=4",
            pb.CrossEntropy(weight=(1, 2, 0.5), label_smoothing=0.1)),
    General("classes left out", S(L(4, 3)), (4,), loss=pb.CrossEntropy(ignore_index=-100)),
    General("smoothed classes", S(L(4, 3)), (4,), loss=pb.CrossEntropy(label_smoothing=0.2)),
    General("log-probabilities", S(L(4, 3), pb.LogSoftmax()), (4,), loss=pb.NLLLoss()),
    General("weighted bits", S(L(4, 3)), (4,), loss=pb.BCELoss(pos_weight=3.0, weight=(1, 2, 1))),
    General("values and variances", S(L(4, 4), pb.Softplus()), (4,), loss=pb.GaussianNLLLoss()),
    General("counts", S(L(4, 2)), (4,), loss=pb.PoissonNLLLoss(full=True)),
    General("Huber's loss", S(L(4, 2)), (4,), loss=pb.HuberLoss(delta=0.5)),
    General("a loss of one's own", S(L(4, 5), pb.Tanh(), L(5, 2)), (4,),
            loss=pb.Loss("log(cosh(z - y))")),
    General("whole numbers", S(Counts(), L(4, 2)), (4,), "features=4:index"),
    General("convolution and pooling", S(pb.Conv2d(1, 2, 2), pb.ReLU(), pb.MaxPool2d((2, 1)),
            pb.Flatten(), L(4, 2)), (1, 3, 3), "channels=1 height=3 width=3", pb.CrossEntropy(),
            batch=3),
    General("strided groups of channels", S(pb.Conv1d(4, 6, 3, stride=2, padding=1, groups=2),
            pb.Tanh(), pb.Flatten(), L(12, 2)), (4, 4), "channels=4 length=4", batch=3),
    General("transposed convolution", S(L(3, 6), pb.Unflatten(1, (2, 3)), pb.Tanh(),
            pb.ConvTranspose1d(2, 1, 3, stride=2, padding=1)), (3,), batch=3),
    General("mean pooling", S(pb.Conv2d(1, 2, 2, padding=1, padding_mode="circular"), pb.Tanh(),
            pb.AvgPool2d(2), pb.AdaptiveAvgPool2d(1), pb.Flatten(), L(2, 2)), (1, 3, 3),
            "channels=1 height=3 width=3", batch=3),
    General("group norm and copies", S(pb.GroupNorm(2, 4), pb.Conv1d(4, 1, 2), pb.Tanh(),
            pb.Upsample(2)), (4, 3), "channels=4 length=3", batch=3),
    General("residual convolutions", S(pb.Residual(S(pb.Conv1d(2, 3, 3, padding="same"), pb.ReLU(),
            pb.Conv1d(3, 2, 3, padding="same"))), pb.MaxPool1d(2, padding=1),
            pb.Flatten(), L(4, 2)), (2, 3), "channels=2 length=3", batch=3),
    General("batch norm evaluated", S(L(4, 5), pb.BatchNorm1d(5), pb.Tanh(), L(5, 2)), (4,),
            training=False),
    General("batch norm and dropout of channels evaluated",
            S(pb.BatchNorm2d(2, affine=False), pb.Dropout2d(), Pixels(2)), (2, 3, 2),
            "channels=2 height=3 width=2", training=False),
]  # fmt: skip
# a sample's output is not its own
IN_TRAINING = [
    General("batch norm", S(L(4, 5, bias=False), pb.BatchNorm1d(5), pb.Tanh(), L(5, 2)), (4,),
            batch=6),
    General("batch norm of channels", S(pb.BatchNorm2d(2, affine=False), pb.Tanh(), Pixels(2)),
            (2, 3, 2), "channels=2 height=3 width=2", batch=6),
    General("dropout", S(L(4, 5), pb.ReLU(), pb.Dropout(0.3), L(5, 2)), (4,), batch=6),
    General("dropout of channels", S(pb.Dropout2d(0.3), Pixels(2)), (2, 3, 2),
            "channels=2 height=3 width=2", batch=6),
    General("batch norm and dropout", S(L(4, 5, bias=False), pb.BatchNorm1d(5, momentum=None),
            pb.ReLU(), pb.Dropout(0.3), L(5, 2)), (4,), batch=6),
]  # fmt: skip
