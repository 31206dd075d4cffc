"""Look-ups, masks and first largest places in every target: what they compute is the oracle's.

A one-hot is never multiplied: its source reads ``table[index]`` and adds up at places.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from pullback.emit import lower
from pullback.emit.target import jax, numba, torch
from pullback.emit.target import numpy as readable
from pullback.emit.target.language import Task
from pullback.ir import (
    ArgMax,
    Axis,
    Contract,
    Detach,
    Input,
    LogSumExp,
    Max,
    OneHot,
    Parameter,
    Rename,
    fn,
    rows,
    symbol,
    walk,
)
from pullback.ir.build import add, multiply, scalar_map, shares, softmax
from pullback.ir.evaluate import evaluate
from pullback.net.program import compile_program, execute

TARGETS = {"numpy": readable, "numba": numba, "jax": jax, "torch": torch}
n, t, v, d = Axis("n"), Axis("t", 4), Axis("v", 5), Axis("d", 3)
part, other, late = Axis("part", 3), Axis("other", 5), Axis("late", 4)
tokens, word, few = Input("x", (n, t), True), Input("y", (n,), True), Input("z", (n,), True)
W, s = Parameter("W", (v, d)), Parameter("s", (n, v))
g, h, w = Input("g", (n, t, d)), Input("h", (n, d)), Input("w", (n, v))
O, O1 = OneHot(tokens, v), OneHot(word, v)
total = LogSumExp(s, v, w)

LOOKUPS = {
    "rows of a table": Contract((W, O), (n, t, d)),
    "added up at places": Contract((g, O), (v, d)),
    "added up in each sample": Contract((g, O), (n, v, d)),
    "added up at each token": Contract((g, O), (t, v)),
    "an entry of each row": Contract((s, O1), (n,)),
    "an entry of each row for each token": Contract((s, O), (n, t)),
    "all of them": Contract((s, O1), ()),
    "how often each place": Contract((O,), (v,)),
    "how many in a sample": Contract((O,), (n,)),
    "two tables": Contract((W, O, W), (n, t)),
    "the largest by its place": Contract((OneHot(ArgMax(s, v), v), s), (n,)),
    "under other names": Contract(
        (Rename(W, ((v, other),)), Rename(O, ((v, other), (t, late)))), (n, late, d)
    ),
}
OTHERS = {
    "the one-hot itself": O,
    "an entry in its place": Contract((s, O1), (n, v)),
    "the same place": Contract((O, O1), (n, t)),
    "the same place of a table": Contract((O, O1, W), (v, d)),
    "rows of a part of a table": Contract((W, rows(part, v, 1, 4), OneHot(few, part)), (n, d)),
    "into a part of a table": Contract((h, rows(part, v, 1, 4), OneHot(few, part)), (v, d)),
    "a part of what is added up": Contract((h, rows(part, v, 1, 4), O1), (part, d)),
    "an index that is a number too": add(Contract((W, O), (n, t, d)), tokens),
    "an index that is compared": multiply(
        Contract((W, O), (n, t, d)), scalar_map(fn("step")(symbol(0) - 2), tokens)
    ),
    "largest under a mask": Max(s, v, where=w),
    "its place": ArgMax(s, v),
    "its place under a mask": ArgMax(s, v, w),
    "the largest in its place": Contract((OneHot(ArgMax(s, v, w), v), s, w), (n, v)),
    "log-sum-exp under a mask": total,
    "softmax under a mask": softmax(s, v, w),
    "softmax by its total": shares(s, total, w),
    "a mask of more axes": LogSumExp(Parameter("p", (v,)), v, w),
    "detached": multiply(Detach(scalar_map(fn("tanh")(symbol(0)), s)), s),
}
CASES = {**LOOKUPS, **OTHERS}
COMPILED = ("added up in each sample", "its place under a mask")  # they take seconds

rng = np.random.default_rng(0)
VALUES = {
    "x": rng.integers(0, 5, (6, 4)),
    "y": rng.integers(0, 5, 6),
    "z": rng.integers(0, 3, 6),
    "W": rng.normal(size=(5, 3)),
    "s": rng.normal(size=(6, 5)),
    "p": rng.normal(size=5),
    "g": rng.normal(size=(6, 4, 3)),
    "h": rng.normal(size=(6, 3)),
    "w": (rng.random((6, 5)) > 0.4).astype(float),
}
VALUES["w"][1] = 0  # nothing is left
VALUES["w"][2], VALUES["s"][2] = [0, 1, 1, 0, 1], [2.0, -1.0, -1.0, 1e300, -1.0]


@pytest.fixture
def double_jax():
    with importlib.import_module("jax").enable_x64(True):
        yield


def function(node, target):
    """The emitted function of the leaves' values, and its source."""
    emitter = TARGETS[target]
    program = lower({"result": node}, emitter.RESERVED)
    source = emitter.emit([Task("f", "One node.", program, {"result": "result"})], ["A program."])
    convert = {
        "numpy": np.asarray,
        "numba": np.asarray,
        "jax": importlib.import_module("jax.numpy").asarray,
        "torch": importlib.import_module("torch").as_tensor,
    }[target]
    run = execute(source, {})["f"]

    def call(values):
        params = {name: convert(values[name]) for name in program.parameters}
        inputs = [convert(values[name]) for name in program.inputs]
        return np.asarray(run(*([params] if params else []), *inputs)["result"])

    return call, source


def check(name, target):
    node = CASES[name]
    call, source = function(node, target)
    with np.errstate(all="raise"):
        found = call(VALUES)
    np.testing.assert_allclose(found, evaluate(node, VALUES), rtol=1e-12, atol=1e-14)
    if name in LOOKUPS:
        assert "arange(5)" not in source


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_every_target_computes_what_the_oracle_does(name, target, loops_in_python, double_jax):
    check(name, target)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_loops(name):
    check(name, "numba")


@pytest.mark.parametrize("name", CASES)
def test_the_program_that_runs(name):
    node = CASES[name]
    program = compile_program({"result": node}, "One node.")
    leaves = {x.name: VALUES[x.name] for x in walk((node,)) if isinstance(x, (Input, Parameter))}
    parameters = {k: x for k, x in leaves.items() if k in ("W", "s", "p")}
    with np.errstate(all="raise"):
        found = program(parameters, {k: x for k, x in leaves.items() if k not in parameters})
    np.testing.assert_allclose(found["result"], evaluate(node, VALUES), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("place", [-1, 5])
@pytest.mark.parametrize("target", TARGETS)
def test_a_place_that_there_is_not_is_refused(target, place, loops_in_python):
    call, _ = function(LOOKUPS["rows of a table"], target)
    wrong = VALUES["x"].copy()
    wrong[3, 2] = place
    with pytest.raises(ValueError, match="x holds a number that is not from 0 to 4"):
        call({**VALUES, "x": wrong})


def test_under_jit_a_place_that_there_is_not_is_never_another_one(double_jax):
    jax_ = importlib.import_module("jax")
    _, source = function(LOOKUPS["rows of a table"], "jax")
    run = jax_.jit(execute(source, {})["f"])
    wrong = VALUES["x"].copy()
    wrong[0, 0], wrong[0, 1] = -1, 5
    found = np.asarray(run({"W": VALUES["W"]}, wrong)["result"])
    assert np.isnan(found[0, :2]).all()
    np.testing.assert_allclose(found[1:], VALUES["W"][VALUES["x"][1:]])


def test_jax_does_not_differentiate_what_is_detached(double_jax):
    jax_ = importlib.import_module("jax")
    _, source = function(OTHERS["detached"], "jax")
    run = execute(source, {})["f"]
    slope = jax_.grad(lambda s: run({"s": s})["result"].sum())(VALUES["w"] + 0.5)
    np.testing.assert_allclose(slope, np.tanh(VALUES["w"] + 0.5))
