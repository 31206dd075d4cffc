"""Every block with every option is torch's module of that name: names, start, value, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_peer import Pointwise as Function
from torch_peer import hard_sigmoid
from zoo import close

import pullback as pb
from pullback.errors import ConfigError, ShapeError
from pullback.ir import Axis, Input, Map, Scalar
from pullback.ir.evaluate import evaluate
from pullback.ir.flow import flow
from pullback.ir.forms import Gate, Normalise, Pointwise, Softmax

NAMES = "abcd"


def axes(shape: tuple[int, ...]) -> str:
    return " ".join(f"{name}={size}" for name, size in zip(NAMES, shape, strict=False))


def agree(block: Any, module: nn.Module, x: Any, seed: int = 0) -> None:
    """Parameter names, shapes and start; then value and all gradients at other parameters."""
    module = module.double()
    net = pb.Network(pb.Sequential(block), pb.MSELoss(), x=axes(x.shape[1:]))
    held = {f"0.{name}": p.detach().numpy() for name, p in module.named_parameters()}
    start = net.init(seed=0)
    assert {n: v.shape for n, v in start.items()} == {n: v.shape for n, v in held.items()}
    for name, value in held.items():
        np.testing.assert_array_equal(start[name], value)
    rng = np.random.default_rng(seed)
    params = {name: value + rng.normal(size=value.shape) for name, value in held.items()}
    module.load_state_dict({n[2:]: torch.tensor(v) for n, v in params.items()})
    data = torch.tensor(x, requires_grad=True)
    out = module(data)
    y = rng.normal(size=tuple(out.shape))
    loss = ((out - torch.tensor(y)) ** 2).mean()
    loss.backward()
    close(net.predict(params, x), out.detach().numpy(), tight=1e-9)
    value, grads = net.value_and_grad(params, x, y)
    assert value == pytest.approx(loss.item(), rel=1e-9)
    for name, gradient in grads.items():
        expected = dict(module.named_parameters())[name[2:]].grad.numpy()
        close(gradient, expected, tight=1e-9)
    dense = pb.jacobian(net, params, x).dense()
    slope = np.einsum("no,noi->ni", (2 * (net.predict(params, x) - y) / y.size).reshape(len(x), -1),
                      dense)  # fmt: skip
    close(slope.reshape(x.shape), data.grad.numpy(), tight=1e-9)


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@settings(max_examples=12, deadline=None)
@given(shapes, st.integers(1, 3), st.booleans(), st.booleans(), st.sampled_from([1e-5, 0.1]))
def test_layer_norm(shape, last, affine, bias, eps):
    over = shape[-last:]
    x = np.random.default_rng(0).normal(size=(3, *shape))
    block = pb.LayerNorm(over, eps, affine, bias)
    agree(block, nn.LayerNorm(over, eps, affine, bias), x)


@settings(max_examples=12, deadline=None)
@given(shapes, st.integers(1, 3), st.booleans(), st.sampled_from([None, 1e-6, 0.1]))
def test_rms_norm(shape, last, affine, eps):
    over = shape[-last:]
    x = np.random.default_rng(0).normal(size=(3, *shape))
    agree(pb.RMSNorm(over, eps, affine), nn.RMSNorm(over, eps, affine), x)


def test_rows_that_are_all_equal_and_a_single_feature():
    x = np.array([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [1.0, -1.0, 0.0]])
    agree(pb.LayerNorm(3), nn.LayerNorm(3), x)
    agree(pb.RMSNorm(3, 1e-5), nn.RMSNorm(3, 1e-5), x)
    agree(pb.LayerNorm(1), nn.LayerNorm(1), np.array([[3.0], [-2.0]]))
    agree(pb.RMSNorm(1), nn.RMSNorm(1), np.array([[3.0], [-2.0]]))


@settings(max_examples=12, deadline=None)
@given(shapes, st.integers(-3, 3), st.sampled_from([1.0, 300.0]))
def test_softmax_and_its_logarithm(shape, dim, size):
    x = size * np.random.default_rng(0).normal(size=(2, *shape))
    rank = len(shape) + 1
    for ours, theirs in ((pb.Softmax, nn.Softmax), (pb.LogSoftmax, nn.LogSoftmax)):
        if -rank < dim < rank and dim % rank:
            agree(ours(dim), theirs(dim), x)
        else:
            with pytest.raises(ShapeError, match=r"is the batch|there is no axis"):
                pb.Network(ours(dim), pb.MSELoss(), x=axes(shape)).predict({}, x)


@pytest.mark.parametrize(("shape", "dim"), [((4,), -1), ((2, 3), 1), ((2, 4), -1), ((3, 6, 2), 2)])
def test_glu(shape, dim):
    agree(pb.GLU(dim), nn.GLU(dim), np.random.default_rng(0).normal(size=(3, *shape)))


@pytest.mark.parametrize(("shape", "count"), [((4,), 1), ((4,), 4), ((3, 2), 3), ((2, 3, 2), 2)])
def test_prelu_also_at_0(shape, count):
    x = np.random.default_rng(0).normal(size=(3, *shape))
    x.flat[::3] = 0
    agree(pb.PReLU(count, 0.125), nn.PReLU(count, 0.125), x)


KINKED = {
    pb.ReLU6(): nn.ReLU6(), pb.Hardtanh(): nn.Hardtanh(),
    pb.Hardtanh(-2, 0.5): nn.Hardtanh(-2, 0.5),
    pb.Hardsigmoid(): Function(hard_sigmoid), pb.Hardswish(): nn.Hardswish(), pb.Mish(): nn.Mish(),
    pb.LogSigmoid(): nn.LogSigmoid(), pb.Softsign(): nn.Softsign(),
}  # fmt: skip


@pytest.mark.parametrize("block", KINKED, ids=repr)
def test_functions_also_where_their_pieces_meet(block):
    x = np.array([[-800.0, -3.0, -2.0, -1.0, -0.5, 0.0], [0.5, 1.0, 2.5, 3.0, 6.0, 800.0]])
    agree(block, KINKED[block], x)
    z = Input("z", (Axis("n"),))
    node = Map(Scalar.of(block.expression(), 1), (z,))
    step = evaluate(node, {"z": x[0] + 0.1 + 1e-30j}).imag / 1e-30  # beside the kinks
    close(block.function.partial(0)(x[0] + 0.1), step)


class Both(nn.Module):
    """Two modules side by side, one after another or added."""

    def __init__(self, one: nn.Module, two: nn.Module, dim: int | None) -> None:
        super().__init__()
        self.dim = dim
        self.add_module("0", one)
        self.add_module("1", two)

    def forward(self, x: Any) -> Any:
        parts = [part(x) for part in self.children()]
        return sum(parts) if self.dim is None else torch.cat(parts, self.dim)


def side_by_side(block: Any, module: nn.Module, x: Any) -> None:
    """Like ``agree``, where weights are drawn and do not start alike."""
    net = pb.Network(block, pb.MSELoss(), x=axes(x.shape[1:]))
    module = module.double()
    assert [s.name for s in net.specs] == [name for name, _ in module.named_parameters()]
    params = {name: p.detach().numpy() for name, p in module.named_parameters()}
    out = module(torch.tensor(x))
    out.square().mean().backward()
    found = net.predict(params, x)
    close(found, out.detach().numpy())
    _, grads = net.value_and_grad(params, x, np.zeros_like(found))
    for name, parameter in module.named_parameters():
        close(grads[name], parameter.grad.numpy(), tight=1e-9)
    exported = pb.to_torch(net, params)
    close(exported(torch.tensor(x)).detach().numpy(), found)


@pytest.mark.parametrize("dim", [-1, 1, -2])
def test_concat(dim):
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    widths = (3, 2) if dim == -1 else (3, 3)
    ours = pb.Concat(*(pb.Linear(4, n) for n in widths), dim=dim)
    side_by_side(ours, Both(*(nn.Linear(4, n) for n in widths), dim), x)


def test_parallel_of_one_input():
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    for join, dim in (("concat", -1), ("sum", None)):
        ours = pb.Parallel(pb.Linear(4, 3), pb.Linear(4, 3), join=join)
        side_by_side(ours, Both(nn.Linear(4, 3), nn.Linear(4, 3), dim), x)


@pytest.mark.parametrize("join", ["concat", "sum"])
def test_parallel_of_inputs_by_name(join):
    model = pb.Parallel(a=pb.Linear(3, 4), b=pb.Linear(2, 4), join=join)
    net = pb.Network(model, pb.MSELoss(), x={"a": "left", "b": "right"})
    params, rng = net.init(seed=0), np.random.default_rng(0)
    X = {"a": rng.normal(size=(5, 3)), "b": rng.normal(size=(5, 2))}
    parts = [X[n] @ params[f"{n}.weight"].T + params[f"{n}.bias"] for n in "ab"]
    expected = np.concatenate(parts, -1) if join == "concat" else sum(parts)
    close(net.predict(params, X), expected)
    assert pb.check(net, params, X, np.zeros_like(expected)).ok


def test_flow_reads_them():
    def kinds(block: Any) -> set[type]:
        net = pb.Network(pb.Sequential(pb.Linear(4, 4), block), pb.MSELoss())
        return {type(form) for form in flow(net.graph).values()}

    for norm in (pb.LayerNorm(4), pb.LayerNorm(4, bias=False), pb.RMSNorm(4),
                 pb.LayerNorm(4, elementwise_affine=False)):  # fmt: skip
        assert Normalise in kinds(norm)
    assert Softmax in kinds(pb.Softmax())
    assert Softmax in kinds(pb.LogSoftmax())
    assert Gate in kinds(pb.GLU())
    assert Pointwise in kinds(pb.Hardtanh())
    net = pb.Network(pb.LogSoftmax(), pb.MSELoss(), x="a=4")
    (form,) = [each for each in flow(net.graph).values() if isinstance(each, Softmax)]
    assert form.is_log
    assert form.total is not None


@pytest.mark.parametrize(
    ("block", "x", "says"),
    [
        (pb.LayerNorm((3, 4)), "features=4", "needs 2 axes after the batch"),
        (pb.LayerNorm(3), "features=4", "takes 3 features"),
        (pb.PReLU(3), "features=4", "takes 3 features"),
        (pb.GLU(), "features=3", "expected an even length"),
        (pb.GLU(), "features", "say the input's sizes"),
        (pb.Concat(pb.Linear(4, 3), pb.Tanh(), dim=0), "features=4", "is the batch"),
        (pb.Concat(pb.Linear(4, 3), pb.Linear(4, 2), dim=1), "tokens=2 features=4", "joins"),
        (pb.Concat(pb.Tanh()), "features", "whose size is not known"),
        (pb.Parallel(pb.Linear(4, 3), pb.Tanh(), join="sum"), "features=4", "joins"),
        (pb.Parallel(a=pb.Tanh()), "features=4", "reads the inputs a, found one input"),
    ],
)
def test_what_does_not_fit_says_why(block, x, says):
    with pytest.raises((ShapeError, ConfigError)) as raised:
        pb.Network(pb.Sequential(block), pb.MSELoss(), x=x).output  # noqa: B018
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pb.LayerNorm(0), "a whole number from 1"),
        (lambda: pb.LayerNorm(()), "expected a size"),
        (lambda: pb.LayerNorm(3, eps=-1.0), "expected a number from 0"),
        (lambda: pb.RMSNorm(3, elementwise_affine=1), "True or False"),
        (lambda: pb.PReLU(0), "a whole number from 1"),
        (lambda: pb.Hardtanh(1.0, 1.0), "a smaller and a larger number"),
        (lambda: pb.Softmax("last"), "the number of an axis"),
        (lambda: pb.Concat(), "at least one block"),
        (lambda: pb.Parallel(), "needs blocks"),
        (lambda: pb.Parallel(pb.Tanh(), a=pb.Tanh()), "needs blocks"),
        (lambda: pb.Parallel(pb.Tanh(), join="mean"), "expected 'concat' or 'sum'"),
    ],
)
def test_options_that_make_no_sense(make, says):
    with pytest.raises(ConfigError) as raised:
        make()
    assert says in str(raised.value)


@pytest.mark.parametrize("block", KINKED, ids=repr)
def test_from_torch_knows_them_by_name(block):
    theirs = getattr(nn, type(block).__name__)(*vars(block).values())
    module = nn.Sequential(nn.Linear(3, 3), theirs).double()
    net, _ = pb.from_torch(module, nn.MSELoss())
    assert net.model.blocks[1] == block
