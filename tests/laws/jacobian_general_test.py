"""Jacobians, kernels and curvature of any network are those of complex steps through the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from general_networks import GENERAL, Attention, Autoencoder, Frozen, General
from zoo import close

import pullback as pb
from pullback.calculus import gradients
from pullback.errors import ConfigError, NotApplicableError, ShapeError, UnknownNameError
from pullback.ir import Contract, Input, Node, Parameter, Rename, fn, symbol
from pullback.ir.build import add, mean_over, multiply, scalar_map, subtract
from pullback.ir.evaluate import evaluate
from pullback.ir.pick import pick
from pullback.nn import Block, Scope

L, S = pb.Linear, pb.Sequential
TIGHT = 1e-10


def linear(x: Node, weight: Node) -> Node:
    return Contract((x, weight), (*x.axes[:-1], weight.axes[0]))


@dataclass(frozen=True)
class LowRank(Block):
    """z = (A B) x + b₁ + b₂: the matrix is a product of parameters, the bias a sum."""

    n_out: int = 3

    def build(self, x: Node, at: Scope) -> Node:
        f, inner, out = x.axes[-1], at.axis("inner", 2), at.axis("units", self.n_out)
        A, B = at.parameter("A", (out, inner)), at.parameter("B", (inner, f))
        one, two = (at.parameter(name, (out,), "bias") for name in ("one", "two"))
        return at.z(add(linear(x, Contract((A, B), (out, f))), add(one, two)))


class Shifted(Block):
    """tanh(x + P + p c): a parameter for each token and feature, one for each token, one number."""

    def build(self, x: Node, at: Scope) -> Node:
        _, tokens, f = x.axes
        places, each = at.parameter("places", (tokens, f)), at.parameter("each", (tokens,))
        one = at.parameter("one", ())
        moved = add(x, places, multiply(each, one))
        return at.a(scalar_map(fn("tanh")(symbol(0)), moved))


class Turned(Block):
    """x W₁ + x W₁ᵀ, and the first rows of W₁ for a gain: one weight, renamed, turned and sliced."""

    def build(self, x: Node, at: Scope) -> Node:
        f, out = x.axes[-1], at.axis("units", x.axes[-1].size or 1)
        weight = at.parameter("weight", (out, f))
        turned = Rename(Contract((Rename(weight, ((f, f.primed),)),), (f.primed, out)),
                        ((out, f), (f.primed, out)))  # fmt: skip
        gain = Contract((pick(weight, f, 0, 1),), (out,))
        return at.z(multiply(add(linear(x, weight), linear(x, turned)), gain))


class Total(Block):
    """Every feature times the sum of a parameter that x does not meet."""

    def build(self, x: Node, at: Scope) -> Node:
        weight = at.parameter("weight", (at.axis("one", 2), at.axis("two", 3)))
        return at.z(multiply(x, Contract((weight,), ())))


class BatchMean(Block):
    """x minus its mean over the samples."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(subtract(x, mean_over(x, x.axes[:1])))


class OtherSamples(Block):
    """Σ over samples of (x·x′) x′: attention over the batch."""

    def build(self, x: Node, at: Scope) -> Node:
        batch, f = x.axes
        other = Rename(x, ((batch, batch.primed),))
        scores = Contract((x, other), (batch, batch.primed))
        return at.z(Contract((scores, other), (batch, f)))


MORE = [
    General("a product of parameters", S(LowRank(), pb.Tanh(), L(3, 2)), (4,), "features=4"),
    General("parameters of tokens", S(Shifted(), L(4, 2)), (3, 4), "tokens=3 features=4"),
    General("turned and sliced", S(L(3, 4), Turned(), L(4, 2)), (3,)),
    General("a sum of a parameter", S(L(3, 4), Total(), L(4, 2)), (3,)),
    General("tokens of open length", S(L(4, 4), pb.Tanh(), L(4, 2)), (3, 4), "tokens features"),
    General("attention of open length", S(Attention(), L(4, 2)), (3, 4), "tokens features=4"),
    General("tokens in a residual", S(pb.Residual(S(pb.LayerNorm(4), L(4, 4), pb.Tanh())), L(4, 2)),
            (3, 4), "tokens=3 features=4"),
]  # fmt: skip
EVERY = [*GENERAL, *MORE]
every_case = pytest.mark.parametrize("case", EVERY, ids=repr)


def values(case: General) -> dict[str, Any]:
    return {**case.params, **(case.X if isinstance(case.X, dict) else {"x": case.X})}


def slope(case: General, name: str, at: tuple[Any, ...]) -> Any:
    """∂output/∂(some entries of one leaf), by a complex step."""
    given = values(case)
    moved = np.array(given[name], complex)
    moved[at] += 1e-30j
    return evaluate(case.net.output, {**given, name: moved}).imag / 1e-30


@lru_cache
def by_parameters(case: General) -> Any:
    """(batch·outputs, trained parameters)."""
    columns = [
        slope(case, name, at).reshape(-1)
        for name in case.net.trained
        for at in np.ndindex(case.params[name].shape)
    ]
    return np.stack(columns, 1)


def target(case: General) -> Any:
    if None not in [axis.size for axis in case.net.target.axes[1:]]:
        return case.Y
    return np.random.default_rng(3).normal(size=case.net.predict(case.params, case.X).shape)


def bent(case: General, change: Any) -> Any:
    """H·change, H the loss's Hessian in the output: a complex step through its gradient."""
    output, wanted = Input("output", case.net.output.axes), case.net.target
    (gradient,) = gradients(case.net.criterion.build(output, wanted), [output])
    z, y = case.net.predict(case.params, case.X), target(case)
    if case.net.criterion.target == "classes":
        y = np.eye(z.shape[-1])[y] * (y >= 0)[..., None]
    moved = z + 1e-30j * change.reshape(z.shape)
    return evaluate(gradient, {"output": moved, "target": y}).imag.ravel() / 1e-30


def by_input(case: General, name: str) -> Any:
    """(batch, outputs, features)."""
    x = values(case)[name]
    columns = [slope(case, name, (slice(None), *at)) for at in np.ndindex(x.shape[1:])]
    return np.stack([column.reshape(len(x), -1) for column in columns], 2)


@every_case
def test_with_respect_to_parameters(case):
    J = pb.jacobian(case.net, case.params, case.X, wrt="params")
    D = by_parameters(case)
    rng = np.random.default_rng(0)
    V, U = rng.normal(size=(D.shape[1], 2)), rng.normal(size=(D.shape[0], 2))
    assert J.shape == D.shape
    close(J.dense(), D, tight=TIGHT)
    close(J @ V, D @ V, tight=TIGHT)
    close(J.T @ U, D.T @ U, tight=TIGHT)
    close(J.T @ J.output, D.T @ J.output.ravel(), tight=TIGHT)
    close(J.gram(), D @ D.T, tight=TIGHT)
    close(J.T.gram(), D.T @ D, tight=TIGHT)
    close(J.diagonal(), (D**2).sum(0), tight=TIGHT)
    step = np.linalg.solve(D.T @ D + 0.1 * np.eye(len(D.T)), D.T @ U)
    close(J.solve(U, damping=0.1), step, tight=1e-8)
    trained = {name: case.params[name] for name in case.net.trained}
    close(J @ case.params, D @ pb.ravel(trained)[0], tight=TIGHT)
    for consumer in ("dense", "gram", "solve", "diagonal", "jvp"):
        assert J.plan(consumer).text()


@every_case
def test_with_respect_to_each_parameter_alone(case):
    D, start = by_parameters(case), 0
    for name in case.net.trained:
        size = case.params[name].size
        one = pb.jacobian(case.net, case.params, case.X, wrt=name)
        close(one.dense(), D[:, start : start + size], tight=TIGHT)
        start += size


@every_case
def test_with_respect_to_each_input(case):
    for name, leaf in case.net.xs.items():
        if leaf.whole:
            with pytest.raises(NotApplicableError, match=f"'{name}' holds whole numbers"):
                pb.jacobian(case.net, case.params, case.X, wrt=name)
            continue
        J = pb.jacobian(case.net, case.params, case.X, wrt=name)
        D = by_input(case, name)
        assert J.shape == D.shape
        close(J.dense(), D, tight=TIGHT)
        close(J.gram(), D @ D.swapaxes(1, 2), tight=TIGHT)
        close(J @ np.ones(D.shape[2]), D.sum(2), tight=TIGHT)
        close(J.solve(J.output, damping=0.1), J.solve(J.output.reshape(len(D), -1), damping=0.1))
        first = {n: x[0] for n, x in values(case).items() if n in case.net.xs}
        one = pb.jacobian(case.net, case.params, first, wrt=name)
        assert one.shape == J.shape[1:]
        close(one.dense(), D[0], tight=TIGHT)


@every_case
def test_kernel_and_curvature(case):
    net, params, X, Y, D = case.net, case.params, case.X, target(case), by_parameters(case)
    some = {n: x[:2] for n, x in X.items()} if isinstance(X, dict) else X[:2]
    rows = 2 * len(D) // case.batch
    close(pb.ntk(net, params, X, some), D @ D[:rows].T, tight=TIGHT)
    G = np.stack([D.T @ bent(case, column) for column in D.T], 1)
    along = np.random.default_rng(4).normal(size=D.shape[1])
    unravel = pb.ravel({name: params[name] for name in net.trained})[1]
    named = pb.ggn_vector_product(net, params, X, Y, unravel(along))
    assert list(named) == list(net.trained)
    close(pb.ravel(named)[0], G @ along, tight=TIGHT)
    close(pb.ggn_vector_product(net, params, X, Y, along), G @ along, tight=TIGHT)
    if net.criterion.is_weighted:
        with pytest.raises(ConfigError, match="divides by weights"):
            pb.laplace(net, params, X, Y)
        return
    whole = case.batch if net.criterion.reduction == "mean" else 1
    spread = np.linalg.inv(whole * G + np.eye(D.shape[1]))
    by_sample = D.reshape(case.batch, -1, D.shape[1])
    mean, covariance = pb.laplace(net, params, X, Y, structure="full").predictive(X)
    close(mean, net.predict(params, X))
    close(covariance, by_sample @ spread @ by_sample.swapaxes(1, 2), tight=1e-8)
    last = pb.laplace(net, params, X, Y)
    assert set(last.names) <= set(net.trained)
    if net.criterion.target == "classes":
        assert last.probabilities(X).shape == mean.shape
        close(last.probabilities(X).sum(-1), np.ones(mean.shape[:-1]))


@pytest.mark.parametrize("case", [c for c in EVERY if c.loss is None], ids=repr)
def test_least_squares_only_move_what_is_trained(case):
    net = case.net
    Y = net.predict(case.params, case.X)
    start = {name: 1.01 * p if name in net.trained else p for name, p in case.params.items()}
    fit = pb.least_squares(net, case.X, Y, start, iterations=50)
    assert list(fit.params) == list(case.params)
    before = np.square(Y - net.predict(start, case.X)).sum()
    assert fit.rss <= 1e-6 * before
    for name in set(case.params) - set(net.trained):
        assert (fit.params[name] == start[name]).all()
    if fit.standard_errors is not None:
        assert list(fit.standard_errors) == list(net.trained)
    assert fit.text()


@pytest.mark.parametrize("between", [S(pb.Tanh(), L(40, 40)), L(40, 40)], ids=["tanh", "linear"])
def test_a_weight_over_tokens_is_never_written_out(between):
    """Its part of J Jᵀ is made of Gram matrices between tokens, where that is cheaper."""
    net = pb.Network(S(L(30, 40), between, pb.Residual(L(40, 40)), L(40, 2)),
                     loss=pb.SquaredError(), x="tokens=2 features=30")  # fmt: skip
    params, rng = net.init(seed=1), np.random.default_rng(0)
    X, other = rng.normal(size=(3, 2, 30)), rng.normal(size=(2, 2, 30))
    J = pb.jacobian(net, params, X, wrt="params")
    assert sum(J.parts.kept) == 4
    assert J.plan("gram").chosen == "structured"
    D, E = J.dense(), pb.jacobian(net, params, other, wrt="params").dense()
    along = rng.normal(size=D.shape[1])
    close(J @ along, D @ along, tight=TIGHT)
    close(J.gram(), D @ D.T, tight=TIGHT)
    close(pb.ntk(net, params, X, other), D @ E.T, tight=TIGHT)
    rows = D.reshape(3, 4, -1)
    close(J.grams(), rows @ rows.swapaxes(1, 2), tight=TIGHT)
    close(J.parts.diagonal(), (D**2).sum(0), tight=TIGHT)


def test_layers_beside_other_parameters_keep_their_structure():
    """A norm's gain has columns written out; the weights of the layers have not."""
    case = next(case for case in GENERAL if case.name == "layer norm")
    plan = pb.jacobian(case.net, case.params, case.X, wrt="params").plan("gram")
    assert plan.table().keys() == {"structured", "written out"}
    assert (plan.rows, plan.cols) == (10, 56)


@pytest.mark.parametrize("block", [BatchMean(), OtherSamples()], ids=["mean", "attention"])
def test_a_sample_that_depends_on_others_is_refused(block):
    net = pb.Network(S(L(4, 4), block, L(4, 2)), loss=pb.SquaredError(), x="features=4")
    params, X, Y = net.init(seed=0), np.ones((3, 4)), np.ones((3, 2))
    for reader in (
        lambda: pb.jacobian(net, params, X),
        lambda: pb.jacobian(net, params, X, wrt="params").dense(),
        lambda: pb.jacobian(net, params, X, wrt="params") @ params,
        lambda: pb.jacobian(net, params, X, wrt="params").plan(),
        lambda: pb.ntk(net, params, X),
        lambda: pb.ggn_vector_product(net, params, X, Y, params),
        lambda: pb.laplace(net, params, X, Y, structure="full"),
        lambda: pb.least_squares(net, X, Y, params),
    ):
        with pytest.raises(ConfigError, match="depends on other samples"):
            reader()


@dataclass(frozen=True)
class AllFrozen(Block):
    def build(self, x: Node, at: Scope) -> Node:
        out, f = at.axis("units", 2), x.axes[-1]
        return at.z(linear(x, at.parameter("weight", (out, f), trained=False)))


def test_frozen_parameters_have_no_columns_unless_asked_for_by_name():
    net = pb.Network(S(Frozen(3), L(3, 2)), loss=pb.SquaredError(), x="features=4")
    params, X = net.init(seed=0), np.ones((2, 4))
    J = pb.jacobian(net, params, X, wrt="params")
    assert J.shape == (4, 3 + 6 + 2)
    assert pb.jacobian(net, params, X, wrt="0.weight").shape == (4, 12)
    with pytest.raises(UnknownNameError, match=r"V lacks '0\.bias'"):
        J @ {"1.weight": params["1.weight"]}
    frozen = pb.Network(AllFrozen(), loss=pb.SquaredError(), x="features=4")
    for reader in (
        lambda held: pb.jacobian(frozen, held, X, wrt="params"),
        lambda held: pb.laplace(frozen, held, X, np.ones((2, 2))),
        lambda held: pb.least_squares(frozen, X, np.ones((2, 2)), held),
    ):
        with pytest.raises(NotApplicableError, match="no parameters"):
            reader(frozen.init(seed=0))


def test_what_is_asked_of_several_inputs_or_of_one_sample():
    case = next(case for case in GENERAL if case.name == "two inputs of two shapes")
    net, params, X = case.net, case.params, case.X
    apart = [pb.jacobian(net, params, X, wrt=name) for name in ("u", "v")]
    close(pb.jacobian(net, params, X).dense(), np.concatenate([J.dense() for J in apart], axis=2))
    with pytest.raises(UnknownNameError, match="unknown"):
        pb.jacobian(net, params, X, wrt="w")
    with pytest.raises(ShapeError, match=r"X\['v'\] has shape"):
        pb.jacobian(net, params, {"u": X["u"], "v": X["v"][0]}, wrt="u")
    both = pb.jacobian(net, params, (X["u"][0], X["v"][0]), wrt="v")
    close(both.dense(), pb.jacobian(net, params, X, wrt="v").dense()[0])
    assert both.output.shape == (2,)


def test_one_weight_twice_is_one_set_of_columns():
    net = pb.Network(Autoencoder(3), loss=pb.SquaredError(), x="features=4")
    (leaf,) = net.parameters.values()
    assert isinstance(leaf, Parameter)
    J = pb.jacobian(net, net.init(seed=0), np.ones((2, 4)), wrt="params")
    assert J.shape == (8, 12)
    assert J.plan("gram").chosen == "written out"


def test_float32_stays_float32():
    case = next(case for case in GENERAL if case.name == "attention over tokens")
    params = {name: value.astype(np.float32) for name, value in case.params.items()}
    J = pb.jacobian(case.net, params, case.X.astype(np.float32), wrt="params")
    found = (J.dense(), J.gram(), J.diagonal(), J @ params, J.T @ J.output, J.grams())
    assert {each.dtype for each in found} == {np.dtype(np.float32)}
    close(J.dense(), by_parameters(case), tight=1e-4)
