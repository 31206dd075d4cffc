"""Data from files: what is read, what becomes classes, and errors that name the place."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pullback.data import Dataset, Scaling, load, split
from pullback.errors import ConfigError, DataError, PullbackError, UnknownNameError


def write(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_digits_are_pictures_between_0_and_1():
    data = load("digits")
    assert data.X.dtype == np.float32
    assert (data.X.min(), data.X.max()) == (0, 1)
    assert data.classes == tuple("0123456789")
    assert data.image_shape == (8, 8)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_a_header_and_text_classes(tmp_path, delimiter):
    rows = ["a,b,kind", "1,2,cat", "3,4,dog", "", "5,6,cat"]
    data = load(write(tmp_path, "pets.csv", "\n".join(rows).replace(",", delimiter)))
    assert data.features == ("a", "b")
    assert data.classes == ("cat", "dog")
    assert data.Y.tolist() == [0, 1, 0]
    assert data.X.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_csv_without_a_header_and_with_a_chosen_target(tmp_path):
    data = load(write(tmp_path, "plain.csv", "1.5,2,3\n2.5,5,6\n"), target="1")
    assert (data.features, data.target, data.classes) == (("2", "3"), "1", ())
    assert data.Y.tolist() == [1.5, 2.5]


def test_whole_numbers_that_come_twice_are_classes_and_others_are_values(tmp_path):
    classes = load(write(tmp_path, "a.csv", "x,y\n1,0\n2,3\n3,0\n4,3\n"))
    values = load(write(tmp_path, "b.csv", "x,y\n1,0\n2,1\n3,4\n4,9\n"))
    assert (classes.classes, classes.Y.tolist()) == (("0", "3"), [0, 1, 0, 1])
    assert (values.classes, values.Y.tolist()) == ((), [0, 1, 4, 9])


def test_parquet_reads_numbers_booleans_and_text(tmp_path):
    table = pa.table({"x": [1, 2, 3], "on": [True, False, True], "kind": ["u", "v", "u"]})
    pq.write_table(table, tmp_path / "t.parquet")
    data = load(str(tmp_path / "t.parquet"))
    assert data.X.tolist() == [[1, 1], [2, 0], [3, 1]]
    assert data.classes == ("u", "v")


def test_npz_holds_pictures_and_values(tmp_path):
    pictures = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(tmp_path / "p.npz", X=pictures, Y=np.array([0.5, 1.5]))
    data = load(str(tmp_path / "p.npz"))
    assert data.image_shape == (3, 4)
    assert np.allclose(data.X, pictures.reshape(2, 12) / 255)
    assert data.Y.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("x", "y"),
    [("X", "y"), ("x", "y"), ("data", "target"), ("x_train", "y_train"), ("X_train", "y_train")],
)
def test_npz_arrays_have_the_names_that_people_give_them(tmp_path, x, y):
    np.savez(
        tmp_path / "p.npz", **{x: np.eye(3), y: np.array([0.5, 1.5, 2.5]), "x_test": np.eye(2)}
    )
    data = load(str(tmp_path / "p.npz"))
    assert (data.X.shape, data.Y.tolist(), data.target) == ((3, 3), [0.5, 1.5, 2.5], y)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize(
    ("name", "arrays", "text"),
    [
        ("a.npz", {"xs": np.ones((2, 2)), "Y": np.ones(2)}, "has no array 'X'.*X and y, x and y"),
        ("b.npz", {"X": np.ones((2, 2))}, "has no array 'Y'"),
        ("c.npz", {"X": np.array([Bomb()], object), "Y": np.ones(1)}, "cannot be read"),
        ("d.npz", {"X": np.full((2, 2), np.nan), "Y": np.ones(2)}, r"X holds NaN, first at \[0, 0"),
        ("e.npz", {"X": np.ones((2, 2)), "Y": np.array([1.0, np.inf])}, "Y holds an infinity"),
        ("f.npz", {"X": np.ones((2, 2)), "Y": np.ones(3)}, "X has 2 samples, Y has 3"),
        ("g.npz", {"X": np.ones((0, 2)), "Y": np.ones(0)}, r"is empty: X has shape \(0, 2\)"),
        ("h.npz", {"X": np.ones(3), "Y": np.ones(3)}, r"expected \(samples, features\)"),
        ("i.npz", {"X": np.array([["a", "b"]]), "Y": np.ones(1)}, "X has dtype <U1"),
    ],
)
def test_npz_that_cannot_be_learnt_from(tmp_path, name, arrays, text):
    np.savez(tmp_path / name, **arrays)
    with pytest.raises((DataError, UnknownNameError), match=text):
        load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("file", "content", "target", "text"),
    [
        ("a.csv", "", None, "is empty"),
        ("a.csv", "a,b\n", None, "column names but no samples"),
        ("a.csv", "a,b\n1,2\n3\n", None, "line 3 has 1 columns; expected 2"),
        ("a.csv", "a,b\n1,2\n3,\n", None, "'b' has no finite value in line 3"),
        ("a.csv", "a,b\n1,2\n\n3,inf\n", None, "'b' has no finite value in line 4"),
        ("a.csv", "a,b\n1,2\n3,n/a\n", None, "'b' has no finite value in line 3: 'n/a'"),
        ("a.csv", "a,a\n1,2\n", None, "two columns called 'a'"),
        ("a.csv", "b\n1\n2\n", None, "no column beside its target"),
        ("a.csv", "a,k\n1,u\n2,u\n", None, "nothing to learn"),
        ("a.csv", "height,b\n1,2\n", "heigth", "did you mean 'height'"),
        ("a.cvs", "1,2\n", None, r"did you mean '\.csv'"),
        ("a.npz", "no archive", None, "is not an .npz archive"),
    ],
)
def test_files_that_cannot_be_learnt_from(tmp_path, file, content, target, text):
    with pytest.raises(PullbackError, match=text):
        load(write(tmp_path, file, content), target)


def test_names_and_missing_files_suggest_the_nearest(tmp_path):
    write(tmp_path, "flowers.csv", "1,2\n")
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        load("digit")
    with pytest.raises(DataError, match=r"no file .* did you mean 'flowers\.csv'"):
        load(str(tmp_path / "flower.csv"))


def test_split_keeps_the_classes_in_proportion_and_follows_the_seed():
    labels = np.repeat([0, 1], [80, 20])
    data = Dataset(
        "d", np.arange(100, dtype=np.float32)[:, None], labels, ("x",), classes=("a", "b")
    )
    train, test = split(data, 0.2, seed=3)
    assert (len(train), len(test), int(test.Y.sum())) == (80, 20, 4)
    assert not set(train.X[:, 0]) & set(test.X[:, 0])
    assert split(data, 0.2, seed=3)[1].X.tolist() == test.X.tolist()
    assert split(data, 0.2, seed=4)[1].X.tolist() != test.X.tolist()
    with pytest.raises(ConfigError, match="expected a share"):
        split(data, 1.5)


def test_targets_follow_the_loss():
    data = Dataset("d", np.ones((2, 1), np.float32), np.array([0, 1]), ("x",), classes=("-1", "4"))
    assert data.targets("classes", 2).tolist() == [0, 1]
    assert data.targets("signs", 1).tolist() == [[-1], [1]]
    assert data.targets("probabilities", 2).tolist() == [[1, 0], [0, 1]]
    assert data.targets("values", 1).tolist() == [-1, 4]
    with pytest.raises(DataError, match="has 2 classes, the network 3 outputs"):
        data.targets("probabilities", 3)


def test_scaling_leaves_constant_columns_alone():
    columns = np.array([[1.0, 7.0], [3.0, 7.0]], np.float32)
    scaled = Scaling.of(columns)(columns)
    assert scaled.tolist() == [[-1, 0], [1, 0]]
    assert scaled.dtype == np.float32
    tenth = np.full((10, 1), 0.1)  # its mean is not 0.1 in floating point
    assert Scaling.of(tenth)(tenth).tolist() == [[0]] * 10


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1.0, 1e150, 1e300, 4e307])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_scaling_knows_no_overflow(unit, offset):
    column = (np.array([[-1.0], [0.0], [1.0]]) + offset) * unit
    scaled = Scaling.of(column)(column)
    np.testing.assert_allclose(scaled[:, 0], np.array([-1, 0, 1]) * 1.5**0.5, atol=1e-9)


def test_scaling_keeps_digits():
    times = 1.7e9 + np.arange(400.0)[:, None] * 0.15
    scaled = Scaling.of(times)(times)
    assert len(np.unique(scaled.astype(np.float32))) == 400
    whole = Scaling.of(np.array([[1], [4]]))(np.array([[1], [4]]))
    assert whole.tolist() == [[-1], [1]]


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_what_is_no_file_is_refused_at_once(tmp_path, ending):
    (tmp_path / f"folder.{ending}").mkdir()
    os.mkfifo(tmp_path / f"pipe.{ending}")
    (tmp_path / f"zero.{ending}").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "zero"):
        with pytest.raises(DataError, match="is not a regular file"):
            load(str(tmp_path / f"{name}.{ending}"))
    for name in ("a\0", "\ud800", "a" * 5000, "nosuch/a"):
        with pytest.raises(DataError, match=r"there is no file|cannot be opened"):
            load(f"{name}.{ending}")


def test_options_that_do_not_fit_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.eye(2), Y=np.ones(2))
    for source in ("digits", str(tmp_path / "a.npz")):
        with pytest.raises(ConfigError, match="header goes with"):
            load(source, header=True)
        with pytest.raises(ConfigError, match="drop names columns"):
            load(source, drop=["x"])
