"""The zoo: small networks, one for each thing that can differ, with seeded data and parameters.

Laws run over ``ZOO``; ``float64`` picks the cases that a law with a tight tolerance needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

import pullback as pb
from pullback.ir.evaluate import evaluate_all
from pullback.net.checks import checked_data

Array = np.ndarray[Any, np.dtype[Any]]
Targets = Callable[[np.random.Generator, int, int], Array]


def values(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return rng.normal(size=(batch, outputs))


def column(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    """One value a sample, as a vector (batch,)."""
    return rng.normal(size=batch)


def labels(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return rng.integers(0, outputs, batch)


def one_hot(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return np.eye(outputs)[labels(rng, batch, outputs)]


def distributions(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return rng.dirichlet(np.ones(outputs), batch)


def bits(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return rng.integers(0, 2, (batch, outputs))


def shares(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return rng.uniform(0.05, 0.95, (batch, outputs))


def signs(rng: np.random.Generator, batch: int, outputs: int) -> Array:
    return rng.choice([-1, 1], (batch, outputs))


HALF_SQUARES = pb.SquaredError()


@dataclass(frozen=True)
class Case:
    """One network of the zoo."""

    name: str
    model: Any
    loss: Any = HALF_SQUARES
    targets: Targets = values
    l2: float = 0.0
    batch: int = 5
    dtype: type = np.float64

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def net(self) -> pb.Network:
        return pb.Network(self.model, loss=self.loss, l2=self.l2)

    @property
    def outputs(self) -> int:
        return self.net.output.axes[-1].size

    def data(self, seed: int = 0) -> tuple[Array, Array]:
        """X (batch, features) and Y as a user would give them; real targets have X's dtype."""
        rng = np.random.default_rng([seed, 1])
        X = rng.normal(size=(self.batch, self.net.x.axes[-1].size)).astype(self.dtype)
        Y = self.targets(rng, self.batch, self.outputs)
        return X, Y.astype(self.dtype) if Y.dtype.kind == "f" else Y

    def params(self, seed: int = 0) -> dict[str, Array]:
        """Weights of order 1/√n_in, and biases that are not zero."""
        rng = np.random.default_rng([seed, 2])
        return {
            spec.name: (rng.normal(size=spec.shape) / np.sqrt(spec.n_in)).astype(self.dtype)
            for spec in self.net.specs
        }

    def values(self, seed: int = 0) -> dict[str, Array]:
        """What ``evaluate`` needs: every parameter, x and target by name."""
        x, target = checked_data(self.net, *self.data(seed))
        return {**self.params(seed), "x": x, "target": target}

    def evaluate(self, *nodes: Any, **more: Array) -> list[Array]:
        """The values of nodes by the slow interpreter; the inputs are there to size the batch."""
        roots = (self.net.x, self.net.target, *nodes)
        found = evaluate_all(roots, {**self.values(), **more})
        return [found[node] for node in nodes]


L = pb.Linear
SMOOTH = (pb.Identity(), pb.Sigmoid(), pb.Tanh(), pb.GELU(), pb.SiLU(), pb.Softplus(), pb.Sin())
KINKED = (pb.ReLU(), pb.LeakyReLU(), pb.LeakyReLU(0.2), pb.ELU(), pb.ELU(0.5), pb.SELU())
FURTHER = (pb.Mish(), pb.LogSigmoid(), pb.Softsign(), pb.ReLU6(), pb.Hardtanh(-0.5, 0.75),
           pb.Hardsigmoid(), pb.Hardswish())  # fmt: skip

# formulas of a user's own; the peers say each again in their own words
OWN: dict[str, Callable[[Any, Any], Any]] = {
    "1.7159*tanh(2*x/3)": lambda np, x: 1.7159 * np.tanh(x * (2 / 3)),
    "x*sigmoid(x) + x**3/10": lambda np, x: x / (1 + np.exp(-x)) + x * x * x / 10,
    "log(1 + exp(x))*cos(x)": lambda np, x: np.log1p(np.exp(x)) * np.cos(x),
    "maximum(x, 0.1*x) - abs(x)/7": lambda np, x: np.where(x > 0, x, 0.1 * x) - np.abs(x) / 7,
    "t/sqrt(1 + t**2)": lambda np, x: x / np.sqrt(1 + x**2),
    "0.5 + 0.4*tanh(u)": lambda np, x: 0.5 + 0.4 * np.tanh(x),
}


def two_layers(middle: Any, outputs: int = 3) -> Any:
    return pb.Sequential(L(4, 6), middle, L(6, outputs))


def deep(depth: int, activation: Any) -> Any:
    """``depth`` Linear blocks of changing width with the activation between them."""
    widths = [4 + at % 3 for at in range(depth)] + [2]
    blocks: list[Any] = []
    for n_in, n_out in pairwise(widths):
        blocks += [L(n_in, n_out), activation]
    return pb.Sequential(*blocks[:-1])


def _activations() -> list[Case]:
    own = [pb.Activation(text) for text in OWN]
    return [
        Case(f"{block}", two_layers(block))
        for block in (*SMOOTH, *KINKED, *FURTHER, pb.Erf(), *own)
    ]


def _losses() -> list[Case]:
    net = two_layers(pb.Tanh())
    chance = pb.Sequential(L(4, 6), pb.Tanh(), L(6, 3), pb.Sigmoid())
    own_chance = pb.Sequential(L(4, 3), pb.Activation("0.5 + 0.4*tanh(u)"))
    from_chance = partial(pb.BinaryCrossEntropy, from_logits=False)
    return [
        Case("squared error, sum", net, pb.SquaredError(reduction="sum")),
        Case("mse", net, pb.MSELoss()),
        Case("mse, sum", net, pb.MSELoss(reduction="sum")),
        Case("mse, one output as a vector", two_layers(pb.Tanh(), 1), pb.MSELoss(), column),
        Case("cross-entropy, labels", net, pb.CrossEntropy(), labels),
        Case("cross-entropy, sum", net, pb.CrossEntropy(reduction="sum"), labels),
        Case("cross-entropy, one-hot", net, pb.CrossEntropy(), one_hot),
        Case("cross-entropy, probabilities", net, pb.CrossEntropy(), distributions),
        Case("cross-entropy, two classes", two_layers(pb.Sin(), 2), pb.CrossEntropy(), labels),
        Case("logits, bits", net, pb.BinaryCrossEntropy(), bits),
        Case("logits, sum", net, pb.BinaryCrossEntropy(reduction="sum"), bits),
        Case("logits, probabilities", net, pb.BinaryCrossEntropy(), shares),
        Case("sigmoid, bits", chance, from_chance(), bits),
        Case("sigmoid, sum", chance, from_chance(reduction="sum"), bits),
        Case("sigmoid, probabilities", chance, from_chance(), shares),
        Case("own probability", own_chance, from_chance(), bits),
        Case("logistic", two_layers(pb.Tanh(), 1), pb.LogisticLoss(), signs),
        Case("logistic, three outputs, sum", net, pb.LogisticLoss(reduction="sum"), signs),
    ]


def _shapes() -> list[Case]:
    ce = pb.CrossEntropy()
    odd = pb.Sequential(L(7, 2), pb.Tanh(), L(2, 9), pb.Softplus(), L(9, 1))
    bare = pb.Sequential(L(4, 6, bias=False), pb.ReLU(), L(6, 3, bias=False))
    nested = pb.Sequential(pb.Sequential(L(4, 5), pb.Tanh()), pb.Sequential(L(5, 3)))
    either = pb.Sequential(pb.Tanh(), L(4, 5), pb.Sigmoid(), pb.Sin(), L(5, 3), pb.Identity())
    one = pb.Sequential(L(1, 1), pb.Tanh(), L(1, 1))
    return [
        Case("bare linear", L(4, 3)),
        Case("linear alone", pb.Sequential(L(4, 3)), ce, labels),
        *(Case(f"depth {n}", deep(n, pb.Tanh()), ce, labels) for n in (3, 4, 5, 6, 7, 8)),
        Case("depth 8, relu", deep(8, pb.ReLU())),
        Case("deep linear", pb.Sequential(L(4, 5), L(5, 2), L(2, 3))),
        Case("nothing square", odd, pb.MSELoss(), batch=11),
        Case("no bias", bare, ce, labels),
        Case("nested sequential", nested),
        Case("activation first, two in a row, identity last", either),
        Case("width 1", one),
        Case("width 1, batch 1", one, pb.MSELoss(reduction="sum"), batch=1),
        Case("batch 1", two_layers(pb.GELU()), ce, labels, batch=1),
        Case("l2", two_layers(pb.Tanh()), ce, labels, l2=0.1),
        Case("l2, sum, no bias", bare, pb.SquaredError(reduction="sum"), l2=0.03),
        Case("l2, bare linear", L(4, 3), pb.MSELoss(), l2=1.5),
    ]


def _residuals() -> list[Case]:
    R, S = pb.Residual, pb.Sequential
    bottleneck = S(L(4, 6), pb.ReLU(), L(6, 4))
    inner = R(S(L(4, 4), pb.Tanh()), 0.5)
    bce = pb.BinaryCrossEntropy()
    return [
        Case("residual on the input", S(R(S(L(4, 4), pb.Tanh())), L(4, 3))),
        Case("residual, scaled", S(L(3, 4), R(bottleneck, 0.3), L(4, 2)), bce, bits),
        Case("residual, last", S(L(3, 4), pb.Sin(), R(S(L(4, 4), pb.Sigmoid()))), l2=0.02),
        Case("residual, nested", S(R(S(L(4, 4), inner, pb.GELU()), -0.7), L(4, 3)), bce, bits),
        Case("residuals in a row", S(R(bottleneck), R(bottleneck, 2.0), inner, L(4, 3))),
        Case("residual of a linear", S(R(L(4, 4)), pb.Tanh(), L(4, 2))),
        Case("residual of an activation", S(L(4, 4), R(pb.Tanh()), L(4, 2))),
    ]


def _single_precision() -> list[Case]:
    chosen = {
        "Tanh()", "ReLU()", "GELU()", "SELU()", "ELU(alpha=0.5)", "mse", "cross-entropy, labels",
        "cross-entropy, probabilities", "logits, bits", "sigmoid, bits", "logistic", "depth 8",
        "l2", "residual, nested", "width 1, batch 1", "Activation(formula='1.7159*tanh(2*x/3)')",
    }  # fmt: skip
    double = [*_activations(), *_losses(), *_shapes(), *_residuals()]
    found = [case for case in double if case.name in chosen]
    assert len(found) == len(chosen)
    return [
        Case(f"{c.name}, float32", c.model, c.loss, c.targets, c.l2, c.batch, np.float32)
        for c in found
    ]


ZOO = [*_activations(), *_losses(), *_shapes(), *_residuals(), *_single_precision()]
FLOAT64 = [case for case in ZOO if case.dtype is np.float64]


def named(name: str) -> Case:
    """The case of that name."""
    (case,) = (case for case in ZOO if case.name == name)
    return case


def close(found: Any, expected: Any, dtype: Any = np.float64, tight: float = 1e-12) -> None:
    """Assert equality relative to the largest entry: ``tight`` in float64, 1e-5 in float32."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    bound = tight if dtype is np.float64 else 1e-5
    worst = np.max(np.abs(found - expected), initial=0.0)
    assert worst <= bound * max(np.max(np.abs(expected), initial=0.0), 1e-3), worst
