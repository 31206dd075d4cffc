"""The engine of jax does the steps of the NumPy engine, for every network and every option."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING
from jax_fits import WEIGHT, X, Y, agree, fitted, same_bits
from zoo import ZOO

import pullback as pb
from pullback.errors import ConfigError, NonFiniteError, UnknownNameError

HERE = Path(__file__).parent
DROPOUT = next(case for case in IN_TRAINING if case.name == "batch norm and dropout")
OPTIMIZERS = {
    "momentum": pb.optim.SGD(0.05, momentum=0.5, nesterov=True),
    "adamw": pb.optim.AdamW(0.01, clip_norm=0.5),
    "rmsprop": pb.optim.RMSProp(0.01, clip_value=0.1, centered=True, momentum=0.5),
    "adagrad": pb.optim.Adagrad(pb.optim.Cosine(0.1, steps=9)),
}


@pytest.mark.parametrize("case", ZOO, ids=repr)
def test_every_network_of_the_zoo_has_the_losses_of_numpy(case):
    x, y = case.data()
    params = {name: value.astype(case.dtype) for name, value in case.params().items()}
    given = dict(net=case.net, x=x, y=y, params=params, batch_size=min(3, len(x)), epochs=1)
    given["optimizer"] = pb.optim.SGD(0.01, momentum=0.9)
    tolerance = 1e-12 if case.dtype is np.float64 else 1e-5
    agree(fitted("numpy", **given), fitted("jax", **given), tolerance)


@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)
def test_every_kind_of_network_has_the_losses_of_numpy(case):
    """States with their updates, frozen weights, several inputs, whole numbers, dropout's draws."""
    given = dict(net=case.net, x=case.X, y=case.Y, params=case.params, batch_size=2, epochs=1)
    given |= dict(optimizer=pb.optim.SGD(0.02, momentum=0.5), validation=(case.X, case.Y))
    agree(fitted("numpy", **given), fitted("jax", **given))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_schedules_and_clipping_are_the_same(name):
    given = dict(optimizer=OPTIMIZERS[name], validation=(X[:20], Y[:20]), epochs=3)
    given |= dict(sample_weight=WEIGHT, class_weight="balanced", early_stopping=1)
    agree(fitted("numpy", **given), fitted("jax", **given))


def test_data_in_parts_have_the_losses_of_numpy():
    def batches():
        return ((X[at : at + 20], Y[at : at + 20]) for at in range(0, 50, 20))

    agree(fitted("numpy", x=batches, y=None), fitted("jax", x=batches, y=None))


def test_single_precision_beside_double():
    single = X.astype(np.float32)
    agree(fitted("numpy", x=single), fitted("jax", x=single), 1e-5)
    agree(fitted("numpy"), fitted("jax"))


def test_bfloat16_rounds_products_and_keeps_the_weights_in_single_precision():
    single = X.astype(np.float32)
    exact = fitted("jax", x=single, epochs=4)
    half = fitted("jax", x=single, epochs=4, precision="bfloat16")
    assert {value.dtype for value in half.params.values()} == {np.dtype(np.float32)}
    a, b = exact.history["loss"], half.history["loss"]
    assert a != b
    np.testing.assert_allclose(a, b, rtol=2e-2)
    # a weight in bfloat16 would have eight bits
    assert any((value.view(np.uint32) & 0xFFFF).any() for value in half.params.values())


@pytest.mark.parametrize("case", [None, DROPOUT], ids=repr)
def test_resumed_training_has_the_bits_of_a_straight_one(case, tmp_path):
    given = dict(optimizer=pb.optim.Adam(0.01), early_stopping=5)
    if case is not None:
        given |= dict(net=case.net, x=case.X, y=case.Y, params=case.params, batch_size=2)
    path = tmp_path / "net.safetensors"
    straight = fitted("jax", epochs=3, **given)
    fitted("jax", epochs=1, checkpoint=path, **given)
    resumed = fitted("auto", epochs=3, checkpoint=path, resume=True, **given)  # remembers jax
    same_bits(straight, resumed)
    with pytest.raises(ConfigError, match="its engine is jax, and here it is numpy"):
        fitted("numpy", epochs=3, checkpoint=path, resume=True, **given)


def test_a_longer_training_goes_on_with_what_the_optimiser_remembered():
    given = dict(optimizer=pb.optim.Adam(0.01), shuffle=False)
    first = fitted("jax", **given)
    second = fitted("jax", params=first.params, optimizer_state=first.optimizer_state, **given)
    straight = fitted("jax", epochs=4, **given)
    assert [*first.history["loss"], *second.history["loss"]] == straight.history["loss"]


def test_callbacks_see_each_epoch_and_end_training():
    seen = []

    def callback(epoch, params, history):
        seen.append({name: value.copy() for name, value in params.items()})
        if epoch == 1:
            raise StopIteration("enough")

    result = fitted("jax", epochs=9, callback=callback, watch=True)
    assert (len(seen), result.stopped) == (2, "enough")
    assert any((seen[0][name] != value).any() for name, value in seen[1].items())
    for name, value in seen[1].items():
        np.testing.assert_array_equal(result.params[name], value)
    assert len(result.watched.rms_delta["0"]) == 3


def test_an_interrupt_ends_training_between_two_steps():
    def interrupt(epoch, params, history):
        os.kill(os.getpid(), signal.SIGINT)

    result = fitted("jax", epochs=10**6, callback=interrupt)
    assert result.interrupted
    assert len(result.history["loss"]) == 1


def test_a_loss_that_is_not_finite_is_named_and_nothing_is_learnt_from_it():
    x = X.copy()
    x[20] = 1e200
    net = pb.Network(pb.Linear(4, 1), loss=pb.MSELoss())
    found = []
    for engine in ("numpy", "jax"):
        with pytest.raises(NonFiniteError, match=r"step 2 \(epoch 1, batch 2\)") as caught:
            fitted(engine, net=net, x=x, y=X[:, :1], shuffle=False)
        found.append((str(caught.value), caught.value.params))
    assert found[0][0] == found[1][0]


def test_what_makes_no_sense_is_refused_before_any_work():
    with pytest.raises(UnknownNameError, match="unknown precision 'bfloat61': did you mean"):
        fitted("jax", precision="bfloat61")
    with pytest.raises(ConfigError, match="but the data are float64; expected float32"):
        fitted("jax", precision="bfloat16")
    with pytest.raises(ConfigError, match="devices need engine='jax', but engine is 'numpy'"):
        fitted("numpy", devices=1)
    with pytest.raises(ConfigError, match="devices is 9999, but jax finds"):
        fitted("jax", devices=9999)
    for devices in (0, "cpu", 1.5, [], ["cpu"], True):
        with pytest.raises(ConfigError, match="devices is"):
            fitted("jax", devices=devices)
    with pytest.raises(ConfigError, match="names one twice"):
        fitted("jax", devices=[jax.devices()[0]] * 2)
    with pytest.raises(ConfigError, match=r"LBFGS.* is SciPy's and runs on NumPy"):
        fitted("jax", optimizer=pb.optim.LBFGS())
    with pytest.raises(UnknownNameError, match=r"unknown engine 'jex': known: .*jax"):
        fitted("jex")


def test_without_jax_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ConfigError, match=r"this needs jax: pip install 'pullback\[jax\]'"):
        fitted("jax")


def test_four_devices_do_the_steps_of_one():
    """In a process of its own, for the number of devices is fixed when jax begins."""
    flags = "--xla_force_host_platform_device_count=4 " + os.environ.get("XLA_FLAGS", "")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    child = subprocess.run(
        [*command, str(HERE / "jax_on_four_devices.py")],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stdout + child.stderr
