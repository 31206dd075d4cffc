"""fit on any network: the steps are those of a plain loop, and resumed ones go on bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING

import pullback as pb
from pullback.errors import ConfigError, DataError, NotApplicableError, PullbackError
from pullback.ir.build import multiply
from pullback.train.checkpoint import load
from pullback.train.metrics import hits

BATCH = 2
OPTIMIZERS = {
    "sgd": pb.optim.SGD(0.05, momentum=0.5),
    "adam": pb.optim.Adam(0.01),
}
FROZEN = next(case for case in GENERAL if case.name == "frozen weight")
TOKENS = next(case for case in GENERAL if case.name == "classes of tokens")
INPUTS = next(case for case in GENERAL if case.name == "two inputs of two shapes")
WHOLE = next(case for case in GENERAL if case.name == "whole numbers")
over = pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)
# it takes seconds to compile one, so these are some of many kinds
COMPILED = ("frozen weight", "two inputs", "classes of tokens", "one number a sample", "pixels")
compiled = pytest.mark.parametrize("case", [c for c in GENERAL if c.name in COMPILED], ids=repr)


def rows(X, at):
    """Some samples of one input, or of each."""
    return {name: x[at] for name, x in X.items()} if isinstance(X, dict) else X[at]


def options(case, **changed):
    given = dict(params=case.params, epochs=3, batch_size=BATCH, shuffle=False, progress=False)
    return given | dict(optimizer=OPTIMIZERS["sgd"], engine="numpy") | changed


def by_hand(case, name, epochs=3):
    """The same in a loop of ``value_and_grad``, with the rule typed in; the mean losses too."""
    held = {n: value.copy() for n, value in case.params.items()}
    first, second = (dict.fromkeys(held, 0.0) for _ in range(2))
    losses, step = [], 0
    for _ in range(epochs):
        total = 0.0
        for at in range(0, case.batch, BATCH):
            part = slice(at, at + BATCH)
            X, Y = rows(case.X, part), case.Y[part]
            _, inputs = case.net.batch(held, X, Y, seed=(0, step))
            noise = {n: inputs[n] for n in case.net.noise}
            value, grads = case.net.value_and_grad(held, X, Y, noise=noise)
            held = case.net.updated(held, X, noise=noise)
            total += value * len(case.Y[part])
            step += 1
            for n, slope in grads.items():
                if name == "sgd":
                    first[n] = 0.5 * first[n] + slope
                    held[n] = held[n] - 0.05 * first[n]
                else:
                    first[n] = 0.9 * first[n] + 0.1 * slope
                    second[n] = 0.999 * second[n] + 0.001 * slope**2
                    mean, square = first[n] / (1 - 0.9**step), second[n] / (1 - 0.999**step)
                    held[n] = held[n] - 0.01 * mean / (np.sqrt(square) + 1e-8)
        losses.append(total / case.batch)
    return held, losses


@pytest.mark.parametrize(("name", "engine"), [("sgd", "numpy"), ("adam", "auto")])
@over
def test_three_epochs_are_those_of_a_plain_loop(case, name, engine):
    given = options(case, optimizer=OPTIMIZERS[name], engine=engine)
    result = pb.fit(case.net, case.X, case.Y, **given)
    expected, losses = by_hand(case, name)
    assert list(result.params) == list(case.params)
    _, slopes = case.net.value_and_grad(case.params, case.X, case.Y)
    for key, value in expected.items():
        # Adam makes whole steps of what rounding leaves of a gradient that is 0
        if name == "sgd" or key not in slopes or np.abs(slopes[key]).max() > 1e-12:
            np.testing.assert_allclose(result.params[key], value, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-9)


@over
def test_resumed_training_has_the_bits_of_a_straight_one(case, tmp_path):
    given = options(case, shuffle=True, optimizer=OPTIMIZERS["adam"], early_stopping=5)
    path = tmp_path / "net.safetensors"
    straight = pb.fit(case.net, case.X, case.Y, **given)
    pb.fit(case.net, case.X, case.Y, **given | dict(epochs=1), checkpoint=path)
    resumed = pb.fit(case.net, case.X, case.Y, **given, checkpoint=path, resume=True)
    for key, value in straight.params.items():
        np.testing.assert_array_equal(resumed.params[key], value)
    assert resumed.history["loss"] == straight.history["loss"]


def stop(epoch, params, history):
    raise StopIteration


@compiled
def test_auto_trains_whatever_numpy_trains(case, capsys):
    """So many epochs are worth compiling; the callback ends them after the first."""
    given = options(case, epochs=10**7, engine="auto", callback=stop)
    found = pb.fit(case.net, case.X, case.Y, **given | dict(progress=True))
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("engine 'numpy': ") <= 1
    expected = pb.fit(case.net, case.X, case.Y, **options(case, epochs=1)).params
    for key, value in found.params.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-9, atol=1e-12)


@compiled
def test_the_compiled_engine_by_name_trains_or_refuses_before_any_work(case, tmp_path):
    path, seen = tmp_path / "net.safetensors", []
    given = options(case, epochs=1, engine="compiled", checkpoint=path)
    try:
        found = pb.fit(case.net, case.X, case.Y, **given, callback=lambda *a: seen.append(a)).params
    except PullbackError:
        assert not seen
        assert not list(tmp_path.glob("*.safetensors"))
        return
    expected = pb.fit(case.net, case.X, case.Y, **options(case, epochs=1)).params
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-9, atol=1e-12)


@over
def test_watching_validation_and_float32(case):
    params = {name: value.astype(np.float32) for name, value in case.params.items()}

    def narrow(x):
        return x.astype(np.float32) if x.dtype.kind == "f" else x

    several = isinstance(case.X, dict)
    X = {n: narrow(x) for n, x in case.X.items()} if several else narrow(case.X)
    given = options(case, params=params, validation=(X, case.Y), watch=True)
    result = pb.fit(case.net, X, case.Y, **given)
    assert {value.dtype for value in result.params.values()} == {np.dtype(np.float32)}
    assert result.history["validation_loss"][-1] == pytest.approx(
        case.net.eval().loss(result.params, X, case.Y), rel=1e-5
    )
    trace = case.net.trace(params, X, case.Y)
    for name, sizes in result.watched.rms_delta.items():
        assert len(sizes) == 4
        assert sizes[0] == pytest.approx(case.batch * trace.rms_delta()[name], rel=1e-4)
    trained = [spec for spec in case.net.specs if spec.trained and spec.kind == "weight"]
    assert len(result.watched.update) == len(trained)


@over
def test_full_batch_methods(case):
    given = options(case, optimizer=pb.optim.LBFGS(), batch_size=None, epochs=5)
    if case.net.noise:
        with pytest.raises(ConfigError, match="takes no noise"):
            pb.fit(case.net, case.X, case.Y, **given)
        return
    result = pb.fit(case.net, case.X, case.Y, **given)
    losses = result.history["loss"]
    assert losses[-1] <= losses[0] == pytest.approx(case.net.loss(case.params, case.X, case.Y))


# frozen weights


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS.values(), pb.optim.LBFGS()], ids=repr)
def test_a_frozen_weight_is_carried_along_unchanged(optimizer, tmp_path):
    path, seen = tmp_path / "net.safetensors", []
    given = options(FROZEN, optimizer=optimizer, checkpoint=path, early_stopping=9)
    result = pb.fit(FROZEN.net, FROZEN.X, FROZEN.Y, **given, callback=lambda *a: seen.append(a[1]))
    for params in (result.params, *seen, load(path)[0]):
        np.testing.assert_array_equal(params["0.weight"], FROZEN.params["0.weight"])
        assert (params["0.bias"] != FROZEN.params["0.bias"]).any()
    assert list(result.params) == [spec.name for spec in FROZEN.net.specs]


def test_the_optimiser_remembers_trained_weights_only(tmp_path):
    path = tmp_path / "net.safetensors"
    result = pb.fit(FROZEN.net, FROZEN.X, FROZEN.Y, **options(FROZEN, checkpoint=path))
    trained = sum(FROZEN.params[name].size for name in FROZEN.net.trained)
    assert trained < sum(value.size for value in FROZEN.params.values())
    assert result.optimizer_state.slots["velocity"].shape == (trained,)
    assert load(path)[0]["fit.velocity"].shape == (trained,)


def test_a_frozen_weight_is_not_decayed_nor_penalised():
    net = pb.Network(FROZEN.model, pb.SquaredError(), l2=0.5, x="features=4")
    plain, held = FROZEN.net, FROZEN.params
    penalty = net.loss(held, FROZEN.X, FROZEN.Y) - plain.loss(held, FROZEN.X, FROZEN.Y)
    assert penalty == pytest.approx(0.25 * np.sum(held["2.weight"] ** 2))
    rule = pb.optim.AdamW(0.01, weight_decay=0.1)
    result = pb.fit(net, FROZEN.X, FROZEN.Y, **options(FROZEN, optimizer=rule))
    np.testing.assert_array_equal(result.params["0.weight"], held["0.weight"])


def test_a_model_without_trained_weights_is_refused():
    class Scaled(pb.nn.Block):
        def build(self, x, at):
            return at.z(multiply(x, at.parameter("gain", (x.axes[-1],), 2.0, trained=False)))

    net = pb.Network(Scaled(), pb.SquaredError(), x="features=4")
    assert net.value_and_grad(net.init(), np.ones((2, 4)), np.ones((2, 4))) == (2.0, {})
    with pytest.raises(DataError, match="no parameters to train: all 1 are frozen"):
        pb.fit(net, np.ones((4, 4)), np.ones((4, 4)), batch_size=2, progress=False)


# what is scored, weighted and streamed


def test_the_accuracy_of_tokens_is_over_all_positions():
    given = options(TOKENS, epochs=1, batch_size=None, validation=(TOKENS.X, TOKENS.Y))
    result = pb.fit(TOKENS.net, TOKENS.X, TOKENS.Y, **given)
    before, after = (
        np.mean(TOKENS.net.predict(params, TOKENS.X).argmax(-1) == TOKENS.Y)
        for params in (TOKENS.params, result.params)
    )
    assert result.history["accuracy"] == [before]
    assert result.history["validation_accuracy"] == [after]


def test_hits_of_one_number_a_sample_and_of_bits_at_each_token():
    signs = np.array([1.0, -1.0, 1.0])
    assert hits(pb.LogisticLoss(), np.array([0.5, 0.5, 2.0]), signs) == 2
    bits = np.array([[[1, 0, 1], [0, 0, 0]]])
    assert hits(pb.BinaryCrossEntropy(), np.array([[[1, -1, 1], [-1, 1, -1.0]]]), bits) == 1


def test_sample_weights_are_of_samples_and_classes_of_tokens_have_none():
    weight = np.array([1.0, 0, 2, 3, 1])
    given = options(TOKENS, epochs=1, batch_size=None)
    result = pb.fit(TOKENS.net, TOKENS.X, TOKENS.Y, **given, sample_weight=weight)
    assert result.history["loss"] == [
        pytest.approx(TOKENS.net.loss(TOKENS.params, TOKENS.X, TOKENS.Y, sample_weight=weight))
    ]
    with pytest.raises(ConfigError, match=r"one has the targets \(tokens=2, .*sample_weight"):
        pb.fit(TOKENS.net, TOKENS.X, TOKENS.Y, **given, class_weight="balanced")


def sources(case, folder):
    """The same data as a tuple in order, as batches, and as mapped files."""
    several = isinstance(case.X, dict)
    if several:
        yield tuple(case.X.values()), case.Y
    parts = [slice(at, at + BATCH) for at in range(0, case.batch, BATCH)]
    yield [(rows(case.X, part), case.Y[part]) for part in parts], None
    mapped = {}
    for name, x in (case.X if several else {"x": case.X}).items():
        np.save(folder / f"{name}.npy", x)
        mapped[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    yield (mapped if several else mapped["x"]), case.Y


@pytest.mark.parametrize("case", [INPUTS, WHOLE, TOKENS], ids=repr)
def test_sources_of_any_inputs_train_as_arrays_do(case, tmp_path):
    expected = pb.fit(case.net, case.X, case.Y, **options(case)).params
    for X, Y in sources(case, tmp_path):
        given = options(case) | (dict(checkpoint=tmp_path / "net.safetensors"))
        pb.fit(case.net, X, Y, **given | dict(epochs=2))
        found = pb.fit(case.net, X, Y, **given, resume=True).params
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
        (tmp_path / "net.safetensors").unlink()


def test_a_table_of_columns_feeds_numbers_by_feature_only(tmp_path):
    pa, dataset = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.dataset")
    table = dataset.dataset(pa.table({"a": [1.0, 2.0], "b": [0.0, 1.0]}))
    for case in (INPUTS, WHOLE, TOKENS):
        with pytest.raises(NotApplicableError, match=r"in columns is numbers \(batch, features\)"):
            pb.fit(case.net, table, "b", progress=False)


def test_lengths_that_no_size_is_given_for_may_differ_from_batch_to_batch():
    net = pb.Network(TOKENS.model, pb.CrossEntropy(), x="tokens features=4")
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(2, n, 4)), rng.integers(0, 3, (2, n))) for n in (2, 5, 3)]
    held, rule = net.init(seed=0), pb.optim.SGD(0.1)
    result = pb.fit(net, batches, params=held, epochs=1, optimizer=rule, progress=False)
    for X, Y in batches:
        _, grads = net.value_and_grad(held, X, Y)
        held = {name: value - 0.1 * grads[name] for name, value in held.items()}
    for name, value in held.items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-12)


def test_validation_of_whole_numbers_keeps_the_digits_of_its_targets():
    given = options(WHOLE, epochs=1, validation=(WHOLE.X, WHOLE.Y))
    result = pb.fit(WHOLE.net, WHOLE.X, WHOLE.Y, **given)
    expected = WHOLE.net.loss(result.params, WHOLE.X, WHOLE.Y)
    assert result.history["validation_loss"] == pytest.approx([expected], rel=1e-13)
