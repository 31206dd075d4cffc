"""Dropout: the mask is drawn by its law from a seed, or given; without it nothing is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import close

import pullback as pb
from pullback.errors import ConfigError, ShapeError, UnknownNameError
from pullback.ir.build import multiply, scale

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 2))
NET = pb.Network(
    pb.Sequential(pb.Linear(4, 5), pb.Dropout(0.3), pb.Tanh(), pb.Linear(5, 2)), pb.MSELoss()
)
PARAMS = NET.init(seed=0)


def test_one_mask_gives_torch_s_value_and_gradients_under_that_mask():
    mask = (np.random.default_rng(3).random((6, 5)) < 0.7).astype(float)
    held = {name: torch.tensor(value, requires_grad=True) for name, value in PARAMS.items()}
    z = torch.tensor(X) @ held["0.weight"].T + held["0.bias"]
    a = torch.tanh(z * torch.tensor(mask) / 0.7)
    out = a @ held["3.weight"].T + held["3.bias"]
    loss = ((out - torch.tensor(Y)) ** 2).mean()
    loss.backward()
    value, grads = NET.value_and_grad(PARAMS, X, Y, noise={"1.mask": mask})
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, gradient in grads.items():
        close(gradient, held[name].grad.numpy(), tight=1e-12)
    assert NET.trace(PARAMS, X, Y, noise={"1.mask": mask}).loss == value


def test_a_seed_is_a_mask_and_its_mean_over_seeds_is_x():
    first, second, again = (NET.loss(PARAMS, X, Y, seed=seed) for seed in (0, 1, 0))
    assert first == again != second
    assert NET.loss(PARAMS, X, Y) == first == NET.value_and_grad(PARAMS, X, Y)[0]
    net = pb.Network(pb.Sequential(pb.Dropout(0.4)), pb.MSELoss(), x="features=3")
    x = np.arange(1.0, 7.0).reshape(2, 3)
    drawn = np.stack([net.trace({}, x, x, seed=seed).a["0"] for seed in range(4000)])
    assert set(np.round(drawn[:, 0, 0] * 0.6, 12)) == {0.0, 1.0}
    error = np.abs(drawn.mean(axis=0) / x - 1)
    assert error.max() < 5 * np.sqrt(0.4 / 0.6 / 4000)


def test_in_evaluation_nothing_is_built():
    settled = NET.eval()
    assert settled.noise == {}
    assert [each.name for each in settled.built_graph.equations] == ["z.0", "a.2", "z.3"]
    plain = pb.Network(pb.Sequential(pb.Linear(4, 5), pb.Tanh(), pb.Linear(5, 2)), pb.MSELoss())
    held = {name.replace("3.", "2."): value for name, value in PARAMS.items()}
    np.testing.assert_array_equal(NET.predict(PARAMS, X), plain.predict(held, X))
    assert settled.loss(PARAMS, X, Y) == plain.loss(held, X, Y)


def test_the_ends_of_p():
    still = pb.Network(pb.Dropout(0.0), pb.SquaredError(), x="features=3")
    assert not still.two_modes
    assert still.loss({}, np.ones((2, 3)), np.ones((2, 3))) == 0.0
    nothing = pb.Network(
        pb.Sequential(pb.Linear(3, 3), pb.Dropout(1.0), pb.Linear(3, 1)), pb.SquaredError()
    )
    params = nothing.init(seed=0)
    value, grads = nothing.value_and_grad(params, np.ones((2, 3)), np.ones((2, 1)))
    assert value == 0.5
    assert not any(grads[name].any() for name in ("0.weight", "0.bias", "2.weight"))


@pytest.mark.parametrize(("block", "shape"), [(pb.Dropout1d, (3, 4)), (pb.Dropout2d, (3, 4, 2))])
def test_channels_are_dropped_whole(block, shape):
    names = ("channels", "height", "width")
    axes = " ".join(f"{name}={size}" for name, size in zip(names, shape, strict=False))
    net = pb.Network(pb.Sequential(block(0.5)), pb.SquaredError(), x=axes)
    x = np.ones((20, *shape))
    a = net.trace({}, x, x).a["0"].reshape(20, 3, -1)
    assert ((a == 0).all(axis=2) | (a == 2).all(axis=2)).all()
    assert 0 < (a[..., 0] == 0).mean() < 1
    with pytest.raises(ShapeError, match="the batch and the channels first"):
        pb.Network(block(), pb.MSELoss(), x="features=3")


def test_bad_noise_and_bad_p_are_named():
    with pytest.raises(UnknownNameError, match=r"1\.mask"):
        NET.loss(PARAMS, X, Y, noise={"1.maks": np.ones((6, 5))})
    with pytest.raises(ShapeError, match=r"'1.mask' has shape \(6, 4\); expected \(6, 5\)"):
        NET.loss(PARAMS, X, Y, noise={"1.mask": np.ones((6, 4))})
    for p in (-0.1, 1.1, float("nan"), "half"):
        with pytest.raises(ConfigError, match="Dropout: p"):
            pb.Dropout(p)


def test_an_input_of_the_noise_s_name_is_refused():
    class Noisy(pb.nn.Block):
        def build(self, x, at):
            return at.a(multiply(x, at.noise("x", x.axes, pb.nn.Bernoulli(0.5))))

    with pytest.raises(ConfigError, match="the noise 'x' has the name of an input"):
        pb.Network(Noisy(), pb.MSELoss(), x="features=3")


def test_a_block_of_somebody_s_own_may_draw_and_remember():
    class Seen(pb.nn.Block):
        def build(self, x, at):
            most = at.state("most", x.axes[1:], 1.0)
            if not at.training:
                return at.a(multiply(x, most))
            at.update(most, scale(2.0, most))
            return at.a(multiply(x, at.noise("mask", x.axes, pb.nn.Bernoulli(0.5))))

    net = pb.Network(Seen(), pb.SquaredError(), x="features=3")
    x = np.ones((2, 3))
    assert net.updated(net.init(), x)["most"].tolist() == [2.0, 2.0, 2.0]
    assert net.loss(net.init(), x, x, noise={"mask": 0 * x}) == 1.5
    assert net.predict({"most": np.full(3, 4.0)}, x).tolist() == (4 * x).tolist()


def test_an_update_is_of_a_state_of_its_own_and_there_is_one():
    def built(wrong):
        class Bad(pb.nn.Block):
            def build(self, x, at):
                state = at.state("s", x.axes[1:])
                wrong(x, at, state)
                return at.a(multiply(x, state))

        return pb.Network(Bad(), pb.SquaredError(), x="features=3")

    def twice(x, at, state):
        at.update(state, state)
        at.update(state, state)

    def of_a_parameter(x, at, state):
        at.update(at.parameter("gain", x.axes[1:], 1.0), state)

    for wrong, error, says in (
        (twice, ConfigError, "two updates"),
        (of_a_parameter, ConfigError, "'gain' is no state"),
        (lambda x, at, state: at.update(state, x), ShapeError, r"the axes \(batch, features=3\)"),
    ):
        with pytest.raises(error, match=says):
            built(wrong)
