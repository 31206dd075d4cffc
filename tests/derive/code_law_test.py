"""The law: emitted code, run on its own, gives what the network gives, in every target."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from emitted import run
from zoo import FLOAT64, Case, close, named

import pullback as pb
from pullback.errors import UnknownNameError
from pullback.net.checks import checked_data

SOME = FLOAT64[::3]  # JAX and PyTorch take their time to start up on each
COMPILED = ["Tanh()", "SELU()", "cross-entropy, labels", "residual, nested"]


def check(case: Case, target: str, convert=lambda x: x) -> dict:
    """Value and gradients of the emitted function are the network's."""
    namespace = run(pb.derive(case.net).code(target))
    params = {name: convert(value) for name, value in case.params().items()}
    data = [convert(np.ascontiguousarray(a)) for a in checked_data(case.net, *case.data())]
    value, grads = namespace["value_and_grad"](params, *data)
    expected, expected_grads = case.net.value_and_grad(case.params(), *case.data())
    assert float(value) == pytest.approx(expected, rel=1e-10)
    assert list(grads) == list(expected_grads)
    for name, grad in grads.items():
        close(np.asarray(grad), expected_grads[name], tight=1e-10)
    return namespace


@pytest.mark.parametrize("case", FLOAT64, ids=repr)
def test_numpy(case):
    check(case, "numpy")


@pytest.mark.parametrize("case", SOME, ids=repr)
def test_jax(case):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    check(case, "jax")


@pytest.mark.parametrize("case", SOME, ids=repr)
def test_torch_and_its_gradcheck(case):
    torch = pytest.importorskip("torch")
    namespace = check(case, "torch", torch.as_tensor)
    if sum(p.size for p in case.params().values()) > 60:
        return  # gradcheck takes a pass for each weight
    data = [torch.as_tensor(a).double() for a in checked_data(case.net, *case.data())]
    params = [torch.as_tensor(p).requires_grad_() for p in case.params().values()]
    assert torch.autograd.gradcheck(namespace["Loss"].apply, (*data, *params))


@pytest.mark.parametrize("name", COMPILED)
def test_numba(name):
    namespace = check(named(name), "numba")
    assert namespace["_value_and_grad"].signatures  # it was compiled


@pytest.mark.parametrize("target", ["numpy", "jax", "torch", "numba"])
@pytest.mark.parametrize("name", ["residual, nested", "l2"])
def test_code_stands_alone_and_every_equation_has_its_number(target, name):
    d = pb.derive(named(name).net)
    source = d.code(target)
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in getattr(node, "names", [])
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
    }
    assert "pullback" not in imported
    assert "import pullback" not in source
    for equation, number in d.numbers.items():
        if equation.startswith(("z.", "delta.", "gradient.")):
            assert f"({number})" in source, equation


def test_a_wrong_factor_in_the_emitted_code_is_noticed():
    case = named("Tanh()")
    source = pb.derive(case.net).code("numpy").replace("4.0 * expit", "4.004 * expit")
    assert "4.004" in source
    _, grads = run(source)["value_and_grad"](case.params(), *checked_data(case.net, *case.data()))
    expected = case.net.value_and_grad(case.params(), *case.data())[1]
    with pytest.raises(AssertionError):
        close(grads["0.weight"], expected["0.weight"], tight=1e-10)


def test_an_unknown_target_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'numpy'"):
        pb.derive(named("Tanh()").net).code("nunpy")


@pytest.mark.parametrize(
    ("target", "axes"),
    [
        *((target, "tokens=2 features=4") for target in ("numpy", "torch", "jax")),
        ("numba", "features=4"),
    ],
)
def test_class_numbers_are_as_good_as_rows(target, axes):
    """The code takes the targets that the network takes, and refuses what is no class."""
    rng, shape = np.random.default_rng(0), (5, 2, 4) if "tokens" in axes else (5, 4)
    X, y = rng.normal(size=shape), rng.integers(0, 3, shape[:-1])
    net = pb.Network(pb.Sequential(pb.Linear(4, 3)), loss=pb.CrossEntropy(), x=axes)
    params = net.init(0)
    if target == "jax":
        pytest.importorskip("jax").config.update("jax_enable_x64", True)
    held = {name: converted(target, array) for name, array in params.items()}
    value_and_grad = run(pb.derive(net).code(target))["value_and_grad"]
    value, grads = value_and_grad(held, converted(target, X), converted(target, y))
    expected, slopes = net.value_and_grad(params, X, y)
    np.testing.assert_allclose(float(value), expected, rtol=1e-12)
    for name, slope in slopes.items():
        np.testing.assert_allclose(np.asarray(grads[name]), slope, rtol=1e-10, atol=1e-14)
    with pytest.raises(ValueError, match="not from 0 to 2"):
        value_and_grad(held, converted(target, X), converted(target, y + 3))
    if target == "jax":  # which sees no numbers while it traces
        traced = pytest.importorskip("jax").jit(value_and_grad)
        assert np.isnan(traced(held, converted(target, X), converted(target, y + 3))[0])


def converted(target, array):
    if target == "torch":
        return pytest.importorskip("torch").as_tensor(array)
    return pytest.importorskip("jax").numpy.asarray(array) if target == "jax" else array
