"""RNN, GRU and LSTM compute and learn what torch's do, and say clearly what they do not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import close

import pullback as pb
from pullback import calculus
from pullback.errors import ConfigError, ShapeError
from pullback.ir import Input
from pullback.net.program import compile_program

KINDS = {"RNN": pb.RNN, "GRU": pb.GRU, "LSTM": pb.LSTM}
HIDDEN, FEATURES, BATCH = 4, 3, 5
SHAPES = [  # layers, bidirectional, bias, output, steps
    (1, False, True, "sequence", 7),
    (1, False, False, "last", 1),
    (1, True, True, "last", 2),
    (2, True, True, "sequence", 2),
    (2, False, True, "last", 7),
]


def network(kind, layers=1, bidirectional=False, bias=True, output="sequence", x="time features"):
    more = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "output": output}
    block = KINDS[kind](FEATURES, HIDDEN, **more)
    model = pb.Sequential(block, pb.Linear(HIDDEN * (1 + bidirectional), 2))
    return pb.Network(model, loss=pb.MSELoss(), x=x)


def data(net, steps, output):
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=p.shape) / 2 for name, p in net.init(seed=0).items()}
    X = rng.normal(size=(BATCH, steps, FEATURES))
    Y = rng.normal(size=(BATCH, steps, 2) if output == "sequence" else (BATCH, 2))
    return params, X, Y


class Peer(torch.nn.Module):
    """Torch's module with a layer on every output, or on the last state of each direction."""

    def __init__(self, kind, layers, bidirectional, bias, output):
        super().__init__()
        more = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias}
        made = getattr(torch.nn, kind)(FEATURES, HIDDEN, batch_first=True, **more)
        self.add_module("0", made)
        self.add_module("1", torch.nn.Linear(HIDDEN * (1 + bidirectional), 2))
        self.ends = (-2, -1) if bidirectional else (-1,)
        self.output = output

    def forward(self, x):
        cells, layer = self.children()
        h, last = cells(x)
        if self.output == "last":
            last = last[0] if isinstance(last, tuple) else last
            h = torch.cat([last[at] for at in self.ends], dim=-1)
        return layer(h)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "-".join(map(str, s)))
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradients_are_torch_s(kind, shape):
    *how, output, steps = shape
    net = network(kind, *how, output)
    params, X, Y = data(net, steps, output)
    peer = Peer(kind, *how, output).double()
    assert list(params) == list(peer.state_dict())
    peer.load_state_dict({name: torch.tensor(value) for name, value in params.items()})
    x = torch.tensor(X, requires_grad=True)
    found = peer(x)
    loss = torch.nn.functional.mse_loss(found, torch.tensor(Y))
    loss.backward()
    close(net.predict(params, X), found.detach().numpy())
    value, grads = net.value_and_grad(params, X, Y)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, p in peer.named_parameters():
        close(grads[name], p.grad.numpy(), tight=1e-11)
    (by_x,) = calculus.gradients(net.total, [net.x])
    program = compile_program({"x": by_x}, "By the input.", leaves=net.leaves)
    close(program(params, {"x": X, "target": Y})["x"], x.grad.numpy(), tight=1e-11)


def test_relu_in_place_of_tanh():
    net = pb.Network(pb.RNN(FEATURES, HIDDEN, 1, "relu"), loss=pb.MSELoss(), x="time features")
    params, X, _ = data(net, 3, "sequence")
    peer = torch.nn.RNN(FEATURES, HIDDEN, nonlinearity="relu", batch_first=True).double()
    peer.load_state_dict({name: torch.tensor(value) for name, value in params.items()})
    close(net.predict(params, X), peer(torch.tensor(X))[0].detach().numpy())


def test_products_with_the_hessian_are_jax_s():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    net = network("GRU", output="last")
    params, X, Y = data(net, 4, "last")

    def loss(p):
        h = jax.numpy.zeros((BATCH, HIDDEN))
        for t in range(4):
            i = X[:, t] @ p["0.weight_ih_l0"].T + p["0.bias_ih_l0"]
            k = h @ p["0.weight_hh_l0"].T + p["0.bias_hh_l0"]
            parts = zip(jax.numpy.split(i, 3, 1), jax.numpy.split(k, 3, 1), strict=True)
            (ir, kr), (iz, kz), (im, km) = parts
            z, m = jax.nn.sigmoid(iz + kz), jax.numpy.tanh(im + jax.nn.sigmoid(ir + kr) * km)
            h = (1 - z) * m + z * h
        return ((h @ p["1.weight"].T + p["1.bias"] - Y) ** 2).mean()

    rng = np.random.default_rng(1)
    along = {name: rng.normal(size=p.shape) for name, p in params.items()}
    expected = jax.jvp(jax.grad(loss), (params,), (along,))[1]
    leaves = net.parameters
    v = {leaf: Input(f"v.{name}", leaf.axes) for name, leaf in leaves.items()}
    products = calculus.hessian_vector_product(net.total, leaves.values(), v)
    roots = dict(zip(leaves, products, strict=True))
    program = compile_program(roots, "H v.", leaves=(*net.leaves, *v.values()))
    given = {"x": X, "target": Y, **{f"v.{name}": value for name, value in along.items()}}
    found = program(params, given)
    for name in leaves:
        close(found[name], np.asarray(expected[name]), tight=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_complex_step_finds_no_fault(kind):
    model = pb.Sequential(KINDS[kind](2, 2, bidirectional=True), pb.Linear(4, 1))
    net = pb.Network(model, loss=pb.MSELoss(), x="time=2 features")
    params = {name: p + 0.1 for name, p in net.init(seed=0).items()}
    X, Y = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    Y = Y[..., :1]
    assert pb.check(net, params, X, Y).ok


def test_one_network_takes_sequences_of_any_length():
    net = network("LSTM", output="last")
    params, X, Y = data(net, 7, "last")
    whole = net.predict(params, X)
    assert np.abs(whole - net.predict(params, X[:, 1:])).max() > 1e-3
    for steps in (1, 2, 7):
        _, grads = net.value_and_grad(params, X[:, :steps], Y)
        assert all(np.isfinite(g).all() for g in grads.values())


def test_axes_before_the_time_are_batches():
    net = network("GRU", bidirectional=True, x="people=2 time=3 features")
    params, X, _ = data(network("GRU", bidirectional=True), 3, "sequence")
    X = np.stack([X, X[::-1] + 1], 1)
    plain = network("GRU", bidirectional=True)
    found = net.predict(params, X)
    for at in range(2):
        close(found[:, at], plain.predict(params, X[:, at]))


def test_between_layers_entries_are_dropped_in_training():
    model = pb.Sequential(pb.GRU(FEATURES, HIDDEN, num_layers=2, dropout=0.5), pb.Linear(HIDDEN, 2))
    net = pb.Network(model, loss=pb.MSELoss(), x="time=3 features")
    plain = network("GRU", layers=2, x="time=3 features")
    params, X, Y = data(plain, 3, "sequence")
    close(net.predict(params, X), plain.predict(params, X))
    (name,) = net.noise
    assert name == "0.dropout_l0.mask"
    kept = {name: np.ones((BATCH, 3, HIDDEN))}
    doubled = dict(params, **{"0.weight_ih_l1": 2 * params["0.weight_ih_l1"]})
    assert net.loss(params, X, Y, noise=kept) == pytest.approx(plain.loss(doubled, X, Y))


def test_a_trace_holds_the_gates_of_every_step():
    net = network("GRU")
    params, X, Y = data(net, 3, "sequence")
    trace = net.trace(params, X, Y)
    z, n, h = (trace.a[f"0.{part}"] for part in "znh")
    assert z.shape == trace.delta["0.r"].shape == (BATCH, 3, HIDDEN)
    before = np.concatenate([np.zeros((BATCH, 1, HIDDEN)), h[:, :-1]], 1)
    close(h, (1 - z) * n + z * before)
    close(z, 1 / (1 + np.exp(-trace.z["0.z"])))
    close(trace.gradient["0.bias_hh_l0"], trace.delta["0.hidden"].sum((0, 1)))


def test_it_learns_to_add():
    """Two of the numbers of a sequence are marked: their sum is asked for."""
    rng = np.random.default_rng(0)
    X = np.zeros((200, 6, 2))
    X[..., 0] = rng.uniform(size=(200, 6))
    marked = rng.permuted(np.tile(np.arange(6), (200, 1)), axis=1)[:, :2]
    np.put_along_axis(X[..., 1], marked, 1.0, axis=1)
    Y = (X[..., 0] * X[..., 1]).sum(1, keepdims=True)
    net = pb.Network(
        pb.Sequential(pb.GRU(2, 8, output="last"), pb.Linear(8, 1)), loss=pb.MSELoss(),
        x="time=6 features",
    )  # fmt: skip
    fit = pb.fit(net, X, Y, epochs=60, batch_size=20, optimizer=pb.optim.Adam(0.02), seed=0,
                 progress=False)  # fmt: skip
    loss = fit.history["loss"]
    assert loss[-1] < 0.05 * loss[0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pb.GRU(0, 2), "GRU: input_size"),
        (lambda: pb.LSTM(2, 2, num_layers=0), "LSTM: num_layers"),
        (lambda: pb.GRU(2, 2, batch_first=False), "the batch always comes first here"),
        (lambda: pb.GRU(2, 2, dropout=1.5), "dropout is 1.5; expected a probability"),
        (lambda: pb.LSTM(2, 2, proj_size=1), "proj_size is 1; expected 0"),
        (lambda: pb.RNN(2, 2, nonlinearity="sin"), "expected 'tanh' or 'relu'"),
        (lambda: pb.RNN(2, 2, output="first"), "expected 'sequence' or 'last'"),
        (lambda: pb.RNN(2, 2, bias=1), "RNN: bias"),
    ],
)
def test_what_it_does_not_do_is_said(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_an_input_without_time_is_refused():
    with pytest.raises(ShapeError, match="takes \\(batch, time, features\\)"):
        pb.Network(pb.GRU(3, 2), loss=pb.MSELoss())
    with pytest.raises(ShapeError, match="takes 3 features"):
        pb.Network(pb.GRU(3, 2), loss=pb.MSELoss(), x="time=4 features=2")


def test_a_block_is_written_as_it_was_made():
    assert repr(pb.GRU(3, 2)) == "GRU(3, 2)"
    assert repr(pb.LSTM(3, 2, num_layers=2, output="last")) == (
        "LSTM(3, 2, num_layers=2, output='last')"
    )
