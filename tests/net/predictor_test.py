"""Compiled prediction: what NumPy predicts, of arrays as they are by now, whoever calls."""

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING
from zoo import ZOO

import pullback as pb
from pullback.errors import PullbackError
from pullback.machine import arrays
from pullback.machine.blas.few import FEW
from pullback.net import predictor
from pullback.net.modes import drawn
from pullback.net.predictor import Predictor

SOME = [case for case in ZOO if case.dtype is np.float32][::3] + ZOO[::12]


def batch_of(case):
    return case.X if hasattr(case, "X") else case.data()[0]


def small(**options):
    model = pb.Sequential(pb.Linear(6, 5), pb.Tanh(), pb.Linear(5, 3))
    return pb.Network(model, loss=pb.CrossEntropy(), **options)


def asked(net, params, X, calls=40):
    """What a network says in the end, when it is compiled."""
    for _ in range(calls):
        out = net.predict(params, X)
    assert net._ready is not None
    return out


@pytest.fixture
def here():
    """A network that is compiled, its parameters, and samples."""
    net = small()
    params = net.init(seed=1)
    X = np.random.default_rng(0).normal(size=(7, 6))
    asked(net, params, X)
    return net, params, X


def fresh(params, X):
    """What NumPy says."""
    return small().predict(params, X)


@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING, *SOME], ids=repr)
def test_a_compiled_network_predicts_what_numpy_does(case):
    net, X = case.net.eval(), batch_of(case)
    params = case.params() if callable(case.params) else case.params
    params = {name: np.asarray(value) for name, value in params.items()}
    expected = net.predict(params, X)
    found = Predictor(net, expected.dtype)
    inputs = X if isinstance(X, dict) else {next(iter(net.xs)): X}
    inputs = {**inputs, **drawn(net, inputs)}
    out = found.run(params, inputs)
    limit = 1e-5 if out.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(out, expected, rtol=0, atol=limit * np.abs(expected).max())
    if net.noise:
        return
    np.testing.assert_array_equal(found(params, X), out)
    repeated = np.arange(530) % len(out)
    many = {name: array[repeated] for name, array in inputs.items()}
    expected = found.run(params, many)
    for count in (1, 2, 3, 37, 530):  # alone, with a few, in a batch, and in one of several blocks
        some = found.run(params, {name: array[:count] for name, array in many.items()})
        if count > FEW:
            np.testing.assert_array_equal(some, expected[:count])
            np.testing.assert_array_equal(some[len(out) :], some[: -len(out)])
        np.testing.assert_allclose(
            some, out[repeated[:count]], rtol=0, atol=limit * np.abs(out).max()
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_sample_alone_through_wide_layers(dtype):
    model = pb.Sequential(pb.Linear(83, 37), pb.Tanh(), pb.Linear(37, 9))
    net = pb.Network(model, pb.SquaredError())
    params = {name: value + 0.1 for name, value in net.init(dtype=np.float64).items()}
    X = np.random.default_rng(0).normal(size=(3, 83))
    hidden = np.tanh(X @ params["0.weight"].T + params["0.bias"])
    expected = hidden @ params["2.weight"].T + params["2.bias"]
    found = Predictor(net, np.dtype(dtype))
    held = {name: value.astype(dtype) for name, value in params.items()}
    for row, wanted in zip(X, expected, strict=True):
        out = found(held, row[None].astype(dtype))
        np.testing.assert_allclose(out[0], wanted, rtol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tokens", [1, 3, 17])
def test_no_bit_of_a_few_samples_depends_on_which_come_together(tokens, dtype):
    model = pb.Sequential(pb.Linear(45, 19), pb.ReLU(), pb.Linear(19, 5))
    net = pb.Network(model, pb.SquaredError(), x=f"tokens={tokens} features=45")
    params = net.init(seed=1, dtype=dtype)
    X = np.random.default_rng(0).normal(size=(40, tokens, 45)).astype(dtype)
    found, few = Predictor(net, np.dtype(dtype)), max(1, FEW // tokens)
    expected, many = found(params, X[:few]), found(params, X)
    for count in range(1, few + 1):
        for rows in (slice(count), slice(few - count, few)):
            np.testing.assert_array_equal(found(params, X[rows]), expected[rows])
    for rows in (slice(few + 1), slice(7, None)):
        np.testing.assert_array_equal(found(params, X[rows]), many[rows])
    np.testing.assert_allclose(expected, many[:few], atol=1e-5 if dtype == np.float32 else 1e-13)


def test_blocks_are_worth_the_copy_of_their_weights():
    """Of wide layers they are long, whatever a sample takes; of a convolution they stay near."""
    wide = pb.Network(pb.Sequential(pb.Linear(900, 900), pb.ReLU(), pb.Linear(900, 2000)),
                      pb.SquaredError())  # fmt: skip
    image = pb.Sequential(
        pb.Conv2d(4, 8, 3, padding=1), pb.ReLU(), pb.Flatten(), pb.Linear(8192, 2)
    )
    convolved = pb.Network(image, pb.SquaredError(), x="channels=4 height=32 width=32")
    blocks = [Predictor(net, np.dtype("float32")).forward.block for net in (wide, convolved)]
    assert blocks == [256, 16]


def test_the_32nd_call_compiles_and_large_ones_count_for_more():
    net = small()
    params, X = net.init(), np.ones((2, 6))
    for _ in range(31):
        net.predict(params, X)
        assert net._ready is None
    net.predict(params, X)
    assert net._ready is not None
    wide = pb.Network(pb.Linear(2000, 1000), pb.SquaredError())
    params, X = wide.init(dtype=np.float32), np.ones((4096, 2000), np.float32)
    wide.predict(params, X)
    assert wide._ready is not None


def test_a_parameter_that_was_changed_or_replaced_is_seen(here):
    net, params, X = here
    params["0.weight"][2] += 1
    params["2.bias"] = params["2.bias"] + np.arange(3)
    np.testing.assert_allclose(net.predict(params, X), fresh(params, X), rtol=1e-12)
    turned = {**params, "0.weight": np.asfortranarray(params["0.weight"])}
    np.testing.assert_array_equal(net.predict(turned, X), net.predict(params, X))
    whole = {**params, "2.bias": np.arange(3)}
    np.testing.assert_allclose(net.predict(whole, X), fresh(whole, X), rtol=1e-12)
    moved = params["0.weight"].copy()
    held = {**params, "0.weight": moved}
    net.predict(held, X)
    moved.resize((50, 60), refcheck=False)
    moved.resize((5, 6), refcheck=False)
    moved[:] = 0.1
    np.testing.assert_allclose(net.predict(held, X), fresh(held, X), rtol=1e-12)


def test_samples_in_any_order_of_memory_and_precision(here):
    net, params, X = here
    expected = net.predict(params, X)
    wide = np.zeros((7, 12))
    wide[:, ::2] = X
    for same in (np.asfortranarray(X), wide[:, ::2], X[::-1][::-1], X.tolist()):
        same = np.array(same) if isinstance(same, list) else same
        np.testing.assert_array_equal(net.predict(params, same), expected)
    single = X.astype(np.float32)
    found = net.predict(params, single)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(net.predict(params, X), expected)


ODD = {
    "nothing": lambda p, X: (p, X[:0]),
    "one sample without its axis": lambda p, X: (p, X[0]),
    "another width": lambda p, X: (p, X[:, :5]),
    "whole numbers": lambda p, X: (p, np.ones((2, 6), np.int64)),
    "NaN": lambda p, X: (p, np.where(X[3, 2] == X, np.nan, X)),
    "an infinity in the last of many": lambda p, X: (p, np.r_[np.tile(X, (200, 1)), X[:1] / 0]),
    "objects": lambda p, X: (p, X.astype(object)),
    "a number": lambda p, X: (p, 3.0),
    "none": lambda p, X: (p, None),
    "a dict": lambda p, X: (p, {"y": X}),
    "a parameter too few": lambda p, X: ({k: v for k, v in p.items() if k != "2.bias"}, X),
    "a parameter too many": lambda p, X: ({**p, "more": X}, X),
    "another name": lambda p, X: ({k.replace("2.", "3."): v for k, v in p.items()}, X),
    "a parameter of another shape": lambda p, X: ({**p, "2.bias": np.zeros(4)}, X),
    "a parameter of text": lambda p, X: ({**p, "2.bias": np.array(["a", "b", "c"])}, X),
    "parameters in a list": lambda p, X: (list(p.values()), X),
}


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_does_not_fit_is_named_as_before(here, odd):
    net, params, X = here
    given = ODD[odd](params, X)
    with pytest.raises(PullbackError) as found:
        net.predict(*given)
    with pytest.raises(PullbackError) as expected:
        small().predict(*given)
    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))


def test_whole_numbers_out_of_range_are_named(here):
    model = pb.Sequential(pb.Embedding(5, 3), pb.Flatten(), pb.Linear(6, 2))
    net = pb.Network(model, pb.SquaredError(), x="tokens=2:index")
    params = net.init()
    asked(net, params, np.array([[1, 4]]))
    for wrong in ([[1, 5]], [[-1, 0]]):
        with pytest.raises(PullbackError, match=r"expected a whole number from 0"):
            net.predict(params, np.array(wrong))


def test_several_inputs_by_name_or_in_their_order():
    case = next(case for case in GENERAL if case.name == "two inputs")
    net, params, X = case.net, case.params, case.X
    expected = net.predict(params, X)
    asked(net, params, X)
    np.testing.assert_allclose(net.predict(params, X), expected, rtol=1e-12)
    np.testing.assert_array_equal(net.predict(params, tuple(X.values())), net.predict(params, X))
    first, *others = X
    with pytest.raises(PullbackError, match="batch"):
        net.predict(params, {first: X[first][:2], **{name: X[name] for name in others}})


def test_no_bit_depends_on_how_many_threads_predict(here, monkeypatch):
    net, params, X = here
    X = np.random.default_rng(1).normal(size=(5000, 6))
    expected = net.predict(params, X)
    monkeypatch.setattr(predictor, "_GRAIN", 1)
    for count in (2, 3):
        monkeypatch.setattr(predictor, "processors", lambda count=count: count)
        np.testing.assert_array_equal(net.predict(params, X), expected)


def test_threads_that_ask_at_once_get_their_own(here):
    net, params, _ = here
    rng = np.random.default_rng(2)
    given = [
        ({name: value * (1 + number) for name, value in params.items()}, rng.normal(size=(n, 6)))
        for number, n in enumerate((1, 2, 700, 1, 90, 3))
    ]
    expected = [net.predict(*each) for each in given]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(30):
            found = list(pool.map(lambda each: net.predict(*each), given))
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_where_samples_meet_numpy_predicts():
    model = pb.Sequential(pb.Linear(6, 5), pb.BatchNorm1d(5, track_running_stats=False))
    net = pb.Network(model, pb.SquaredError())
    params, X = net.init(), np.random.default_rng(0).normal(size=(9, 6))
    expected = net.predict(params, X)
    for _ in range(40):
        np.testing.assert_array_equal(net.predict(params, X), expected)
    assert net._ready is None


def test_arrays_that_lie_otherwise_in_memory_are_left_to_numpy(monkeypatch):
    assert arrays.are_readable()
    monkeypatch.setattr(predictor, "are_readable", lambda: False)
    net = small()
    params, X = net.init(), np.ones((2, 6))
    for _ in range(40):
        net.predict(params, X)
    assert net._ready is None


@pytest.mark.parametrize("field", ["DATA", "RANK", "DTYPE", "FLAGS", "ORDER", "NUMBER"])
def test_a_field_in_another_place_is_found_out(field, monkeypatch):
    monkeypatch.setattr(arrays, field, getattr(arrays, field) + (1 if field == "ORDER" else 4))
    assert not arrays.are_readable.__wrapped__()


def test_a_copy_of_a_compiled_network_predicts(here):
    net, params, X = here
    other = copy.deepcopy(net)
    np.testing.assert_allclose(other.predict(params, X), net.predict(params, X), rtol=1e-12)


CALLS = """
import hashlib, numpy as np, pullback as pb
net = pb.Network(pb.Sequential(pb.Linear(6, 5), pb.Tanh(), pb.Linear(5, 3)), pb.CrossEntropy())
params, X = net.init(dtype=np.float32), np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)
every = b"".join(net.predict(params, X).tobytes() for _ in range(34))
print(hashlib.sha256(every).hexdigest())
"""


def test_no_bit_depends_on_what_the_cache_holds(tmp_path):
    found = set()
    for cache in (tmp_path, tmp_path, "off"):  # empty, filled, none
        done = subprocess.run(
            [sys.executable, "-c", CALLS],
            env={**os.environ, "PULLBACK_CACHE": str(cache)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
