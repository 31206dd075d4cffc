"""Jacobians between any two equations: what lies between them moves, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zoo import close

import pullback as pb
from pullback.ir import Named, walk
from pullback.ir.evaluate import evaluate
from pullback.plan.jacobian.inside import apart

S, L = pb.Sequential, pb.Linear
MODELS: dict[str, tuple[pb.Block, str]] = {
    "norm": (S(L(3, 4), pb.LayerNorm(4), pb.Tanh(), L(4, 2)), "features"),
    "skip": (
        S(L(3, 4), pb.Residual(S(pb.Tanh(), L(4, 4), pb.ReLU(), L(4, 4))), L(4, 2)), "features",
    ),
    "windows": (
        S(pb.Conv1d(1, 2, 3), pb.Tanh(), pb.MaxPool1d(2), pb.Flatten(), L(4, 2)),
        "channels=1 length=6",
    ),
    "attention": (
        pb.TransformerEncoderLayer(4, 2, 3, dropout=0.0, activation="gelu"), "tokens=3 features=4",
    ),
}  # fmt: skip


def made(name: str) -> tuple[pb.Network, dict[str, Any], Any]:
    model, x = MODELS[name]
    net = pb.Network(model, pb.SquaredError(), x=x)
    sizes = [axis.size or 3 for axis in net.x.axes[1:]]
    return net, net.init(seed=0), np.random.default_rng(1).normal(size=(2, *sizes))


def equations(net: pb.Network) -> dict[str, Named]:
    return {n.name: n for n in walk((net.output,)) if isinstance(n, Named)}


@pytest.mark.parametrize("name", MODELS)
def test_between_any_two_equations_it_is_the_complex_step(name: str) -> None:
    net, params, X = made(name)
    every = equations(net)
    values = {**params, "x": X}
    rng = np.random.default_rng(2)
    names = list(every)
    for at, (wrt, start) in enumerate(every.items()):
        for of in {names[-1], names[min(at + 2, len(names) - 1)], names[at // 2]}:
            end = every[of]
            J = pb.jacobian(net, params, X, wrt=wrt, of=of).dense()
            leaf, top = apart(end, start)
            held = evaluate(start, values)
            assert J.shape == (2, end_size(end, values), held[0].size)
            step = rng.normal(size=held.shape)
            moved = evaluate(top, {**values, leaf.name: held + 1e-30j * step})
            moved = np.broadcast_to(moved, evaluate(end, values).shape)
            expected = moved.imag.reshape(2, -1) / 1e-30
            close(np.einsum("boi,bi->bo", J, step.reshape(2, -1)), expected)


def end_size(end: Named, values: dict[str, Any]) -> int:
    return int(evaluate(end, values)[0].size)


@pytest.mark.parametrize("name", MODELS)
def test_the_chain_rule_holds_through_every_equation_that_all_ways_pass(name: str) -> None:
    net, params, X = made(name)
    whole = pb.jacobian(net, params, X).dense()
    last = list(equations(net))[-2]
    behind = pb.jacobian(net, params, X, wrt=last).dense()
    first = pb.jacobian(net, params, X, of=last).dense()
    if name in ("norm", "windows"):
        close(behind @ first, whole)
    weight = net.trained[0]
    close(
        pb.jacobian(net, params, X, wrt=weight, of="output").dense(),
        pb.jacobian(net, params, X, wrt=weight).dense(),
    )


def test_names_that_are_none_are_refused() -> None:
    net, params, X = made("norm")
    with pytest.raises(pb.errors.UnknownNameError, match=r"unknown of 'z\.9'"):
        pb.jacobian(net, params, X, of="z.9")
    with pytest.raises(pb.errors.UnknownNameError, match="unknown wrt 'z0'"):
        pb.jacobian(net, params, X, wrt="z0")


def test_batch_statistics_are_refused_with_the_reason() -> None:
    net = pb.Network(S(L(3, 4), pb.BatchNorm1d(4)), pb.SquaredError())
    with pytest.raises(pb.errors.NotApplicableError, match="other samples"):
        pb.jacobian(net, net.init(seed=0), np.ones((2, 3)), wrt="z.0")
