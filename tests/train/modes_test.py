"""Training in training mode, scores in evaluation mode: states, noise, resuming, engines."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from general_networks import GENERAL, IN_TRAINING
from zoo import close

import pullback as pb
from pullback.errors import NonFiniteError, NotApplicableError
from pullback.train.checkpoint import load

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 4)), RNG.normal(size=(24, 2))
MODEL = pb.Sequential(pb.Linear(4, 5), pb.BatchNorm1d(5), pb.ReLU(), pb.Linear(5, 2))
NET = pb.Network(MODEL, pb.MSELoss())
BOTH = pb.Network(pb.Sequential(*MODEL.blocks[:3], pb.Dropout(0.3), pb.Linear(5, 2)), pb.MSELoss())
OPTIONS = dict(batch_size=8, progress=False, engine="numpy", optimizer=pb.optim.Adam(0.02))


def torch_s(params):
    module = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Linear(5, 2)
    ).double()
    module.load_state_dict({name: torch.tensor(value) for name, value in params.items()})
    return module


def test_training_is_torch_s_loop_running_statistics_and_validation_too():
    start = NET.init(seed=1)
    module, rule = torch_s(start), pb.optim.SGD(0.05, momentum=0.5)
    result = pb.fit(NET, X, Y, params=start, epochs=3, shuffle=False, validation=(X, Y),
                    **OPTIONS | dict(optimizer=rule))  # fmt: skip
    optimizer = torch.optim.SGD(module.parameters(), 0.05, momentum=0.5)
    x, y, validated = torch.tensor(X), torch.tensor(Y), []
    for _ in range(3):
        module.train()
        for at in range(0, 24, 8):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(x[at : at + 8]), y[at : at + 8]).backward()
            optimizer.step()
        module.eval()
        validated.append(torch.nn.functional.mse_loss(module(x), y).item())
    assert list(module.state_dict()) == list(result.params)
    for name, value in module.state_dict().items():
        close(result.params[name], value.numpy(), tight=1e-9)
    assert result.history["validation_loss"] == pytest.approx(validated, rel=1e-9)
    module.load_state_dict({n: torch.tensor(v) for n, v in result.params.items()})
    close(NET.predict(result.params, X), module(x).detach().numpy(), tight=1e-12)


@pytest.mark.parametrize("net", [NET, BOTH], ids=["batch norm", "batch norm and dropout"])
def test_resumed_training_has_the_bits_of_a_straight_one(net, tmp_path):
    path = tmp_path / "net.safetensors"
    given = OPTIONS | dict(shuffle=True, validation=(X, Y), seed=3)
    straight = pb.fit(net, X, Y, epochs=4, **given)
    pb.fit(net, X, Y, epochs=2, checkpoint=path, **given)
    assert load(path)[0]["1.num_batches_tracked"] == 6.0
    resumed = pb.fit(net, X, Y, epochs=4, checkpoint=path, resume=True, **given)
    for name, value in straight.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)
    assert resumed.history["validation_loss"] == straight.history["validation_loss"]
    first = pb.fit(net, X, Y, epochs=2, shuffle=False, **OPTIONS)
    longer = pb.fit(net, X, Y, params=first.params, optimizer_state=first.optimizer_state,
                    epochs=2, shuffle=False, **OPTIONS)  # fmt: skip
    whole = pb.fit(net, X, Y, epochs=4, shuffle=False, **OPTIONS)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(longer.params[name], value)


def test_each_step_has_noise_of_its_own_and_a_seed_says_which():
    found = [pb.fit(BOTH, X, Y, epochs=1, seed=seed, shuffle=False, params=BOTH.init(seed=0),
                    **OPTIONS).params["0.weight"] for seed in (0, 0, 1)]  # fmt: skip
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    net = pb.Network(pb.Sequential(pb.Dropout(0.5), pb.Linear(4, 2)), pb.MSELoss())
    still = pb.fit(net, X, Y, epochs=4, batch_size=None, params=net.init(seed=0), shuffle=False,
                   progress=False, optimizer=pb.optim.SGD(1e-12))  # fmt: skip
    assert len({round(loss, 6) for loss in still.history["loss"]}) == 4


@pytest.mark.parametrize("net", [NET, BOTH], ids=["batch norm", "batch norm and dropout"])
@pytest.mark.parametrize("room", [2**24, 1])
def test_the_compiled_engine_keeps_states_and_draws_noise_as_numpy_does(net, room, monkeypatch):
    monkeypatch.setattr("pullback.train.compiled_engine._NOISE", room)
    found, expected = (
        pb.fit(net, X[:21], Y[:21], epochs=3, seed=5, **OPTIONS | dict(engine=engine)).params
        for engine in ("compiled", "numpy")
    )
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-8)


def test_states_go_back_with_the_weights_where_training_diverges():
    start = NET.init(seed=0)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as fault:
        pb.fit(NET, X, Y, params=start, epochs=50, shuffle=False,
               **OPTIONS | dict(optimizer=pb.optim.SGD(1e200)))  # fmt: skip
    for name, value in fault.value.params.items():
        np.testing.assert_array_equal(value, start[name])


def test_full_batch_methods_remember_the_whole_batch():
    seen = []
    pb.fit(NET, X, Y, optimizer=pb.optim.LBFGS(), epochs=6, progress=False,
           callback=lambda epoch, params, history: seen.append(params))  # fmt: skip
    mean = np.zeros(5)
    for at, params in enumerate(seen):
        z = X @ params["0.weight"].T + params["0.bias"]
        mean = 0.9 * mean + 0.1 * z.mean(axis=0)
        close(params["1.running_mean"], mean, tight=1e-9)
        assert params["1.num_batches_tracked"] == at + 1
    assert len(seen) > 2


def test_training_in_evaluation_mode_leaves_the_states_alone():
    start = {name: value + 0.5 for name, value in NET.init(seed=0).items()}
    result = pb.fit(NET.eval(), X, Y, params=start, epochs=2, **OPTIONS)
    for name, value in start.items():
        assert (result.params[name] != value).any() == (name in NET.trained)


@pytest.mark.parametrize("case", IN_TRAINING, ids=repr)
def test_a_mode_is_cheap_and_survives_copies(case):
    net, settled = case.net, case.net.eval()
    assert settled is net.eval()
    assert settled.train() is net is net.train()
    assert settled.eval() is settled
    assert (net.training, settled.training) == (True, False)
    assert "training=False" in repr(settled)
    assert "training=False" not in repr(net)
    assert net.signature() is None or net.signature() != settled.signature()
    for copied in (copy.copy(settled), copy.deepcopy(settled)):
        assert not copied.training
        assert copied.loss(case.params, case.X, case.Y) == settled.loss(case.params, case.X, case.Y)
    assert settled.weighted.training is False
    np.testing.assert_array_equal(
        net.predict(case.params, case.X), settled.predict(case.params, case.X)
    )


@pytest.mark.parametrize("case", [c for c in GENERAL if c.training], ids=repr)
def test_without_blocks_of_two_modes_there_is_one_network(case):
    assert case.net.eval() is case.net is case.net.train()


@pytest.mark.parametrize("case", IN_TRAINING, ids=repr)
def test_what_is_asked_of_each_sample_needs_evaluation(case):
    net, params, data, Y = case.net, case.params, case.X, case.Y
    readers = (
        lambda n: pb.jacobian(n, params, data).dense(),
        lambda n: pb.jacobian(n, params, data, wrt="params").dense(),
        lambda n: pb.ntk(n, params, data),
        lambda n: pb.laplace(n, params, data, Y),
        lambda n: pb.laplace(n, params, data, Y, structure="full"),
        lambda n: pb.ggn_vector_product(n, params, data, Y, {k: params[k] for k in n.trained}),
        lambda n: pb.closed_form(n, params, data[0]),
        lambda n: pb.derive(n).neurons(params, data[0], Y[0]),
        lambda n: pb.least_squares(
            pb.Network(n.model, pb.SquaredError(), x=n.declared, training=n.training),
            data, Y, params, iterations=2,
        ),
    )  # fmt: skip
    for reader in readers:
        with pytest.raises(NotApplicableError, match=r"depends on .*use net.eval\(\)"):
            reader(net)
        reader(net.eval())


def test_statistics_that_are_never_learnt_have_no_other_mode():
    net = pb.Network(
        pb.Sequential(pb.BatchNorm1d(4, track_running_stats=False), pb.Linear(4, 2)), pb.MSELoss()
    )
    assert net.eval() is net
    with pytest.raises(NotApplicableError) as fault:
        pb.jacobian(net, net.init(), X)
    assert "eval" not in str(fault.value)
