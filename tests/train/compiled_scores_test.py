"""Compiled scores of validation data: those of NumPy's program, whoever adds them up."""

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING
from zoo import ZOO

import pullback as pb
from pullback.errors import DataError, NotApplicableError, ShapeError
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.compiled_scores import CompiledScores
from pullback.train.metrics import scores
from pullback.train.samples import Samples

RNG = np.random.default_rng(0)
L, S = pb.Linear, pb.Sequential
SINGLE = [case for case in ZOO if case.dtype is np.float32][::4]
CASES = [*GENERAL, *IN_TRAINING, *SINGLE, *ZOO[::14]]
X, Y = RNG.normal(size=(45, 4)), RNG.integers(0, 3, 45)


def classifier(**options):
    return pb.Network(S(L(4, 6), pb.Tanh(), L(6, 3)), loss=pb.CrossEntropy(), **options)


def given(case):
    """A network in evaluation, its parameters, and samples."""
    data, target = (case.X, case.Y) if hasattr(case, "X") else case.data()
    net = case.net.eval().for_targets(np.asarray(target))
    samples = Samples.of(net, data, target)
    params = case.params() if callable(case.params) else case.params
    return net, {name: np.asarray(v, samples.dtype) for name, v in params.items()}, samples


def agree(found, expected, dtype):
    limit = 1e-5 if dtype == np.float32 else 1e-12
    assert found.keys() == expected.keys()
    assert found["loss"] == pytest.approx(expected["loss"], rel=limit, abs=limit)
    assert found.get("accuracy") == expected.get("accuracy")


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: repr(CASES[number]))
def test_scores_are_numpy_s_and_no_bit_depends_on_who_adds_them_up(number):
    net, params, samples = given(CASES[number])
    if number % 2:  # each sample with a weight of its own
        weight = np.linspace(0.5, 2, len(samples)).astype(samples.dtype)
        net, samples = net.weighted, samples.weighted(weight)
    compiled = [CompiledScores(net, samples.dtype, workers) for workers in (1, 2, 3)]
    for count in (len(samples), 1, 530):  # the last in several blocks, if not in many
        some = samples[np.arange(count) % len(samples)]
        first, *others = (each(params, some) for each in compiled)
        agree(first, scores(net, params, some), samples.dtype)
        assert others == [first, first]


def test_a_block_more_or_less_and_many_blocks():
    net = classifier(l2=0.1)
    params = net.init(seed=1, dtype=np.float32)
    compiled = CompiledScores(net, np.dtype("float32"))
    block = compiled._program.scoring.block
    for count in (block - 1, block, block + 1, 40 * block + 3):
        x = RNG.normal(size=(count, 4)).astype(np.float32)
        samples = Samples.of(net, x, RNG.integers(0, 3, count))
        wide = samples.astype(np.float64)
        exact = scores(net, {name: v.astype(float) for name, v in params.items()}, wide)
        assert compiled(params, samples)["loss"] == pytest.approx(exact["loss"], rel=3e-7)
        assert compiled(params, samples)["accuracy"] == pytest.approx(exact["accuracy"], abs=1e-4)


def test_what_is_read_is_what_is_there_by_now_and_nothing_is_written():
    net = classifier()
    params, samples = net.init(seed=1), Samples.of(net, X, Y)
    compiled = CompiledScores(net, samples.dtype)
    for _ in range(2):
        agree(compiled(params, samples), scores(net, params, samples), samples.dtype)
        params["0.weight"] += 0.5
    turned = {name: np.asfortranarray(value) for name, value in params.items()}
    apart = Samples({name: np.repeat(v, 2, 1)[:, ::2] for name, v in samples.arrays.items()})
    for each in (*turned.values(), *apart.arrays.values(), *samples.arrays.values()):
        each.flags.writeable = False
    assert compiled(turned, apart) == compiled(params, samples)


def test_a_loss_that_is_no_number_is_told():
    net = classifier()
    params, samples = net.init(seed=1), Samples.of(net, X, Y)
    params["2.bias"][1] = np.inf
    assert not np.isfinite(CompiledScores(net, samples.dtype)(params, samples)["loss"])


MEETING = pb.Network(S(L(4, 5), pb.BatchNorm1d(5, track_running_stats=False), L(5, 3)),
                     pb.CrossEntropy())  # fmt: skip


def test_where_samples_meet_numpy_scores():
    start, samples = MEETING.init(seed=1), Samples.of(MEETING, X, Y)
    with pytest.raises(NotApplicableError, match="not made sample by sample"):
        CompiledScores(MEETING, samples.dtype)
    engine = CompiledEngine(MEETING, start, pb.optim.SGD(0.1))
    for _ in range(2):
        assert engine.scores(MEETING, samples) == scores(MEETING, start, samples)


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 20)])
def test_fit_validates_alike_on_both_engines(weight):
    net = pb.Network(S(L(4, 6), pb.BatchNorm1d(6), pb.ReLU(), pb.Dropout(0.2), L(6, 3)),
                     pb.CrossEntropy())  # fmt: skip
    held_out = X[:20], Y[:20], weight
    options = dict(epochs=3, seed=2, validation=held_out, early_stopping=9, progress=False)
    fast, slow = (pb.fit(net, X, Y, engine=engine, **options) for engine in ("compiled", "numpy"))
    for name in ("validation_loss", "validation_accuracy"):
        np.testing.assert_allclose(fast.history[name], slow.history[name], rtol=1e-12)
    assert fast.best_epoch == slow.best_epoch


ODD = {
    "NaN": (np.where(X > 1.5, np.nan, X), Y, DataError, "X .*NaN"),
    "no sample": (X[:0], Y[:0], DataError, "X is empty"),
    "another width": (X[:, :3], Y, ShapeError, "X has shape"),
    "a class too many": (X, Y + 1, DataError, "expected a class from 0 to 2"),
    "targets too few": (X, Y[1:], ShapeError, "Y has 44 rows"),
}


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_validation_data_are_named_before_training(odd):
    x, y, kind, text = ODD[odd]
    with pytest.raises(kind, match=text):
        pb.fit(classifier(), X, Y, validation=(x, y), progress=False)


def test_one_sample_of_another_precision_validates():
    net = classifier()
    single = X.astype(np.float32)
    result = pb.fit(net, single, Y, epochs=2, validation=(X[:1], Y[:1]), progress=False)
    expected = net.loss(result.params, single[:1], Y[:1])
    assert result.history["validation_loss"][-1] == pytest.approx(expected, rel=1e-6)
