"""A .parquet file: its index is no feature, and a type that is no number is refused."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pullback.data import load
from pullback.errors import PullbackError

FRAME = pd.DataFrame({"x": [0.5, 1.5, 2.5, 3.5], "y": [0, 1, 1, 0]})
NOW = datetime.datetime(2020, 1, 31)


@pytest.fixture
def read(tmp_path):
    def of(columns, **options):
        path = tmp_path / "t.parquet"
        if isinstance(columns, pd.DataFrame):
            columns.to_parquet(path)
        else:
            pq.write_table(pa.table(columns), path)
        return load(str(path), **options)

    return of


@pytest.mark.parametrize(
    ("frame", "left_out"),
    [
        (FRAME, []),
        (FRAME.iloc[[2, 1, 3, 0]], ["__index_level_0__"]),
        (FRAME.set_index(pd.Index([4, 7, 5, 6], name="id")), ["id"]),
        (FRAME.set_index(pd.MultiIndex.from_product([[1, 2], [3, 4]], names=["a", None])),
         ["a", "__index_level_1__"]),
    ],
    ids=["range", "shuffled", "named", "two levels"],
)  # fmt: skip
def test_an_index_is_neither_feature_nor_target(read, frame, left_out):
    data = read(frame)
    assert (data.features, data.target, data.classes) == (("x",), "y", ("0", "1"))
    assert data.X[:, 0].tolist() == frame.x.tolist()
    for name in left_out:
        assert f"column {name!r} is left out: it is the index" in " ".join(data.notes)
        with pytest.raises(PullbackError, match="unknown target column"):
            read(frame, target=name)


def test_a_name_may_hold_dots_and_a_folder_an_equals_sign(tmp_path):
    (tmp_path / "year=2020").mkdir()
    path = tmp_path / "year=2020" / "t.parquet"
    pq.write_table(pa.table({"a.b": [1.0, 2.0], "a": [3.0, 4.0], "y": [1.5, 2.5]}), path)
    data = load(str(path))
    assert (data.features, data.X.tolist()) == (("a.b", "a"), [[1, 3], [2, 4]])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ([True, False], [1, 0]),
        (np.array([1, 2], np.float16), [1, 2]),
        (pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.5")]), [1.5, 2.5]),
        (pa.array([5, 7]).dictionary_encode(), [5, 7]),
        (pa.array([2**63, 7], pa.uint64()), [2.0**63, 7]),
        ([1e300, 2.0], [1e300, 2]),
    ],
)
def test_every_kind_of_number_is_a_number(read, column, values):
    assert read({"x": column, "y": [1.5, 2.5]}).X[:, 0].tolist() == values


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        (pa.array([2**63 + 1, 2**63 + 2] * 2, pa.uint64()), (str(2**63 + 1), str(2**63 + 2))),
        ([decimal.Decimal(2**60), decimal.Decimal(2**60 + 1)] * 2, (str(2**60), str(2**60 + 1))),
        (pa.array(["b", "a"] * 2).dictionary_encode(), ("a", "b")),
        (pa.array(["01", "1"] * 2, pa.large_string()), ("01", "1")),
    ],
)
def test_labels_never_merge(read, column, classes):
    assert read({"x": [0.1, 0.2, 0.3, 0.4], "y": column}).classes == classes


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ([[1, 2], [3, 4]], "'x' holds list<element: int64>; expected numbers or text"),
        ([{"a": 1}, {"a": 2}], "holds struct"),
        ([datetime.timedelta(1)] * 2, "holds duration"),
        ([b"a", b"b"], "holds binary"),
        ([float("-inf"), 1.0], "'x' has no finite value in row 1"),
    ],
)
def test_what_is_no_number_is_refused(read, column, text):
    columns = {"x": column, "z": [1.0, 2.0], "y": [1.5, 2.5]}
    with pytest.raises(PullbackError, match=text):
        read(columns)
    assert read(columns, drop=["x"]).features == ("z",)


@pytest.mark.parametrize(
    ("column", "features", "X", "note"),
    [
        ([NOW, NOW + datetime.timedelta(1)], ("x",), [18292, 18293], "1 date"),
        ([1, None], ("x",), [1, 1], "1 missing value"),
        ([1.5, float("nan")], ("x",), [1.5, 1.5], "1 missing value"),
        ([True, None], ("x",), [1, 1], "1 missing value"),
        (["a", "b"], ("x=a", "x=b"), [1, 0], "1 category"),
        (["a", None], ("x=missing", "x=a"), [0, 1], "1 missing in categories"),
        (pa.nulls(2), (), [], "x (empty)"),
        ([2**60, 2**60 + 1], (), [], "x (an id of 64 bits)"),
    ],
)
def test_dates_texts_and_gaps_are_features(read, column, features, X, note):
    data = read({"x": column, "z": [1.0, 2.0], "y": [1.5, 2.5]})
    assert (data.features, data.X[:, 0].tolist()) == ((*features, "z"), X or [1.0, 2.0])
    assert note in data.notes[0]


def test_damaged_files_are_refused(tmp_path, read):
    read({"x": [1.0, 2.0], "y": [1.5, 2.5]})
    path = tmp_path / "t.parquet"
    whole = path.read_bytes()
    for cut in (0, 3, 8, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(PullbackError, match=r"damaged, or not a \.parquet file"):
            load(str(path))
    with pytest.raises(PullbackError, match="is empty"):
        read({"x": [], "y": []})
    with pytest.raises(PullbackError, match="two columns called 'x'"):
        read(pa.table([[1.0], [2.0], [3.0]], names=["x", "x", "y"]))


def test_a_long_text_that_comes_again_and_again_is_held_once(read):
    """A file of a megabyte, whose texts would take 20 GB if each row had its own."""
    labels = pa.DictionaryArray.from_arrays(
        pa.array([0, 1] * 10_000, pa.int32()), pa.array(["a" * 10**6, "b"])
    )
    data = read({"x": np.arange(2e4), "y": labels})
    assert (len(data.classes[0]), data.classes[1]) == (10**6, "b")


def test_rows_without_end_are_refused_before_they_are_read(read, monkeypatch):
    monkeypatch.setattr("pullback.foreign.memory.available_memory", lambda: 1000)
    with pytest.raises(PullbackError, match=r"100 rows and 2 columns needs .* of memory"):
        read({"x": np.zeros(100), "y": np.arange(100.0)})
