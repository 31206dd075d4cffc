"""A slice as a view is the slice; what is no plain slice is left alone or refused."""

import ast
import gc

import numpy as np
import pytest

from pullback.machine.object.arrays import array_at
from pullback.machine.object.compile import compile_object, load, uncollected
from pullback.machine.object.views import views, with_views

numba = pytest.importorskip("numba")

SOURCE = """
def run(x_at, out_at, n, a, b):
    x, out = carray(x_at, (n, 6)), carray(out_at, (6, n))
    rows, both, turned = x[a:b], x[:n, a:b], x[:, 1:4].T
    for i in range(rows.shape[0]):
        out[0, i] = rows[i, 5]
    for i in range(both.shape[0]):
        out[1, i] = both[i, b - a - 1]
    for i in range(turned.shape[1]):
        out[2, i] = turned[2, i]
        out[3, i] = x[a:b].T[1, 0]
    line = x[2]
    part = line[a:b]
    out[4, :] = part[0]
    return rows.size + 100 * both.size + 10000 * turned.size
"""


def made(syntax):
    names = views() | {"carray": array_at()}
    exec(compile(syntax, "<views>", "exec"), names)  # noqa: S102  the text above
    kinds = ("float64*", "float64*", "int64", "int64", "int64")
    return load(compile_object(names["run"], kinds, "run"), "run", kinds)


def test_views_are_the_slices():
    plain, rewritten = made(ast.parse(SOURCE)), made(with_views(SOURCE))
    x = np.random.default_rng(0).normal(size=(5, 6))
    one, other = np.zeros((6, 5)), np.zeros((6, 5))
    sizes = plain(x, one, 5, 1, 3), rewritten(x, other, 5, 1, 3)
    np.testing.assert_array_equal(one, other)
    assert sizes[0] == sizes[1] == 12 + 100 * 10 + 10000 * 15
    assert np.count_nonzero(one[:5]) > 20


@pytest.mark.parametrize("text", ["x[i]", "x[i, j]", "x[:, 0]", "x.size", "x.shape[0]"])
def test_what_is_no_slice_is_left_alone(text):
    assert ast.unparse(with_views(text)) == text


def test_a_slice_that_is_written_to_is_left_alone():
    assert ast.unparse(with_views("x[a:b] = 0.0")) == "x[a:b] = 0.0"


@pytest.mark.parametrize("text", ["x[::2]", "x[a:]", "x[a:b:c]"])
def test_a_slice_without_an_end_or_with_a_step_is_refused(text):
    with pytest.raises(ValueError, match="no slice from here to there"):
        with_views(text)


@pytest.mark.parametrize("before", [True, False])
def test_collection_of_garbage_goes_on_as_before(before):
    was = gc.isenabled()
    (gc.enable if before else gc.disable)()
    try:
        with uncollected():
            assert not gc.isenabled()
        with pytest.raises(KeyError), uncollected():
            raise KeyError
        assert gc.isenabled() == before
    finally:
        (gc.enable if was else gc.disable)()
