"""A training goes on with the bits of one that was never stopped, or it is refused by name."""

import errno
import os

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

import pullback as pb
from pullback.errors import ConfigError, DataError, PullbackError, StorageError
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import NumpyEngine

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(2400, 3)).astype(np.float32), RNG.integers(0, 2, 2400)
OTHER_X, OTHER_Y = X.copy(), Y.copy()
OTHER_X[1201, 1] += 1  # one number, between those that 0.1 looked at
OTHER_Y[1201] = 1 - Y[1201]
NET = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)), pb.CrossEntropy())
SGD = pb.optim.SGD


def fit(x, y, path=None, net=NET, **options):
    given = {"epochs": 2, "batch_size": 400, "progress": False, "engine": "numpy"} | options
    return pb.fit(net, x, y, checkpoint=path, **given)


def check_goes_on(first, second, path, **options):
    """Two epochs of the one, a third of the other, as three of the other."""
    fit(*first(), path, **options)
    found = fit(*second(), path, resume=True, **options, epochs=3)
    expected = fit(*second(), **options, epochs=3)
    for name, value in expected.params.items():
        assert np.array_equal(found.params[name], value), name


def check_refused(first, second, path, told, **options):
    fit(*first(), path, **options)
    content = path.read_bytes()
    with pytest.raises(ConfigError, match=told):
        fit(*second(), path, resume=True, **options, epochs=3)
    assert path.read_bytes() == content


@pytest.fixture
def sources(tmp_path):
    """How data come to a training: functions of a folder's name, inputs and labels."""

    def mapped(name, x, y):
        x.tofile(tmp_path / name)
        return lambda: (np.memmap(tmp_path / name, np.float32, "r", shape=x.shape), y)

    def table(x, y):
        return pa.table({**{f"x{i}": column for i, column in enumerate(x.T)}, "y": y})

    def parquet(name, x, y):
        (tmp_path / name).mkdir()
        for at in (0, 1):
            half = table(x[at::2], y[at::2])
            pq.write_table(half, tmp_path / name / f"{at}.parquet")
        return lambda: (pads.dataset(tmp_path / name), "y")

    def batches(name, x, y):
        pairs = [(x[at : at + 400], y[at : at + 400]) for at in range(0, len(x), 400)]
        return lambda: ((lambda: iter(pairs)), None)

    return {
        "arrays": lambda name, x, y: lambda: (x, y),
        "mapped": mapped,
        "parquet": parquet,
        "table": lambda name, x, y: lambda: (pads.dataset(table(x, y)), "y"),
        "batches": batches,
    }


@pytest.mark.parametrize("kind", ["arrays", "mapped", "parquet", "table", "batches"])
def test_one_other_number_anywhere_is_other_data(sources, tmp_path, kind):
    path, make = tmp_path / "net.safetensors", sources[kind]
    first = make("first", X, Y)
    check_goes_on(first, make("same", X, Y), path)
    check_refused(first, make("x", OTHER_X, Y), path, "its data is ")
    check_refused(first, make("y", X, OTHER_Y), path, "its data is ")
    check_refused(first, make("order", X[::-1].copy(), Y[::-1]), path, "its data is ")


def test_parquet_files_that_are_cut_elsewhere_mix_otherwise(sources, tmp_path):
    for name, rows in (("one", [2400]), ("two", [1000, 2400])):
        (tmp_path / name).mkdir()
        for at, stop in enumerate(rows):
            start = ([0, *rows])[at]
            part = slice(start, stop)
            columns = {f"x{i}": X[part, i] for i in range(3)} | {"y": Y[part]}
            pq.write_table(pa.table(columns), tmp_path / name / f"{at}.parquet")
    one, two = (lambda name=name: (pads.dataset(tmp_path / name), "y") for name in ("one", "two"))
    check_refused(one, two, tmp_path / "net.safetensors", "its data is 2400 rows")


def changing():
    """Batches that are others at each call, the same in every process."""
    rng = np.random.default_rng(0)
    orders = lambda: np.array_split(rng.permutation(2400), 6)  # noqa: E731
    return (lambda: ((X[rows], Y[rows]) for rows in orders())), None


def test_batches_that_change_from_epoch_to_epoch_cannot_be_resumed(tmp_path):
    path = tmp_path / "net.safetensors"
    check_refused(changing, changing, path, "batches that are others in each epoch")
    fit(*changing(), path, epochs=1)  # whether they change cannot be known yet
    found = fit(*changing(), path, resume=True, epochs=3)
    expected = fit(*changing(), epochs=3)
    assert np.array_equal(found.params["0.weight"], expected.params["0.weight"])


def test_an_iterator_that_was_trained_on_is_known_again(tmp_path):
    path = tmp_path / "net.safetensors"
    once = lambda x=X: (iter([(x, Y)]), None)  # noqa: E731
    trained = fit(*once(), path, epochs=1)
    again = fit(*once(), path, epochs=1, resume=True)
    assert np.array_equal(again.params["0.weight"], trained.params["0.weight"])
    with pytest.raises(ConfigError, match="its data is batches"):
        fit(*once(OTHER_X), path, epochs=1, resume=True)


def test_a_filtered_data_set_is_an_error_of_ours():
    dataset = pads.dataset(pa.table({"x": X[:, 0], "y": Y})).filter(pads.field("x") > 0)
    with pytest.raises(ConfigError, match="cannot be read in parts"):
        pb.fit(pb.Network(pb.Linear(1, 2), pb.CrossEntropy()), dataset, "y", progress=False)


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (lambda step: 0.1 / step, lambda step: 0.1 / step, None),
        (lambda step: 0.1, lambda step: 0.1 if step <= 12 else 0.01, None),
        (lambda step: 0.1, lambda step: 0.2, "other learning rates"),
        (lambda step: 0.1, lambda step: 0.1 if step != 7 else 0.01, "other learning rates"),
        (lambda step: 0.1, 0.1, "its optimizer is"),
        (pb.optim.Cosine(0.1, steps=18), pb.optim.Cosine(0.1, steps=12), "its optimizer is"),
    ],
)
def test_a_schedule_is_known_by_the_rates_that_it_has_given(tmp_path, then, now, told):
    path = tmp_path / "net.safetensors"
    fit(X, Y, path, optimizer=SGD(then))
    if told is not None:
        with pytest.raises(ConfigError, match=told):
            fit(X, Y, path, optimizer=SGD(now), resume=True, epochs=3)
        return
    found = fit(X, Y, path, optimizer=SGD(now), resume=True, epochs=3)
    expected = fit(X, Y, optimizer=SGD(now), epochs=3)
    assert np.array_equal(found.params["0.weight"], expected.params["0.weight"])


def test_a_penalty_and_a_formula_are_known_though_their_repr_is_the_same(tmp_path):
    path, model = tmp_path / "net.safetensors", NET.model

    class Mine(pb.Tanh):
        pass

    class Other(pb.Sin):
        pass

    Mine.__qualname__ = Other.__qualname__ = Other.__name__ = "Mine"
    mine, other = (
        pb.Network(pb.Sequential(pb.Linear(3, 2), kind()), pb.CrossEntropy())
        for kind in (Mine, Other)
    )
    penalty = [pb.Network(model, pb.CrossEntropy(), l2=l2) for l2 in (0.1, 0.1 + 1e-9)]
    for then, now, told in ((*penalty, "its l2 is 0.1, and here it is 0.100000001"),
                            (mine, other, "its formula is")):  # fmt: skip
        fit(X, Y, path, net=then)
        with pytest.raises(ConfigError, match=told):
            fit(X, Y, path, net=now, resume=True)


WIDE = pb.Network(pb.Sequential(pb.Linear(3, 600), pb.ReLU(), pb.Linear(600, 2)), pb.CrossEntropy())


def test_another_number_of_threads_is_refused_where_it_changes_the_bits(tmp_path):
    path, wide = tmp_path / "net.safetensors", {"net": WIDE, "engine": "numpy"}
    with threadpool_limits(2):
        fit(X, Y, path, **wide)
    refused = pytest.raises(ConfigError, match="its threads is 2, and here it is 1")
    with threadpool_limits(1), refused:
        fit(X, Y, path, **wide, resume=True)
    assert CompiledEngine.threads(WIDE, 2400) == CompiledEngine.threads(NET, None) == 1
    assert NumpyEngine.threads(NET, None) >= 1


@pytest.mark.parametrize("optimizer", [SGD(0.1), pb.optim.LBFGS()])
@pytest.mark.parametrize("every", [1, 2, 100])
def test_a_write_that_fails_keeps_what_was_learnt(tmp_path, monkeypatch, optimizer, every):
    path, epochs = tmp_path / "net.safetensors", min(every, 4)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device; .*free some space") as caught:
        fit(X, Y, pb.Checkpoints(path, every=every), optimizer=optimizer, epochs=4)
    monkeypatch.undo()
    expected = fit(X, Y, optimizer=optimizer, epochs=epochs)
    assert caught.value.result.history["loss"] == expected.history["loss"]
    for name, value in expected.params.items():
        assert np.array_equal(caught.value.params[name], value), name
    assert list(tmp_path.iterdir()) == []


def test_while_one_trains_no_other_training_touches_its_path(tmp_path):
    path, told = tmp_path / "net.safetensors", []

    def another(*_):
        half = path.with_name(".net.safetensors.abc.part")
        half.write_bytes(b"another process writes this")
        for options in ({}, {"resume": True}):
            with pytest.raises(StorageError, match=f"is in use by process {os.getpid()} on"):
                fit(OTHER_X, Y, path, **options)
        told.append(half.read_bytes())

    fit(X, Y, path, callback=another)
    assert told == [b"another process writes this"] * 2


@pytest.mark.parametrize("name", ["net.1.safetensors", "net.2.safetensors"])
def test_what_is_no_file_is_not_pushed_aside_by_older_ones(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(StorageError, match="where an older checkpoint goes"):
        fit(X, Y, tmp_path / "net.safetensors")
    fit(X, Y, pb.Checkpoints(tmp_path / "net.safetensors", keep=1))
    assert (tmp_path / name).is_symlink()


def test_a_checkpoint_of_version_0_1_says_how_to_start_from_it(tmp_path):
    path = tmp_path / "net.safetensors"
    facts = {"steps": 6, "history": {"loss": [1.0]}, "random": None, "origin": {"data": "x"}}
    pb.train.checkpoint.save(path, NET.init(0), **facts)
    with pytest.raises(ConfigError, match="another version of pullback; start from its parameters"):
        fit(X, Y, path, resume=True)
    with pytest.raises(PullbackError):
        fit(X, Y, path, resume=True, engine="auto")


def test_a_forged_number_of_steps_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    fit(X, Y, path)
    arrays, facts = pb.train.checkpoint.load(path)
    for steps in (-12, 0, 11, 13, 2**62, 10**30, 12.0, True, None, "12", [12]):
        pb.train.checkpoint.save(path, arrays, **{**facts, "steps": steps})
        with pytest.raises(DataError, match="is damaged: it counts "):
            fit(X, Y, path, resume=True)
