"""Tangent kernels of weights that a sample uses at several places, whole and by slices."""

import numpy as np
import pytest
from zoo import close

import pullback as pb
from pullback.errors import ConfigError, NotApplicableError, UnknownNameError
from pullback.plan.jacobian.choice import is_kept
from pullback.plan.jacobian.factors import FactoredBlock, kept_product, product
from pullback.plan.jacobian.terms import terms_of

L, S = pb.Linear, pb.Sequential


def images(samples, channels=2, size=5):
    return np.random.default_rng(samples).normal(size=(samples, channels, size, size))


def words(samples, length=4, size=40):
    return np.random.default_rng(samples).integers(0, size, (samples, length))


def residual():
    block = S(pb.Conv2d(4, 4, 3, padding=1), pb.BatchNorm2d(4))
    return S(pb.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), pb.ReLU(), pb.Residual(block),
             pb.Conv2d(4, 12, 3), pb.Flatten(), L(12, 3))  # fmt: skip


def network(model, x):
    return pb.Network(model, pb.MSELoss(), x=x).eval()


PLANE, TOKENS = "channels=2 height=5 width=5", "tokens=4:index"
CASES = {
    "residual": (network(residual(), PLANE), images, {"convolution": 3}),
    "groups": (network(S(pb.Conv2d(2, 4, 3, groups=2), pb.Tanh(), pb.Flatten(), L(36, 2)), PLANE),
               images, {}),
    "transformer": (
        network(S(pb.Embedding(40, 6), pb.TransformerEncoderLayer(6, 2, 5, 0.0, "gelu"),
                  pb.Flatten(), L(24, 3)), TOKENS), words, {"lookup": 1}),
    "gru": (network(S(pb.Embedding(40, 3), pb.GRU(3, 4, output="last"), L(4, 2)), TOKENS), words,
            {"lookup": 1}),
    "lstm": (network(S(pb.Embedding(40, 3), pb.LSTM(3, 4), L(4, 2)), TOKENS), words, {}),
    "chain": (network(S(L(5, 4), pb.Tanh(), L(4, 3)), "features=5"),
              lambda n: np.random.default_rng(n).normal(size=(n, 5)), {}),
}  # fmt: skip


def params_of(net):
    drawn = net.init(seed=3)
    return {k: v + 0.1 if k in net.trained else v for k, v in drawn.items()}


def by_gradients(net, params, X):
    """(samples, outputs, parameters): a row is the gradient of ½ (z − y)² where z − y = 1."""
    squared = pb.Network(net.model, pb.SquaredError("sum"), x=net.declared).eval()
    Z, rows = net.predict(params, X), []
    for at, place in np.ndindex(len(X), Z[0].size):
        Y = Z[at : at + 1].copy()
        Y.flat[place] -= 1
        slopes = squared.value_and_grad(params, X[at : at + 1], Y)[1]
        rows.append(pb.ravel({name: slopes[name] for name in net.trained})[0])
    return np.reshape(rows, (len(X), Z[0].size, -1))


@pytest.mark.parametrize("name", CASES)
def test_kernels_are_the_products_of_gradients(name):
    net, draw, _ = CASES[name]
    params, X, other = params_of(net), draw(5), draw(3)
    J, K = by_gradients(net, params, X), by_gradients(net, params, other)
    every = np.einsum("bmp,cnp->bmcn", J, K)
    each = np.einsum("bmcm->mbc", every)
    whole = every.reshape(J.shape[0] * J.shape[1], -1)
    own = np.einsum("bmp,cnp->bmcn", J, J).reshape(len(whole), -1)
    for size in (None, 2):
        close(pb.ntk(net, params, X, other, batch_size=size), whole, tight=1e-10)
        close(pb.ntk(net, params, X, batch_size=size), own, tight=1e-10)
        found = pb.ntk(net, params, X, other, outputs="each", batch_size=size)
        close(found, each, tight=1e-10)
        found = pb.ntk(net, params, X, other, outputs="sum", batch_size=size)
        close(found, each.sum(0), tight=1e-10)
    found = pb.jacobian(net, params, X, wrt="params")
    close(found.dense(), J.reshape(len(whole), -1), tight=1e-10)
    close(found.grams(), np.einsum("bmp,bnp->bmn", J, J), tight=1e-10)
    close(found.diagonal(), np.square(J).sum((0, 1)), tight=1e-10)


@pytest.mark.parametrize("pairs", ["all", "each", "sum"])
@pytest.mark.parametrize("name", ["residual", "transformer", "gru"])
def test_kept_and_built_are_one_product(name, pairs):
    net, draw, _ = CASES[name]
    params = params_of(net)
    one, other = (pb.jacobian(net, params, draw(n), wrt="params").parts for n in (4, 3))
    met = 0
    for mine, theirs in zip(one.blocks, other.blocks, strict=True):
        if isinstance(mine, FactoredBlock):
            met += 1
            close(kept_product(mine, theirs, pairs), product(mine, theirs, pairs), tight=1e-11)
    assert met >= 3


def test_what_is_kept_is_what_costs_less():
    """A ResNet's last stage is kept, its first is built; of one place δ and a are always kept."""
    assert is_kept(32, 10, 4, 64, 576)
    assert not is_kept(32, 10, 64, 16, 144)
    assert not is_kept(32, 10, 32, 64, 64)
    assert is_kept(32, 10, 1, 256, 784)
    assert is_kept(32, 1, 4, 64, 30000)
    assert not is_kept(32, 1, 16, 64, 30000)
    assert is_kept(32, 1, 16, 64, 30000, looks_up=True)  # a aᵀ says which indices are the same


def test_the_parts_of_a_graph_are_read_off_its_gradients():
    """A convolution's places are positions, a loop's are turns; a lookup is never a matrix."""
    found = {}
    for name, (net, _, _) in CASES.items():
        if name != "chain":
            leaves = tuple(net.parameters[each] for each in net.trained)
            read = terms_of(net.output, leaves, tuple(net.xs.values()))
            found |= {(name, term.leaf.name): term for term in read.terms}
    assert [p.places for p in found["residual", "0.weight"].pairs] == [2]
    assert [p.places for p in found["gru", "1.weight_hh_l0"].pairs] == [1]
    assert found["gru", "0.weight"].pairs[0].index == "x"
    assert len(found["transformer", "1.self_attn.in_proj_weight"].pairs) == 1
    assert found["residual", "2.block.1.weight"].whole
    assert found["groups", "0.weight"].whole


def test_a_large_vocabulary_is_looked_up():
    net = network(S(pb.Embedding(100_000, 2), L(2, 1)), TOKENS)
    params, X = params_of(net), words(3, size=100_000)
    J = pb.jacobian(net, params, X, wrt="params").parts
    assert J.kept[0]
    assert J.nbytes < 1e8
    same = (X[:, :, None, None] == X).astype(float)
    inner = (
        np.square(params["1.weight"]).sum() * same
        + params["0.weight"][X]
        .reshape(12, 2)
        .dot(params["0.weight"][X].reshape(12, 2).T)
        .reshape(3, 4, 3, 4)
        + 1
    )
    diagonal = np.einsum("btct->tbc", inner)
    close(pb.ntk(net, params, X, outputs="each"), diagonal)


def test_memory_decides_how_many_samples_are_looked_at(monkeypatch):
    """More samples than fit are taken by slices; the kernel is the same."""
    net, draw, _ = CASES["residual"]
    params, X = params_of(net), draw(40)
    whole = pb.ntk(net, params, X)
    monkeypatch.setattr("pullback.plan.curvature.tangent_kernel.HELD", 200_000)
    close(pb.ntk(net, params, X, progress=True), whole, tight=1e-12)


def test_convolutions_by_torch():
    torch = pytest.importorskip("torch")
    nn, functional = torch.nn, torch.func
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 2),
                           nn.Flatten(), nn.Linear(16, 2)).double().eval()  # fmt: skip
    X = torch.tensor(images(3))
    held = dict(module.named_parameters())
    J = functional.jacrev(lambda p: functional.functional_call(module, p, (X,)))(held)
    rows = np.concatenate([J[name].detach().reshape(6, -1).numpy() for name in held], 1)
    close(pb.ntk(module, X), rows @ rows.T, tight=1e-10)


def test_float32_stays_float32():
    net, draw, _ = CASES["residual"]
    params = {k: v.astype(np.float32) for k, v in params_of(net).items()}
    for outputs in ("all", "each", "sum"):
        K = pb.ntk(net, params, draw(3).astype(np.float32), outputs=outputs)
        assert K.dtype == np.float32


def test_bad_input():
    net, draw, _ = CASES["residual"]
    params, X = params_of(net), draw(2)
    with pytest.raises(UnknownNameError, match="unknown outputs 'trace'"):
        pb.ntk(net, params, X, outputs="trace")
    with pytest.raises(ConfigError, match="batch_size is 0"):
        pb.ntk(net, params, X, batch_size=0)
    with pytest.raises(ConfigError, match="with devices"):
        pb.ntk(net, params, X, outputs="sum", devices=1)
    with pytest.raises(NotApplicableError, match=r"net\.eval\(\)"):
        pb.ntk(net.train(), params, X)
