"""A block beside torch's module of the same name: values, and gradients of x and of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.calculus import gradients
from pullback.ir import Contract, Input, simplify
from pullback.net.program import compile_program

NAMES = ("channels", "height", "width")
LENGTH = ("channels", "length")


def beside_torch(block: Any, module: Any, shape: tuple[int, ...], batch: int = 2) -> None:
    """Asserts that both make the same of drawn numbers, and have the same slopes to 1e-9."""
    torch = pytest.importorskip("torch")
    module = module.double()
    names = LENGTH if len(shape) == 2 else NAMES
    x = " ".join(f"{name}={size}" for name, size in zip(names, shape, strict=True))
    net = pb.Network(pb.Sequential(block), pb.SquaredError(), x=x)
    params = {f"0.{name}": value.numpy() for name, value in module.state_dict().items()}
    assert {spec.name: spec.shape for spec in net.specs} == {
        name: value.shape for name, value in params.items()
    }

    rng = np.random.default_rng(0)
    X = rng.normal(size=(batch, *shape))
    given = torch.tensor(X, requires_grad=True)
    theirs = module(given)
    output = net.output
    assert tuple(axis.size for axis in output.axes[1:]) == tuple(theirs.shape[1:])
    seed = Input("seed", output.axes)
    drawn = rng.normal(size=tuple(theirs.shape))
    theirs.backward(torch.tensor(drawn))

    leaves = {leaf.name: leaf for leaf in (net.xs["x"], *net.parameters.values())}
    slopes = gradients(Contract((output, seed), ()), tuple(leaves.values()))
    roots = dict(zip(leaves, simplify(*slopes), strict=True))
    order = (*net.parameters.values(), net.xs["x"], seed)
    run = compile_program({"out": output, **{f"to {n}": node for n, node in roots.items()}},
                          repr(block), leaves=order)  # fmt: skip
    found = run(params, {"x": X, "seed": drawn})
    close(found["out"], theirs.detach().numpy())
    close(found["to x"], given.grad.numpy())
    for name, parameter in module.named_parameters():
        close(found[f"to 0.{name}"], parameter.grad.numpy())


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
