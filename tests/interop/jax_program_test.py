"""The jax program computes what the network does, under every transformation of jax."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import jax_peer  # noqa: F401  it asks jax for float64
import numpy as np
import pytest
from zoo import close, named

import pullback as pb

CASES = [
    named(name)
    for name in (
        "Activation(formula='maximum(x, 0.1*x) - abs(x)/7')", "GELU()", "l2, sum, no bias",
        "mse, one output as a vector", "cross-entropy, labels", "sigmoid, bits", "logistic",
        "residual, nested", "bare linear", "mse, float32",
    )
]  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES, ids=repr)


@every_case
def test_value_gradients_and_output(case):
    params, (X, Y) = case.params(), case.data()
    program = pb.to_jax(case.net)
    value, grads = case.net.value_and_grad(params, X, Y)

    def everything(p, x, y):
        value, by_jax = jax.value_and_grad(program.loss)(p, x, y)
        return *program.value_and_grad(p, x, y), value, by_jax, program.predict(p, x)

    theirs, slopes, loss, by_jax, output = jax.jit(everything)(params, X, Y)
    bound = 1e-12 if case.dtype is np.float64 else 1e-5
    assert theirs == pytest.approx(value, rel=bound)
    assert loss == pytest.approx(value, rel=bound)
    assert set(slopes) == set(grads)
    for name, grad in grads.items():
        assert slopes[name].dtype == case.dtype
        close(slopes[name], grad, case.dtype)
        close(by_jax[name], grad, case.dtype)
    close(output, case.net.predict(params, X), case.dtype)


@pytest.mark.parametrize("name", ["cross-entropy, labels", "mse"])
def test_vmap_gives_the_gradient_of_each_sample(name):
    case = named(name)
    params, (X, Y) = case.params(), case.data()
    program = pb.to_jax(case.net)
    each = jax.vmap(program.value_and_grad, in_axes=(None, 0, 0))
    outputs = jax.vmap(program.predict, in_axes=(None, 0))
    (values, grads), output = jax.jit(lambda p, x, y: (each(p, x, y), outputs(p, x)))(params, X, Y)
    for at in range(len(X)):
        value, grad = case.net.value_and_grad(params, X[at : at + 1], Y[at : at + 1])
        assert values[at] == pytest.approx(value, rel=1e-12)
        for key in grad:
            close(grads[key][at], grad[key])
    close(output, case.net.predict(params, X))


def test_vmap_over_networks():
    case = named("mse")
    X, Y = case.data()
    several = [case.params(seed) for seed in range(3)]
    stacked = {key: np.stack([each[key] for each in several]) for key in several[0]}
    found = jax.jit(jax.vmap(pb.to_jax(case.net).loss, in_axes=(0, None, None)))(stacked, X, Y)
    close(found, [case.net.loss(each, X, Y) for each in several])


def test_a_program_can_be_pickled_and_read():
    case = named("mse")
    program = pb.to_jax(case.net)
    back = pickle.loads(pickle.dumps(program))  # noqa: S301  our own
    params, (X, Y) = case.params(), case.data()
    assert back.loss(params, X, Y) == program.loss(params, X, Y)
    assert "delta0 = (delta2 @ W2)" in program.text()
    assert program.to_dict()["source"] == str(program)


DEVICES = """
import jax, numpy as np, pullback as pb
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
jax.config.update("jax_enable_x64", True)
assert len(jax.devices()) == 4
net = pb.Network(pb.Sequential(pb.Linear(6, 8), pb.Tanh(), pb.Linear(8, 3)), pb.CrossEntropy(),
                 l2=0.1)
params = net.init(seed=0)
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(32, 6)), rng.integers(0, 3, 32)
mesh = Mesh(np.array(jax.devices()), ("batch",))
rows, whole = NamedSharding(mesh, P("batch")), NamedSharding(mesh, P())
x, y = jax.device_put(X, rows), jax.device_put(Y, rows)
held = jax.device_put(params, whole)
step = jax.jit(pb.to_jax(net).value_and_grad, out_shardings=whole)
assert len(x.sharding.device_set) == 4 and x.addressable_shards[0].data.shape == (8, 6)
compiled = step.lower(held, x, y).compile().as_text()
assert "all-reduce" in compiled  # the devices add up what each found on its part
value, grads = step(held, x, y)
expected, ours = net.value_and_grad(params, X, Y)
np.testing.assert_allclose(value, expected, rtol=1e-12)
for name in ours:
    np.testing.assert_allclose(grads[name], ours[name], rtol=1e-10, atol=1e-13)
print("equal on", len(jax.devices()))
"""


def test_the_batch_over_four_devices():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    root = Path(pb.__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        env={**os.environ, **flags},
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal on 4"


def test_a_missing_parameter_is_named():
    case = named("mse")
    X, Y = case.data()
    params = {name: value for name, value in case.params().items() if name != "0.bias"}
    with pytest.raises(pb.errors.UnknownNameError, match=r"params lacks '0\.bias'"):
        pb.to_jax(case.net).loss(params, X, Y)


def test_what_is_no_network():
    with pytest.raises(pb.errors.ConfigError, match="net is 3"):
        pb.to_jax(3)
