"""The product in compiled code is NumPy's, for every way in which a matrix may lie."""

import ctypes
from itertools import product

import numpy as np
import pytest

from pullback.machine.blas import matmul
from pullback.machine.blas.matmul_code import DTYPES, symbol
from pullback.machine.object.cache import Entry, cache_key, default_cache

M, N, K = 5, 4, 3
LAYOUTS = {
    "rows": lambda x: x.copy("C"),
    "columns": lambda x: x.copy("F"),
    "some columns of rows": lambda x: in_larger(x, "C")[2 : 2 + len(x), 1 : 1 + x.shape[1]],
    "some rows of columns": lambda x: in_larger(x, "F")[2 : 2 + len(x), 1 : 1 + x.shape[1]],
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "rows from the last": lambda x: x[::-1].copy()[::-1],
}


def in_larger(x, order):
    held = np.full((len(x) + 5, x.shape[1] + 7), np.nan, x.dtype, order)
    held[2 : 2 + len(x), 1 : 1 + x.shape[1]] = x
    return held


def general(alpha, a, b, beta, out):
    """out ← alpha · a b + beta · out by the compiled product."""
    dtype = out.dtype.name
    real = ctypes.c_float if dtype == "float32" else ctypes.c_double
    place, whole = ctypes.c_void_p, ctypes.c_int64
    matrix = [place, whole, whole]
    kinds = [whole] * 3 + [real, *matrix, *matrix, real, *matrix]
    (address,) = matmul.addresses([symbol(dtype)]).values()

    def given(array):
        return [array.ctypes.data, *(step // array.itemsize for step in array.strides)]

    a, b, out = a.reshape(1, -1) if a.ndim == 1 else a, as_column(b), as_column(out, a.ndim == 1)
    sizes = len(a), b.shape[1], a.shape[1]
    call = ctypes.CFUNCTYPE(None, *kinds)(address)
    call(*sizes, alpha, *given(a), *given(b), beta, *given(out))


def as_column(array, upright=False):
    if array.ndim > 1:
        return array
    return array[None, :] if upright else array[:, None]


def plain(a, b, out):
    general(1.0, a, b, 0.0, out)


@pytest.fixture
def compiled():
    return general, plain


def numbers(*shapes, dtype="float64"):
    rng = np.random.default_rng(7)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize(("right", "result"), [*product(LAYOUTS, ("rows", "some rows of columns"))])
def test_product_of_any_layout(compiled, left, right, result):
    a, b, c = numbers((M, K), (K, N), (M, N))
    out = LAYOUTS[result](c)
    compiled[0](2.0, LAYOUTS[left](a), LAYOUTS[right](b), -0.5, out)
    np.testing.assert_allclose(out, 2 * a @ b - 0.5 * c, rtol=1e-13)


@pytest.mark.parametrize("result", LAYOUTS)
def test_result_of_any_layout(compiled, result):
    a, b, c = numbers((M, K), (K, N), (M, N))
    out = LAYOUTS[result](np.full_like(c, np.nan))
    around = out.base if out.base is not None else out
    compiled[1](a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-13)
    if around.size > out.size and "some" in result:
        assert np.isnan(around).sum() == around.size - out.size, "it wrote beside the result"


@pytest.mark.parametrize(
    "sizes", [(1, 4, 3), (5, 1, 3), (5, 4, 1), (1, 1, 7), (6, 1, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_axes_of_length_one(compiled, sizes, layout):
    m, n, k = sizes
    a, b, c = numbers((m, k), (k, n), (m, n))
    out = LAYOUTS[layout](c)
    compiled[1](LAYOUTS[layout](a), LAYOUTS[layout](b), out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-13)


def test_sizes_of_zero(compiled):
    (c,) = numbers((M, N))
    out = c.copy()
    compiled[0](1.0, np.empty((M, 0)), np.empty((0, N)), 0.5, out)
    np.testing.assert_array_equal(out, 0.5 * c)
    compiled[1](np.empty((0, K)), np.empty((K, N)), np.empty((0, N)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1, 2, -1])
def test_vectors(compiled, dtype, step):
    a, x, y = numbers((M, K), K * 2, M * 2, dtype=dtype)
    x, y = x[::step][:K], y[::step][:M]
    rtol = 1e-5 if dtype == "float32" else 1e-13
    right, left = np.empty(M, dtype), np.empty(K, dtype)
    compiled[1](a, x, right)
    compiled[1](y, a, left)
    np.testing.assert_allclose(right, a @ x, rtol=rtol)
    np.testing.assert_allclose(left, y @ a, rtol=rtol)


def test_single_precision_stays_single(compiled):
    a, b = numbers((M, K), (K, N), dtype="float32")
    out = np.empty((M, N), "float32")
    compiled[1](a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-6)


def test_an_old_result_is_not_read_where_beta_is_zero(compiled):
    a, b = numbers((M, K), (K, N))
    for layout in LAYOUTS.values():
        out = layout(np.full((M, N), np.nan))
        compiled[0](1.0, a, b, 0.0, out)
        np.testing.assert_allclose(out, a @ b, rtol=1e-13)


def test_rows_that_overlap(compiled):
    """Strides shorter than a row: no leading dimension says that."""
    long, b = numbers(M + K - 1, (K, N))
    windows = np.lib.stride_tricks.sliding_window_view(long, K)
    alike = np.broadcast_to(long[:K], (M, K))
    for a in (windows, alike, windows.T[:, :K].T):
        out = np.empty((len(a), N))
        compiled[1](a, b, out)
        np.testing.assert_allclose(out, a @ b, rtol=1e-13)


def test_a_product_on_disk_that_is_other_code_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path))
    key = cache_key({"product": "float32"})
    default_cache().put(key, Entry(b"not machine code"))
    # beside the one that this process uses
    made = matmul._made.__wrapped__(*matmul.SYMBOLS[symbol("float32")])
    assert made[symbol("float32")]
    assert len(default_cache().get(key).code) > 1000
