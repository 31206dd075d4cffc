"""A small convolutional net beside jax: Hessian-vector product, and what its parts are called."""

import numpy as np
import pytest

import pullback as pb
from pullback import emit
from pullback.calculus import Factor, hessian_vector_product, linearise
from pullback.ir import Axis, Contract, Graph, Input, Parameter, flow, simplify
from pullback.ir.layout import merged, window
from pullback.ir.window import Window
from pullback.net.program import compile_program

NET = pb.Network(
    pb.Sequential(
        pb.Conv2d(1, 2, 3, padding=1, stride=2), pb.Tanh(), pb.MaxPool2d(2, stride=1),
        pb.ConvTranspose2d(2, 2, 2, groups=2), pb.Sigmoid(), pb.AvgPool2d(2, padding=1),
        pb.Flatten(), pb.Linear(8, 3),
    ),
    pb.CrossEntropy(), x="channels=1 height=5 width=6",
)  # fmt: skip


def loss_in_jax(params, X, classes):
    jax = pytest.importorskip("jax")
    lax, jnp = jax.lax, jax.numpy
    layout = ("NCHW", "OIHW", "NCHW")
    z = lax.conv_general_dilated(X, params["0.weight"], (2, 2), [(1, 1)] * 2,
                                 dimension_numbers=layout)  # fmt: skip
    a = jnp.tanh(z + params["0.bias"][:, None, None])
    a = lax.reduce_window(a, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 1, 1), "VALID")
    turned = jnp.flip(params["3.weight"], (2, 3))
    z = lax.conv_general_dilated(a, turned, (1, 1), [(1, 1)] * 2, dimension_numbers=layout,
                                 feature_group_count=2)  # fmt: skip
    a = 1 / (1 + jnp.exp(-(z + params["3.bias"][:, None, None])))
    a = lax.reduce_window(a, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), [(0, 0)] * 2 + [(1, 1)] * 2)
    z = (a / 4).reshape(len(X), -1) @ params["7.weight"].T + params["7.bias"]
    return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(X)), classes])


def test_hessian_vector_product_is_jaxs():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    params, v = NET.init(seed=1), NET.init(seed=2)
    X, classes = rng.normal(size=(3, 1, 5, 6)), rng.integers(0, 3, 3)
    leaves = tuple(NET.parameters.values())
    along = {leaf: Input(f"v.{leaf.name}", leaf.axes) for leaf in leaves}
    found = dict(zip(NET.parameters, hessian_vector_product(NET.total, leaves, along), strict=True))
    run = compile_program(found, "H v", leaves=(*leaves, *NET.inputs, *along.values()))
    directions = {f"v.{name}": value for name, value in v.items()}
    mine = run(params, {"x": X, "target": np.eye(3)[classes], **directions})
    slope = jax.grad(loss_in_jax)
    value, theirs = jax.jvp(lambda p: slope(p, X, classes), (params,), (v,))
    for name, array in NET.value_and_grad(params, X, classes)[1].items():
        np.testing.assert_allclose(array, value[name], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-9, atol=1e-11)


def test_forms_of_windows():
    found = {e.name: f for e, f in flow(Graph({"output": NET.output})).items()}
    conv, pool, up = found["z.0"], found["a.2"], found["z.3"]
    assert all(isinstance(found[name], Window) for name in ("z.0", "a.2", "z.3", "a.5", "a.6"))
    assert (conv.weight.name, conv.bias.name, conv.kind) == ("0.weight", "0.bias", "sum")
    assert [axis.size for axis in conv.taps] == [3, 3]
    assert (pool.kind, pool.weight, len(pool.taps), len(pool.patterns)) == ("max", None, 2, 2)
    assert up.weight.name == "3.weight"
    assert (found["a.5"].kind, found["a.5"].scale, found["a.5"].weight) == ("sum", 0.25, None)
    assert found["a.6"].taps == ()  # nothing but other axes
    assert [f.arg.name for f in (conv, pool, up)] == ["x", "a.1", "a.2"]


n, c, k = Axis("batch"), Axis("c", 2), Axis("k", 3)
h, o, t = Axis("h", 5), Axis("o", 3), Axis("t", 3)
x, W = Input("x", (n, c, h)), Parameter("W", (k, c, t))


def test_a_convolution_is_a_pattern_along_its_windows_and_dense_along_channels():
    of = dict(linearise(Contract((x, window(h, o, t), W), (n, k, o))))
    assert of[x].structure() == {
        "batch": "identity", "c": "dense", "h": "pattern", "k": "dense", "o": "pattern",
    }  # fmt: skip
    assert of[W].structure()["t"] == "pattern"
    assert of[x].kind == "dense"
    mean = dict(linearise(Contract((x, window(h, o, t)), (n, c, o))))[x]
    assert (mean.kind, mean.T.kind) == ("pattern", "pattern")
    flat = Axis("f", 10)
    assert dict(linearise(merged(x, (c, h), flat)))[x].kind == "pattern"


def test_no_matrix_is_made_of_a_kernel():
    """The cotangent of a convolution is one product with its weight and its windows."""
    factor = dict(linearise(Contract((x, window(h, o, t), W), (n, k, o))))[x]
    assert isinstance(factor, Factor)
    (back,) = simplify(factor.T @ Input("seed", (n, k, o)))
    assert len(back.factors) == 3


def test_cotangents_of_windows_are_computed_one_after_the_other():
    """What comes of two layers is never brought together at the places of both."""
    layers = [(pb.Conv2d(1, 2, 3), pb.ReLU(), pb.MaxPool2d(2)), (pb.Conv2d(2, 2, 2), pb.Tanh())]
    net = pb.Network(pb.Sequential(*layers[0], *layers[1], pb.AvgPool2d(2)), pb.SquaredError(),
                     x="channels=1 height=8 width=8")  # fmt: skip
    roots = net.value_and_grad_program.roots
    most = {}
    for direct in (False, True):
        program = emit.lower(roots, emit.inplace.RESERVED, net.inputs, direct)
        source = emit.inplace.emit(program, "A step.")
        axes = [line.count(",") - 1 for line in source.splitlines() if "np.empty(" in line]
        most[direct] = max(axes)
    # batch, channels, and two places with their taps, which kernels do without
    assert most == {False: 6, True: 4}
