"""A wrong rule inside the library is found by the check that it ships, ``pb.check``."""

import numpy as np
import pytest
from sympy.core.cache import clear_cache
from zoo import named

import pullback as pb
from pullback.calculus import gradients
from pullback.ir.evaluate import evaluate
from pullback.ir.scalar.primitives import PRIMITIVES
from pullback.laws import gradient_check

WRONG = 1.001


@pytest.fixture
def forgetful_sympy():
    """SymPy remembers derivatives: neither before nor after may it remember the wrong ones."""
    clear_cache()
    yield
    clear_cache()


@pytest.mark.usefixtures("forgetful_sympy")
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu"])
def test_a_wrong_row_is_found(name, monkeypatch):
    """Its derivative 0.1 % off: the calculus believes the row, the complex step does not."""
    text = f"{name}(x) + x/1000"  # a function that no other test has differentiated
    row = PRIMITIVES[name]
    monkeypatch.setitem(row.__dict__, "from_output", None)
    right = row.derivative
    monkeypatch.setitem(row.__dict__, "derivative", lambda u: WRONG * right(u))
    net = pb.Network(
        pb.Sequential(pb.Linear(3, 4), pb.Activation(text), pb.Linear(4, 2)),
        loss=pb.SquaredError(),
    )
    data = np.random.default_rng(1)
    X, Y = data.normal(size=(6, 3)), data.normal(size=(6, 2))
    found = pb.check(net, net.init(seed=0), X, Y)
    assert not found.ok
    assert found.worst.where.startswith("0.")
    assert found.errors["2.weight"] < 1e-10


def test_check_passes_on_the_zoo():
    for name in ("depth 3", "sigmoid, bits", "residual, nested", "l2", "GELU(), float32"):
        case = named(name)
        found = pb.check(case.net, case.params(), *case.data())
        assert found.ok, found
        assert found.errors.keys() == case.params().keys()


def test_a_wrong_program_is_found(monkeypatch):
    case = named("depth 3")
    right = case.net.value_and_grad

    def wrong(*data, **seed):
        value, grads = right(*data, **seed)
        return value, grads | {"2.bias": WRONG * grads["2.bias"]}

    monkeypatch.setattr(
        pb.Network, "value_and_grad", lambda self, *data, seed: wrong(*data, seed=seed)
    )
    found = pb.check(case.net, case.params(), *case.data())
    assert not found.ok
    assert found.worst.where.startswith("2.bias")


def test_raw_gradients_are_what_is_checked():
    """The nodes too, not only the emitted program."""
    case = named("depth 3")
    leaves = list(case.net.parameters.values())
    slopes = case.evaluate(*gradients(case.net.total, leaves))
    grads = {leaf.name: slope for leaf, slope in zip(leaves, slopes, strict=True)}
    values = case.values()
    found = gradient_check(
        lambda at: evaluate(case.net.total, {**values, **at})[()], grads, case.params()
    )
    assert found.ok
