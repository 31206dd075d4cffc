"""Training on four devices is training on one; run by jax_engine_test.py in a process of its own.

Batches of 9 and 14 samples go evenly over no four devices.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING
from jax_fits import NET, WEIGHT, X, Y, agree, fitted, same_bits

import pullback as pb
from pullback.errors import ConfigError
from pullback.train.jax.gradient import taught
from pullback.train.jax.placement import Hardware

KINDS = ("two inputs", "classes of tokens", "classes left out", "embedding", "gru", "counts",
         "weighted classes of tokens", "frozen weight", "dropout", "batch norm")  # fmt: skip
CASES = [case for case in [*GENERAL, *IN_TRAINING] if case.name in KINDS]


def repeated(x, times=5):
    several = isinstance(x, dict)
    return {n: repeated(a, times) for n, a in x.items()} if several else np.concatenate([x] * times)


def test_there_are_four():
    assert jax.device_count() == 4


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_kind_of_network(case):
    x, y = repeated(case.X), repeated(case.Y)
    given = dict(net=case.net, x=x, y=y, params=case.params, batch_size=9, epochs=1)
    given |= dict(optimizer=pb.optim.SGD(0.02, momentum=0.5), validation=(x, y))
    agree(fitted("numpy", **given), fitted("jax", devices=4, **given), 3e-12)


def on_four(net, params, X, Y):
    """The compiled gradient of a batch that four devices share, and what it is called with."""
    net, batch = net.batch(params, X, Y, np.linspace(0, 1, len(Y)), seed=1)
    trained = {name: np.shape(params[name]) for name in net.trained}
    placement = Hardware(4).placement
    axes = {leaf.name: leaf.axes for leaf in net.inputs}
    given = (
        {name: placement.put(np.asarray(each), placement.whole) for name, each in params.items()},
        {name: placement.put_batch(each, axes[name]) for name, each in batch.items()},
    )
    with jax.enable_x64(True):
        return jax.jit(taught(net, trained, placement)).lower(*given).compile(), given


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_gradients_one_by_one(case):
    x, y = repeated(case.X, 4), repeated(case.Y, 4)
    params = case.net.init(1) if case.params is None else case.params
    weight = np.linspace(0, 1, len(y))
    _, known = case.net.value_and_grad(params, x, y, weight, seed=1)
    with jax.enable_x64(True):
        compiled, given = on_four(case.net, params, x, y)
        found = np.split(compiled(*given)[1], np.cumsum([each.size for each in known.values()]))
    for (name, value), own in zip(known.items(), found, strict=False):
        room = 1e-12 * np.abs(value).max()
        np.testing.assert_allclose(own, value.ravel(), rtol=0, atol=room, err_msg=name)


def test_the_gradient_travels_in_one_message():
    with jax.enable_x64(True):
        compiled, _ = on_four(NET, NET.init(1), X[:48], Y[:48])
    lines = [line for line in compiled.as_text().splitlines() if " all-reduce(" in line]
    count = sum(value.size for value in NET.init(1).values())
    assert [f"f64[{count}]" in line for line in lines].count(True) == 1
    assert not any(",8]" in line.split(" all-reduce(")[0] for line in lines)  # none of a matrix


@pytest.mark.parametrize("devices", [2, [3, 1], "mesh"])
def test_devices_by_number_list_and_mesh(devices):
    if devices == "mesh":
        devices = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 2), ("a", "b"))
    elif isinstance(devices, list):
        devices = [jax.devices()[at] for at in devices]
    given = dict(sample_weight=WEIGHT, batch_size=14)
    agree(fitted("numpy", **given), fitted("jax", devices=devices, **given))


def test_split_weights_are_the_same_weights(tmp_path):
    given = dict(optimizer=pb.optim.Adam(0.01, clip_norm=0.5), batch_size=14, devices=4)
    given["split_weights"] = True
    agree(fitted("numpy", optimizer=given["optimizer"], batch_size=14), fitted("jax", **given))
    path = tmp_path / "net.safetensors"
    straight = fitted("jax", epochs=3, **given)
    fitted("jax", epochs=1, checkpoint=path, **given)
    same_bits(straight, fitted("jax", epochs=3, checkpoint=path, resume=True, **given))


def test_split_weights_lie_in_parts():
    from pullback.train.jax.engine import JaxEngine

    start = NET.init(0)
    count = sum(value.size for value in start.values())
    engine = JaxEngine(NET, start, pb.optim.Adam(), 0, Hardware(4, split_weights=True))
    target = np.eye(3)[Y]
    engine.run({"x": X, "target": target}, None, 16, np.full(3, 0.1))
    for held in (engine._state["vector"], *engine._state["slots"].values()):
        assert {shard.data.size for shard in held.addressable_shards} == {-(-count // 4)}


def test_a_checkpoint_of_one_device_goes_on_with_four(tmp_path):
    path = tmp_path / "net.safetensors"
    fitted("jax", epochs=1, checkpoint=path)
    resumed = fitted("jax", epochs=3, checkpoint=path, resume=True, devices=4)
    agree(fitted("numpy", epochs=3), resumed)


def test_a_batch_smaller_than_the_number_of_devices():
    with pytest.raises(ConfigError, match="batch_size is 3, but there are 4 devices"):
        fitted("jax", batch_size=3, devices=4)


def test_networks_are_drawn_on_four_devices():
    """203 networks go evenly over no four."""
    given = dict(methods=("monte_carlo",), draws=203, seed=3, progress=False)
    known = pb.forecast(NET, X, Y, **given)
    found = pb.forecast(NET, X, Y, devices=4, **given)
    assert found.verdict == known.verdict
    for own, other in zip(found.layers, known.layers, strict=True):
        for each in ("delta_ms", "log_mean"):
            one, two = getattr(own, each)["monte_carlo"], getattr(other, each)["monte_carlo"]
            np.testing.assert_allclose(one, two, rtol=1e-10)


OF_SAMPLES = [case for case in CASES if not case.net.several and not case.net.noise]


@pytest.mark.parametrize("case", OF_SAMPLES, ids=repr)
def test_kernels_and_jacobians_on_four_devices(case):
    params = case.net.init(1) if case.params is None else case.params
    x, few = repeated(case.X, 2), case.X
    near = dict(rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        pb.ntk(case.net, params, few, x, devices=4), pb.ntk(case.net, params, few, x), **near
    )
    J = pb.jacobian(case.net, params, x, "params")
    found = pb.jacobian(case.net, params, x, "params", devices=4)
    assert found.shape == J.shape
    np.testing.assert_allclose(found.dense(), J.dense(), **near)
    np.testing.assert_allclose(found.output, J.output, **near)
    if not any(leaf.whole for leaf in case.net.xs.values()):
        J, found = (pb.jacobian(case.net, params, x, devices=d) for d in (None, 4))
        np.testing.assert_allclose(found.dense(), J.dense(), **near)


def test_more_devices_than_there_are():
    with pytest.raises(ConfigError, match="devices is 5, but jax finds 4"):
        pb.ntk(NET, NET.init(0), X, devices=5)
