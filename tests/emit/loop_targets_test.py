"""Loops in every target, Numba's compiled: values and gradients are the slow interpreter's."""

from __future__ import annotations

import numpy as np
import pytest
from general_targets_test import TARGETS

from pullback.calculus import gradients
from pullback.emit import lower
from pullback.emit.target.language import Task
from pullback.ir import Axis, Contract, Input, Named, fn, symbol
from pullback.ir.build import scalar_map
from pullback.ir.evaluate import evaluate
from pullback.ir.scan import scan
from pullback.net.program import compile_program, execute

TIME, UNITS = Axis("time"), Axis("units", 2)
X, W, START = Input("x", (UNITS, TIME)), Input("w", (UNITS,)), Input("start", ())
LEAVES = (X, W, START)


def roots(backward: bool) -> dict[str, Named]:
    """h = tanh(w h + x) and a number, the sum of what it was; the time is not the first axis."""
    mixed = fn("tanh")(symbol(0) * symbol(1) + symbol(2))

    def turn(states, now):
        h, total = states
        return (
            scalar_map(mixed, h, W, now[0]),
            scalar_map(symbol(0) + symbol(1), total, Contract((h,), ())),
        )

    zero = Contract((W, W), (UNITS,))
    h, total = scan(TIME, (zero, START), (X,), turn, backward, 1)
    loss = Named("loss", Contract((h, h, total), ()))
    slopes = gradients(loss, LEAVES)
    return {"loss": loss, **{leaf.name: Named(f"by.{leaf.name}", slope)
                             for leaf, slope in zip(LEAVES, slopes, strict=True)}}  # fmt: skip


def values(steps: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(2, steps)), "w": rng.normal(size=2), "start": np.asarray(0.3)}


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("target", [*TARGETS, "in place"])
def test_a_loop(target, backward):
    nodes, convert = roots(backward), lambda value: value if value.ndim else float(value)
    if target == "in place":
        program = compile_program(nodes, "A loop.", leaves=LEAVES)
        run = lambda given: program({}, given)  # noqa: E731
    else:
        if target == "jax":
            library = pytest.importorskip("jax")
            library.config.update("jax_enable_x64", True)
            convert = library.numpy.asarray
        elif target == "torch":
            convert = pytest.importorskip("torch").as_tensor
        emitter = TARGETS[target]
        lowered = lower(nodes, emitter.RESERVED, LEAVES)
        task = Task("looped", "As it says.", lowered, {name: name for name in nodes})
        function = execute(emitter.emit([task], ["A loop."]), {})["looped"]
        run = lambda given: function(*(convert(given[leaf.name]) for leaf in LEAVES))  # noqa: E731
    for steps in (1, 3):
        given = values(steps)
        found = run(given)
        for name, node in nodes.items():
            expected = evaluate(node, given)
            np.testing.assert_allclose(np.asarray(found[name]), expected, rtol=1e-11, atol=1e-13)
