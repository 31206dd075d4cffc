"""Training is the update rule and nothing else: the same steps, the same bits, nothing lost."""

import os
import signal
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError, NonFiniteError, UnknownNameError
from pullback.train import training
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.optim import Updater

O = pb.optim
RNG = np.random.default_rng(5)
X = RNG.normal(size=(45, 4))
Y = RNG.integers(0, 3, 45)
CLASSIFIER = pb.Network(
    pb.Sequential(pb.Linear(4, 6), pb.Tanh(), pb.Linear(6, 3)), loss=pb.CrossEntropy(), l2=0.01
)
LINE = pb.Network(pb.Linear(4, 1), loss=pb.SquaredError())
Z = X @ [[1.0], [2.0], [-1.0], [0.5]] + 0.3


def fit(net=CLASSIFIER, x=X, y=Y, **options):
    return pb.fit(net, x, y, **{"epochs": 3, "batch_size": 16, "progress": False, **options})


def same(one, other):
    return (
        all(np.array_equal(one[name], other[name]) for name in one) and one.keys() == other.keys()
    )


def by_hand(optimizer, epochs, size, seed=None, params=None):
    """Parameters and losses from value_and_grad, the update and a loop."""
    vector, unravel = pb.ravel(params or CLASSIFIER.init(0))
    updater, losses = Updater(optimizer, vector.size, vector.dtype), []
    random = None if seed is None else np.random.default_rng(seed)
    for _ in range(epochs):
        order = np.arange(len(X)) if random is None else random.permutation(len(X))
        parts = [order[at : at + size] for at in range(0, len(X), size)]
        values = []
        for rows in parts:
            loss, grads = CLASSIFIER.value_and_grad(unravel(vector), X[rows], Y[rows])
            updater.step(vector, pb.ravel(grads)[0])
            values.append(loss)
        losses.append(np.average(values, weights=[len(rows) for rows in parts]))
    return unravel(vector), losses


@pytest.mark.parametrize(
    "optimizer",
    [
        O.SGD(0.1, momentum=0.9),
        O.Adam(0.01, clip_norm=0.1),
        O.RMSProp(O.OneCycle(0.02, steps=9)),
        O.Adagrad(lambda step: 0.1 / step),
    ],
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_is_a_loop_over_gradients_and_updates(optimizer, shuffle):
    result = fit(optimizer=optimizer, shuffle=shuffle)
    params, losses = by_hand(optimizer, epochs=3, size=16, seed=0 if shuffle else None)
    for name, value in params.items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-12)


def test_equal_to_torch():
    start = LINE.init(1)
    layer = torch.nn.Linear(4, 1).double()
    layer.load_state_dict({name: torch.tensor(value) for name, value in start.items()})
    peer = torch.optim.AdamW(layer.parameters(), 0.05)
    for _ in range(3):
        for at in range(0, 45, 16):
            peer.zero_grad()
            out = layer(torch.tensor(X[at : at + 16]))
            ((out - torch.tensor(Z[at : at + 16])) ** 2 / 2).sum(1).mean().backward()
            peer.step()
    result = fit(LINE, X, Z, params=start, optimizer=O.AdamW(0.05), shuffle=False)
    for name, value in layer.state_dict().items():
        np.testing.assert_allclose(result.params[name], value.numpy(), rtol=1e-11)


def test_full_batch_notes_the_loss_before_each_update():
    result = fit(batch_size=None, epochs=4)
    _, losses = by_hand(O.SGD(0.1, momentum=0.9), epochs=4, size=45)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-13)
    first = CLASSIFIER.loss(CLASSIFIER.init(0), X, Y)
    np.testing.assert_allclose(result.history["loss"][0], first, rtol=1e-14)


def test_cs231n_training_trace():
    """The spiral of cs231n's neural-networks-case-study.md (MIT, Andrej Karpathy), softmax part."""
    random = np.random.RandomState(0)
    t = [np.linspace(j * 4, (j + 1) * 4, 100) + random.randn(100) * 0.2 for j in range(3)]
    r = np.linspace(0, 1, 100)
    x = np.concatenate([np.c_[r * np.sin(each), r * np.cos(each)] for each in t])
    random.randn(18)  # drawn between in the page, found by search
    weight = 0.01 * random.randn(2, 3)
    net = pb.Network(pb.Linear(2, 3), loss=pb.CrossEntropy(), l2=1e-3)
    params = {"weight": weight.T, "bias": np.zeros(3)}
    y = np.repeat(np.arange(3), 100)
    result = fit(net, x, y, params=params, optimizer=O.SGD(1.0), epochs=200, batch_size=None)
    published = [1.096956, 0.917265, 0.851503, 0.822336, 0.807586, 0.799448, 0.794681, 0.791764]
    published += [0.78992, 0.788726, 0.787938, 0.787409, 0.787049, 0.786803, 0.786633, 0.786514]
    published += [0.786431, 0.786373, 0.786331, 0.786302]
    np.testing.assert_allclose(result.history["loss"][::10], published, atol=6e-7)


def test_equal_seeds_give_equal_bits():
    one, two, other = fit(seed=3), fit(seed=3), fit(seed=4)
    assert same(one.params, two.params)
    assert one.history["loss"] == two.history["loss"]
    assert not same(one.params, other.params)
    started = CLASSIFIER.init(9)
    assert not same(fit(params=started, seed=3).params, fit(params=started, seed=4).params)


def test_the_start_is_left_alone_and_float32_stays():
    params = CLASSIFIER.init(0, dtype=np.float32)
    kept = {name: value.copy() for name, value in params.items()}
    result = fit(x=X.astype(np.float32), params=params)
    assert same(params, kept)
    assert {value.dtype for value in result.params.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_the_length_of_a_chunk_changes_no_bit(monkeypatch, seconds):
    expected = fit(epochs=5)
    monkeypatch.setattr(training, "_CHUNK", seconds)
    found = fit(epochs=5)
    assert same(found.params, expected.params)
    assert found.history["loss"] == expected.history["loss"]


def test_validation_is_the_loss_on_other_data():
    held_out = X[:10] + 0.1, Y[:10]
    result = fit(validation=held_out)
    expected = CLASSIFIER.loss(result.params, *held_out)
    assert result.history["validation_loss"][-1] == pytest.approx(expected, rel=1e-13)
    right = CLASSIFIER.predict(result.params, held_out[0]).argmax(1) == held_out[1]
    assert result.history["validation_accuracy"][-1] == right.mean()
    assert same(result.params, fit().params)


# Ctrl-C


def interrupting(monkeypatch, at_call):
    """Engines that get a Ctrl-C while they run their n-th chunk of one step."""
    monkeypatch.setattr(training, "_CHUNK", 0.0)
    run, calls = CompiledEngine.run, []

    def interrupted_run(self, *args):
        calls.append(1)
        if len(calls) == at_call:
            os.kill(os.getpid(), signal.SIGINT)
        return run(self, *args)

    monkeypatch.setattr(CompiledEngine, "run", interrupted_run)


def test_ctrl_c_returns_every_step_that_was_done(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    whole = fit(epochs=2, shuffle=False)
    interrupting(monkeypatch, at_call=8)
    result = fit(epochs=10, shuffle=False)
    assert result.interrupted
    assert result.history["loss"] == whole.history["loss"]
    monkeypatch.undo()
    engine = CompiledEngine(CLASSIFIER, CLASSIFIER.init(0), O.SGD(0.1, momentum=0.9))
    target = np.eye(3)[Y]
    for steps in (3, 3, 2):
        engine.run({"x": X, "target": target}, None, 16, np.full(steps, 0.1))
    assert same(result.params, engine.params)
    assert signal.getsignal(signal.SIGINT) is before
    assert "interrupted" in result.text()


def test_ctrl_c_in_a_callback_ends_training():
    def impatient(epoch, params, history):
        if epoch == 1:
            raise KeyboardInterrupt

    result = fit(epochs=9, callback=impatient)
    assert result.interrupted
    assert same(result.params, fit(epochs=2).params)


def test_training_in_a_thread_leaves_signals_alone():
    results = []
    thread = threading.Thread(target=lambda: results.append(fit()))
    thread.start()
    thread.join()
    assert same(results[0].params, fit().params)


# callbacks and early stopping


def test_callbacks_see_each_epoch_and_may_end_training():
    seen = []

    def note(epoch, params, history):
        seen.append((epoch, len(history["loss"]), params))
        params["0.weight"][:] = 0  # a copy

    def enough(epoch, params, history):
        if epoch == 3:
            raise StopIteration("good enough")

    result = fit(epochs=9, callback=[note, enough])
    assert [entry[:2] for entry in seen] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert result.stopped == "good enough"
    assert same(result.params, fit(epochs=4).params)


def test_early_stopping_ends_in_time_and_brings_the_best_back():
    held_out = X[:12], RNG.permutation(Y[:12])
    options = {"validation": held_out, "optimizer": O.Adam(0.1)}
    stopped = fit(epochs=60, early_stopping=4, **options)
    losses = stopped.history["validation_loss"]
    assert stopped.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 4
    assert CLASSIFIER.loss(stopped.params, *held_out) == pytest.approx(min(losses), rel=1e-13)
    assert same(stopped.params, fit(epochs=stopped.best_epoch, **options).params)
    assert f"since epoch {stopped.best_epoch}" in stopped.stopped
    last = fit(epochs=60, early_stopping=pb.EarlyStopping(4, restore_best=False), **options)
    assert last.best_epoch is None
    assert CLASSIFIER.loss(last.params, *held_out) == pytest.approx(losses[-1], rel=1e-13)


def test_early_stopping_wants_more_of_an_accuracy():
    rule = pb.EarlyStopping(patience=3, monitor="accuracy")
    result = fit(epochs=50, early_stopping=rule, optimizer=O.Adam(0.05))
    values = result.history["accuracy"]
    assert values[result.best_epoch - 1] == max(values)


# divergence


def test_divergence_names_step_node_and_layer_and_keeps_the_last_good_parameters():
    net = pb.Network(pb.Sequential(pb.Linear(4, 5), pb.ReLU(), pb.Linear(5, 1)), pb.SquaredError())
    start = net.init(0, dtype=np.float64)
    optimizer = O.SGD(30.0)
    with pytest.raises(NonFiniteError) as caught:
        fit(net, X, Z, params=start, optimizer=optimizer, epochs=50, shuffle=False)
    text = str(caught.value)
    number = int(text.split()[1])
    epoch, batch = divmod(number - 1, 3)
    assert text.startswith(f"step {number} (epoch {epoch + 1}, batch {batch + 1}): ")
    assert "is the first to hold" in text
    assert "learning rate is 30" in text
    good = fit(net, X, Z, params=start, optimizer=optimizer, epochs=epoch, shuffle=False).params
    assert epoch > 0
    assert same(caught.value.params, good)
    assert all(np.isfinite(value).all() for value in caught.value.params.values())


def test_weights_that_break_in_the_very_last_update_are_noticed():
    start = LINE.init(0)
    with pytest.raises(NonFiniteError, match=r"step 1 .* weight is the first to hold") as caught:
        fit(LINE, X * 1e10, Z * 1e10, optimizer=O.SGD(1e300), epochs=1, batch_size=None)
    assert same(caught.value.params, start)


# whole-batch methods


@pytest.mark.parametrize("optimizer", [O.LBFGS(1e-8), O.ConjugateGradient(1e-8)])
def test_scipy_finds_the_least_squares_solution(optimizer):
    target = Z + 0.1 * np.sin(9 * X[:, :1])
    result = fit(LINE, X, target, optimizer=optimizer, epochs=200)
    exact = np.linalg.lstsq(np.c_[X, np.ones(45)], target, rcond=None)[0].ravel()
    found = np.r_[result.params["weight"].ravel(), result.params["bias"]]
    np.testing.assert_allclose(found, exact, atol=1e-7)
    losses = result.history["loss"]
    assert losses[0] == LINE.loss(LINE.init(0), X, target)
    assert all(later < sooner for sooner, later in pairwise(losses))
    assert "scipy's" in result.stopped.lower()


def test_scipy_stops_where_it_is_told_to():
    net, seen = CLASSIFIER, []
    result = fit(optimizer=O.LBFGS(), epochs=5, callback=lambda *args: seen.append(args[0]))
    assert seen == [0, 1, 2, 3, 4]
    assert result.stopped is None
    assert net.loss(result.params, X, Y) < result.history["loss"][-1]
    single = fit(x=X.astype(np.float32), optimizer=O.LBFGS(), epochs=5)
    assert single.params["0.weight"].dtype == np.float32
    np.testing.assert_allclose(single.history["loss"], result.history["loss"], rtol=1e-4)
    held_out = X[:12], Y[:12]
    early = fit(optimizer=O.LBFGS(), epochs=300, validation=held_out, early_stopping=3)
    assert CLASSIFIER.loss(early.params, *held_out) == min(early.history["validation_loss"])


def test_scipy_meets_divergence_with_a_name():
    start = {"weight": np.full((1, 4), 1e308), "bias": np.zeros(1)}
    with pytest.raises(NonFiniteError, match="before the first iteration: z is the first"):
        fit(LINE, X * 10, Z, params=start, optimizer=O.LBFGS())


# what makes no sense is refused before work starts

REFUSED = [
    ({"batch_size": 46}, ConfigError, "batch_size is 46, but there are 45 samples"),
    ({"batch_size": 0}, ConfigError, "batch_size is 0"),
    ({"batch_size": 1.5}, ConfigError, "batch_size is 1.5"),
    ({"epochs": 0}, ConfigError, "epochs is 0"),
    ({"epochs": True}, ConfigError, "epochs is True"),
    ({"seed": -1}, ConfigError, "seed is -1"),
    ({"optimizer": "adam"}, ConfigError, "optimizer is 'adam'"),
    ({"optimizer": O.Adam}, ConfigError, "optimizer is the class Adam"),
    (
        {"optimizer": O.SGD(lambda step: float("nan"))},
        ConfigError,
        "learning rate of step 1 is nan",
    ),
    ({"engine": "numpi"}, UnknownNameError, "did you mean 'numpy'"),
    ({"validation": X}, ConfigError, "validation is not a pair"),
    ({"validation": (X, Y[:-1])}, pb.errors.ShapeError, "Y has 44 rows"),
    ({"early_stopping": 0}, ConfigError, "early_stopping is 0"),
    ({"early_stopping": "yes"}, ConfigError, "early_stopping is 'yes'"),
    (
        {"early_stopping": pb.EarlyStopping(monitor="validation_los")},
        UnknownNameError,
        "column of the history",
    ),
    ({"resume": True}, ConfigError, "resume needs a checkpoint"),
    ({"callback": 3}, ConfigError, "callback is 3"),
    ({"params": {"0.weight": np.zeros((6, 4))}}, UnknownNameError, "params lacks '0.bias'"),
    ({"y": Y.astype(str)}, DTypeError, "Y has dtype"),
    ({"y": Y + 1}, DataError, "expected a class from 0 to 2"),
    ({"y": Y + 0.5}, DataError, "not whole"),
    ({"x": X.astype(int)}, DTypeError, "X has dtype int64"),
    ({"x": np.full_like(X, np.nan)}, DataError, "X holds NaN"),
    ({"net": "digits"}, ConfigError, "net is 'digits'"),
]


@pytest.mark.parametrize(("options", "kind", "told"), REFUSED, ids=[each[2] for each in REFUSED])
def test_what_makes_no_sense_is_refused(options, kind, told):
    with pytest.raises(kind) as caught:
        fit(**options)
    assert told in str(caught.value)


def test_few_samples_are_one_batch_where_no_size_is_given():
    net = pb.Network(pb.Linear(2, 1), loss=pb.MSELoss())
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(7, 2)), rng.normal(size=(7, 1))
    found = pb.fit(net, X, Y, epochs=3, progress=False, engine="numpy").params
    whole = pb.fit(net, X, Y, epochs=3, batch_size=None, progress=False, engine="numpy").params
    assert all(np.array_equal(found[name], value) for name, value in whole.items())
    with pytest.raises(ConfigError, match="batch_size is 32, but there are 7 samples"):
        pb.fit(net, X, Y, epochs=3, batch_size=32, progress=False)
