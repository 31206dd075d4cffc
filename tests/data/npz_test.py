"""An .npz is looked at before it is inflated: sizes, types, names; nothing in it is unpickled."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from pullback.data import load
from pullback.errors import PullbackError

X, Y = np.arange(8.0).reshape(4, 2) * 1.5, np.array([0, 1, 1, 0])


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape, descr="<f8", after=b"", **options):
    file = io.BytesIO()
    given = {"shape": shape, "descr": descr, "fortran_order": False, **options}
    np.lib.format.write_array_header_1_0(file, given)
    return file.getvalue() + after


def text(words, version=b"\1\0"):
    return b"\x93NUMPY" + version + len(words).to_bytes(2, "little") + words


@pytest.fixture
def read(tmp_path):
    def of(members):
        with zipfile.ZipFile(tmp_path / "t.npz", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content if isinstance(content, bytes) else npy(content))
        return load(str(tmp_path / "t.npz"))

    return of


@pytest.mark.parametrize(
    "x",
    [
        np.asfortranarray(X),
        X.astype(">f8"),
        X.astype(np.longdouble),
        X.astype(np.float16),
        (X * 2).astype(">i2") / 2,
        X[::-1][::-1],
    ],
)
def test_every_layout_is_the_same_array(read, x):
    data = read([("X.npy", x), ("Y.npy", Y.astype(">i4")[:, None])])
    assert data.X.tolist() == X.tolist()
    assert (data.classes, data.Y.tolist()) == (("0", "1"), Y.tolist())
    assert data.X.dtype.isnative
    target = "target: Y, 2 whole numbers: classification (--task regression for values)"
    assert data.notes == (f"2 features; {target}",)


def test_digits_are_kept(read):
    times = 1.7e9 + np.arange(400)[:, None] * 0.15
    assert len(np.unique(read([("X.npy", times), ("Y.npy", times[:, 0])]).Y)) == 400
    labels = np.array([2**63, 2**63 + 1] * 2, np.uint64)
    assert read([("X.npy", X), ("Y.npy", labels)]).classes == (str(2**63), str(2**63 + 1))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (header((2**20, 2**21)), "takes 17,592,186,044,416 bytes, and 0 follow"),
        (header((10**30, 2)), "and 0 follow"),
        (header((4, 2), after=bytes(80)), "takes 64 bytes, and 80 follow"),
        (header((-1, 2), after=bytes(80)), r"its shape is \(-1, 2\)"),
        (header((10**18,), "<U0"), "expected plain numbers or text"),
        (header((2,), "<U1", b"\xff\xff\xff\x7f" * 2), "not Unicode"),
        (header((2,), "<U1", b"\x00\xd8\0\0" * 2), "not Unicode"),
        (header((2,), "|O", bytes(16)), "which are not unpickled"),
        (np.zeros(4, [("a", "f8"), ("b", "f8")]), "expected plain numbers or text"),
        (X * 1j, "X has dtype complex128"),
        (X.astype("M8[s]"), "X has dtype datetime64"),
        (np.array(3.0), r"X has shape \(\)"),
        (X.astype(np.longdouble) * np.longdouble("1e4000"), "an infinity, first at"),
        (np.array([[2**60], [2**60 + 1]] * 2), "float64 cannot tell apart"),
        (b"hello", "damaged, or not an array"),
        (b"", "damaged, or not an array"),
        (text(b"{'descr':'<f8','fortran_order':False,'shape':(2.5,3)}"), "shape is not valid"),
        (text(b"__import__('os').abort()"), "damaged, or not an array"),
        (text(b"(" * 9000), "damaged, or not an array"),
        (text(b"(" * 9000, b"\2\0"), "its header has"),
        (text(b"{}", b"\x09\0"), r"version \(9, 0\)"),
    ],
)
def test_an_array_that_is_not_what_it_says_is_refused(read, x, said):
    with pytest.raises(PullbackError, match=said):
        read([("X.npy", x), ("Y.npy", Y)])


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.array(3), r"Y is int64 \(\)"),
        (np.array([b"a"] * 4), r"Y is \|S1"),
        (np.array([list("abab")]), "expected numbers or text"),
        (np.zeros((4, 0)), "is empty: Y has shape"),
        (np.zeros((4, 2, 2)), "expected numbers or text"),
    ],
)
def test_targets_that_are_none_are_refused(read, y, said):
    with pytest.raises(PullbackError, match=said):
        read([("X.npy", X), ("Y.npy", y)])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damaged_archives_are_refused(read, tmp_path):
    for members, said in [
        ([("X.npy", X), ("X.npy", X * 2), ("Y.npy", Y)], "two arrays called 'X'"),
        ([("X.npy", X), ("X", X * 2), ("Y.npy", Y)], "two arrays called 'X'"),
        ([], "has no array 'X'"),
    ]:
        with pytest.raises(PullbackError, match=said):
            read(members)
    read([("X.npy", X), ("Y.npy", Y)])
    path = tmp_path / "t.npz"
    whole = bytearray(path.read_bytes())
    for at in range(40, 200, 5):
        spoilt = whole.copy()
        spoilt[at] ^= 0xFF
        path.write_bytes(spoilt)
        try:
            assert load(str(path)).X.tolist() == X.tolist()  # what is not looked at was spoilt
        except PullbackError as fault:
            assert "t.npz" in str(fault)  # noqa: PT017  both are right


def test_arrays_larger_than_memory_are_refused_before_they_are_inflated(read, monkeypatch):
    monkeypatch.setattr("pullback.foreign.memory.available_memory", lambda: 10**6)
    with pytest.raises(PullbackError, match=r"X of shape \(1000, 1000\) needs .* GiB of memory"):
        read([("X.npy", np.zeros((1000, 1000))), ("Y.npy", np.arange(1000.0))])
