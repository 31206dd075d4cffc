"""Data in parts gives the training that the same data in memory gives."""

import mmap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError, ShapeError, UnknownNameError
from pullback.train import stream

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 100)
NET = pb.Network(pb.Sequential(pb.Linear(5, 7), pb.Tanh(), pb.Linear(7, 3)), loss=pb.CrossEntropy())
START = NET.init(seed=3)


def fit(x=X, y=Y, **options):
    given = {"epochs": 3, "batch_size": 8, "progress": False, "optimizer": pb.optim.Adam(0.01)}
    given["engine"] = "numpy"  # "auto" looks at the number of samples, which a stream does not tell
    return pb.fit(NET, x, y, START, **(given | options))


def same(one, other):
    for name, value in one.params.items():
        assert np.array_equal(other.params[name], value), name
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(one.history[name], other.history[name], rtol=1e-12)


@pytest.fixture
def mapped(tmp_path):
    X.tofile(tmp_path / "x")
    return np.memmap(tmp_path / "x", np.float32, "r", shape=X.shape)


@pytest.fixture
def parquet(tmp_path):
    names = [f"x{i}" for i in range(5)]
    for number, rows in enumerate([slice(0, 13), slice(13, 60), slice(60, 100)]):
        table = pa.table({**dict(zip(names, X[rows].T, strict=True)), "label": Y[rows]})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=10)
    return pads.dataset(sorted(map(str, tmp_path.glob("*.parquet"))))


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 24 rows: three batches of eight."""
    monkeypatch.setattr(stream, "PART", 24 * X[:1].nbytes)


def batches():
    for at in range(0, 100, 8):
        yield X[at : at + 8], Y[at : at + 8]


def in_every_way(mapped, parquet):
    return [(mapped, Y), (parquet, "label"), (batches, None), (list(batches()), None)]


def test_in_order_every_source_trains_as_the_array_does(mapped, parquet, small_parts):
    expected = fit(shuffle=False)
    for x, y in in_every_way(mapped, parquet):
        same(expected, fit(x, y, shuffle=False))


def test_a_file_that_is_one_part_is_mixed_as_the_array_is(mapped):
    same(fit(seed=5), fit(mapped, Y, seed=5))


def test_mixed_parts_hold_every_sample_once(mapped, parquet, small_parts):
    orders = []
    for source in (stream.Mapped(NET, mapped, Y, 8), stream.Parquet(NET, parquet, "label", 8)):
        for seed in (0, 0, 1):
            parts = list(source.parts(np.random.default_rng(seed)))
            assert [len(part) % 8 for part in parts].count(0) >= len(parts) - 1
            rows = np.concatenate([part.arrays["x"] for part in parts])
            labels = np.concatenate([part.target for part in parts]).argmax(axis=1)
            orders.append([int(np.flatnonzero((row == X).all(axis=1))[0]) for row in rows])
            assert sorted(orders[-1]) == list(range(100))
            assert np.array_equal(labels, Y[orders[-1]])
        assert orders[-3] == orders[-2] != orders[-1]


def test_parts_are_whole_batches_and_stay_small():
    assert stream.rows_of_a_part(row=4096, batch_size=256) * 4096 <= stream.PART
    assert stream.rows_of_a_part(row=4096, batch_size=256) % 256 == 0
    assert stream.rows_of_a_part(row=10 * stream.PART, batch_size=3) == 3


def test_equal_seeds_give_equal_bits(mapped, parquet, small_parts):
    for x, y in in_every_way(mapped, parquet):
        same(fit(x, y, seed=1), fit(x, y, seed=1))


def test_an_interrupted_training_goes_on_bit_for_bit(mapped, tmp_path, small_parts):
    whole = fit(mapped, epochs=5)
    path = tmp_path / "net.safetensors"
    fit(mapped, epochs=2, checkpoint=path)
    same(whole, fit(mapped, epochs=5, checkpoint=path, resume=True))


def test_values_of_several_columns_are_targets(tmp_path):
    net = pb.Network(pb.Linear(5, 2), loss=pb.SquaredError())
    target = X @ RNG.normal(size=(5, 2)).astype(np.float32)
    columns = [f"x{i}" for i in range(5)] + ["a", "b"]
    table = pa.table(dict(zip(columns, np.hstack([X, target]).T, strict=True)))
    pq.write_table(table, tmp_path / "values.parquet")
    options = {"shuffle": False, "progress": False, "epochs": 2}
    read = pb.fit(net, pads.dataset(tmp_path / "values.parquet"), ["a", "b"], **options)
    given = pb.fit(net, X, target, net.init(0), **options)
    for name, value in given.params.items():
        assert np.array_equal(read.params[name], value)


def test_an_iterator_serves_one_epoch():
    same(fit(shuffle=False, epochs=1), fit(batches(), None, epochs=1))
    with pytest.raises(ConfigError, match="an iterator, which comes once"):
        fit(batches(), None, epochs=2)


def test_each_batch_is_a_step_whatever_its_size():
    def uneven():
        for size in (1, 60, 9):
            yield X[:size], Y[:size]

    rates = []
    fit(uneven, None, epochs=2, optimizer=pb.optim.SGD(lambda step: rates.append(step) or 0.1))
    assert rates == [1, 2, 3, 4, 5, 6]


def test_the_pages_of_a_file_are_given_back_but_never_what_was_changed(tmp_path):
    X.tofile(tmp_path / "x")
    private = np.memmap(tmp_path / "x", np.float32, "c", shape=X.shape)
    private[3] = 7
    shared = np.memmap(tmp_path / "x", np.float32, "r+", shape=X.shape)
    shared[5] = 9
    for each in (private, private[2:], shared, shared[2:]):
        stream.release(each)
    assert (private[3] == 7).all()
    assert (np.asarray(shared)[5] == 9).all()


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="needs madvise")
def test_reading_a_file_leaves_none_of_it_resident(tmp_path):
    wide = np.zeros((200, 4096), np.float32)
    wide.tofile(tmp_path / "wide")
    mapped = np.memmap(tmp_path / "wide", np.float32, "r", shape=wide.shape)
    net = pb.Network(pb.Linear(4096, 2), loss=pb.CrossEntropy())
    assert mapped.sum() == 0
    assert resident(tmp_path / "wide") > 3000  # KiB; the sum has read it all
    pb.fit(net, mapped, np.arange(200) % 2, epochs=1, progress=False)
    assert resident(tmp_path / "wide") == 0


def resident(path):
    """How much of a mapped file is in this process's memory, in KiB."""
    try:
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:
        pytest.skip("needs /proc")
    at = next(i for i, line in enumerate(lines) if line.endswith(str(path)))
    return next(int(line.split()[1]) for line in lines[at:] if line.startswith("Rss"))


def bad_map(tmp_path, value, shape=X.shape, dtype=np.float32):
    data = np.resize(X, shape).astype(dtype)
    if value is not None:
        data[50, 2] = value
    data.tofile(tmp_path / "bad")
    return np.memmap(tmp_path / "bad", dtype, "r", shape=shape)


@pytest.mark.parametrize(
    ("value", "shape", "dtype", "y", "error", "said"),
    [
        (np.nan, X.shape, np.float32, Y, DataError, "rows 48 to 71: X holds NaN, first at [2, 2]"),
        (None, (100, 4), np.float32, Y, ShapeError, "features=5"),
        (None, X.shape, np.int32, Y, DTypeError, "X has dtype int32"),
        (None, X.shape, np.float32, Y[:-1], ShapeError, "Y has 99 rows; X has 100"),
        (None, X.shape, np.float32, Y + 1, DataError, "expected a class from 0 to 2"),
        (None, X.shape, np.float32, None, ShapeError, "Y has no rows"),
    ],
)
def test_a_mapped_file_is_looked_through_before_work(
    tmp_path, small_parts, value, shape, dtype, y, error, said
):
    seen = []
    with pytest.raises(error) as fault:
        fit(bad_map(tmp_path, value, shape, dtype), y, callback=lambda *args: seen.append(args))
    assert said in str(fault.value)
    assert not seen


def test_batches_are_looked_at_when_they_come():
    def spoilt():
        yield X[:8], Y[:8]
        yield X[:8] * np.nan, Y[:8]

    with pytest.raises(DataError, match="batch 2: X holds NaN"):
        fit(spoilt, None)
    for wrong, said in [
        ([], "not one batch came"),
        ([X], "batch 1 is a ndarray; expected a pair"),
        (lambda: 3, "X\\(\\) gives 3"),
    ]:
        with pytest.raises((ConfigError, DataError), match=said):
            fit(wrong, None)


def test_what_a_data_set_lacks_is_named(parquet, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'label'"):
        fit(parquet, "lable")
    with pytest.raises(ConfigError, match="name of the target's column"):
        fit(parquet, None)
    pq.write_table(
        pa.table({**{f"x{i}": X[:, i] for i in range(4)}, "x4": ["a"] * 100, "label": Y}),
        tmp_path / "text.parquet",
    )
    with pytest.raises(DataError, match="column 'x4' holds string"):
        fit(pads.dataset(tmp_path / "text.parquet"), "label")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": pb.optim.LBFGS()}, "needs all samples in memory"),
        ({"class_weight": "balanced"}, "need all samples in memory"),
        ({"batch_size": 101}, "there are 100 samples"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_options_that_need_all_the_data_are_refused(mapped, options, said):
    with pytest.raises(ConfigError, match=said):
        fit(mapped, **options)


def test_a_data_set_is_read_as_a_table_is(tmp_path):
    """Its index is no feature; what is no number, or lost in float32, is refused before a step."""
    columns = {f"x{i}": X[:, i] for i in range(5)}
    index = pa.table({**columns, "label": Y, "__index_level_0__": np.arange(100)[::-1]})
    pq.write_table(index, tmp_path / "index.parquet")
    options = {"shuffle": False, "epochs": 1}
    same(fit(**options), fit(pads.dataset(tmp_path / "index.parquet"), "label", **options))
    with pytest.raises(ConfigError, match="the index of a pandas table"):
        fit(pads.dataset(tmp_path / "index.parquet"), "__index_level_0__")
    for column, said in [
        ([[1.0]] * 100, "holds list<element: double>; expected numbers"),
        (pa.nulls(100), "holds no value at all"),
        ([None, *range(99)], "'x4' has no finite value in row 1"),
        (np.full(100, 1e300), "1e.300, which is too large for float32"),
        (1.7e9 + np.arange(100) / 2, "100 different values, and . of them in float32"),
        (pa.array([0] * 100, pa.timestamp("s")), r"holds timestamp\[ms\]; expected numbers"),
    ]:
        pq.write_table(pa.table({**columns, "x4": column, "label": Y}), tmp_path / "one.parquet")
        steps = []
        rate = pb.optim.SGD(lambda step, steps=steps: steps.append(step) or 0.1)
        with pytest.raises(DataError, match=said):
            fit(pads.dataset(tmp_path / "one.parquet"), "label", optimizer=rate)
        assert not steps
    whole = (tmp_path / "index.parquet").read_bytes()
    (tmp_path / "one.parquet").write_bytes(whole[:4] + bytes(200) + whole[204:])
    with pytest.raises(DataError, match=r"one\.parquet is damaged"):
        fit(pads.dataset(tmp_path / "one.parquet"), "label")
