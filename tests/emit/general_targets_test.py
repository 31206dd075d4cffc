"""Networks of any axes in every target: the value and each gradient are the slow interpreter's."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING, General
from matrix_networks import BY_HAND

from pullback.emit import lower
from pullback.emit.target import jax, numba, torch
from pullback.emit.target import numpy as readable
from pullback.emit.target.language import Task
from pullback.ir.evaluate import evaluate_all
from pullback.net.checks import checked_batch
from pullback.net.program import execute

TARGETS = {"numpy": readable, "numba": numba, "jax": jax, "torch": torch}
COMPILED = ("pixels", "whole numbers")  # they take seconds
SLICED = ("convolution", "attention", "branches joined", "maxout", "batch mean")


def task(net: Any, emitter: Any) -> Task:
    roots = {"loss": net.total, **net.gradients}
    program = lower(roots, emitter.RESERVED, net.leaves)
    return Task("value_and_grad", "As it says.", program, {n: n for n in net.gradients}, "loss")


def check(net: Any, params: Any, inputs: Any, target: str) -> str:
    """Value and gradients of the emitted function are those of the interpreter; its source."""
    convert = np.asarray
    if target == "jax":
        library = pytest.importorskip("jax")
        library.config.update("jax_enable_x64", True)
        convert = library.numpy.asarray
    elif target == "torch":
        convert = pytest.importorskip("torch").as_tensor
    source = TARGETS[target].emit([task(net, TARGETS[target])], ["A network."])
    given = {name: convert(value) for name, value in params.items()}
    data = [convert(inputs[leaf.name]) for leaf in net.inputs]
    value, grads = execute(source, {})["value_and_grad"](given, *data)
    roots = (*net.inputs, net.total, *net.gradients.values())
    expected = evaluate_all(roots, {**params, **inputs})
    assert float(value) == pytest.approx(float(expected[net.total]), rel=1e-12)
    assert list(grads) == list(net.trained)
    for name, node in net.gradients.items():
        assert tuple(grads[name].shape) == params[name].shape
        np.testing.assert_allclose(np.asarray(grads[name]), expected[node], rtol=1e-9, atol=1e-11)
    return source


@cache
def inputs_of(case: General) -> dict[str, Any]:
    _, inputs = case.net.batch(case.params, case.X, case.Y)
    inputs["target"] = inputs["target"].astype(np.float64)  # float32 beside whole numbers
    return inputs


@pytest.mark.parametrize("target", ["numpy", "numba", "torch", "jax"])
@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)
def test_general_networks(case, target, loops_in_python):
    check(case.net, case.params, inputs_of(case), target)


@pytest.mark.parametrize("name", COMPILED)
def test_general_networks_compiled(name):
    (case,) = [case for case in GENERAL if case.name == name]
    check(case.net, case.params, inputs_of(case), "numba")


@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)
def test_the_program_that_runs(case):
    net, inputs = case.net, inputs_of(case)
    found = net.value_and_grad_program(case.params, inputs)
    roots = (*net.inputs, net.total, *net.gradients.values())
    expected = evaluate_all(roots, {**case.params, **inputs})
    for name, node in {"loss": net.total, **net.gradients}.items():
        np.testing.assert_allclose(found[name], expected[node], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "numba", "torch", "jax"])
@pytest.mark.parametrize("name", SLICED)
def test_slices_are_no_matrices(name, target, loops_in_python):
    (case,) = [case for case in BY_HAND if case.name == name]
    source = check(case.net, case.params, checked_batch(case.net, *case.data), target)
    assert "eye" not in source
    assert "eye" not in case.net.value_and_grad_program.source


def test_a_column_is_no_target_of_one_number_a_sample():
    (case,) = [case for case in GENERAL if case.name == "one number a sample"]
    run = execute(readable.emit([task(case.net, readable)], ["A network."]), {})["value_and_grad"]
    inputs = inputs_of(case)
    run(case.params, inputs["x"], inputs["target"])
    with pytest.raises(ValueError, match=r"target is not of shape \(batch\)"):
        run(case.params, inputs["x"], inputs["target"][:, None])


def test_whole_numbers_do_not_raise_the_precision():
    (case,) = [case for case in GENERAL if case.name == "whole numbers"]
    params = {name: value.astype(np.float32) for name, value in case.params.items()}
    _, grads = case.net.value_and_grad(params, case.X, case.Y.astype(np.float32))
    assert {grad.dtype for grad in grads.values()} == {np.dtype(np.float32)}
