"""The product of matrices on every kind of tile: values, borders, and the order of sums."""

import ctypes
import subprocess
import sys
from itertools import cycle

import numpy as np
import pytest
from llvmlite import ir

from pullback.machine.blas.matmul_code import DTYPES, SMALL, tiling, write_products
from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code

VECTORS = (16, 32, 64)  # bytes; LLVM splits what the processor does not have
WHOLE = ctypes.c_int64


class Product:
    """The machine code of one tiling, called with arrays."""

    def __init__(self, dtype, vector):
        self.dtype, self.cut = np.dtype(dtype), tiling(dtype, vector)
        module = ir.Module("product")
        write_products(module, "product", "in_strips", self.cut)
        self._library = linked(optimised_code(module), "product", others=("in_strips",))
        real = ctypes.c_float if dtype == "float32" else ctypes.c_double
        matrix = [ctypes.c_void_p, WHOLE, WHOLE]
        kinds = [WHOLE, WHOLE, WHOLE, real, *matrix, *matrix, real, *matrix]
        self._call = ctypes.CFUNCTYPE(None, *kinds)(self._library["product"])
        kinds = [WHOLE, WHOLE, WHOLE, *matrix, ctypes.c_void_p, ctypes.c_void_p, WHOLE]
        self._in_strips = ctypes.CFUNCTYPE(None, *kinds)(self._library["in_strips"])

    def __call__(self, alpha, a, b, beta, c):
        def told(x):
            return x.ctypes.data, *(stride // x.itemsize for stride in x.strides)

        (m, k), n = a.shape, b.shape[1]
        self._call(m, n, k, alpha, *told(a), *told(b), beta, *told(c))

    def in_strips(self, a, b, c):
        (m, k), n, width, item = a.shape, b.shape[1], self.cut.width, c.itemsize
        count = -(-n // width)
        copy = np.full((k, count * width), np.nan, b.dtype)
        copy[:, :n] = b
        copy = np.ascontiguousarray(copy.reshape(k, count, width).transpose(1, 0, 2))
        steps = (each // item for each in a.strides)
        row = c.strides[0] // item
        self._in_strips(m, n, k, a.ctypes.data, *steps, copy.ctypes.data, c.ctypes.data, row)


@pytest.fixture(scope="module", params=[(d, v) for d in DTYPES for v in VECTORS], ids=str)
def product(request):
    return Product(*request.param)


def numbers(rng, rows, columns, dtype, lie):
    x = rng.standard_normal((rows, columns)).astype(dtype)
    return np.asfortranarray(x) if lie == "columns" else x


def sizes_around(cut):
    """Sizes on both sides of every border: of a tile, of half of one, of a vector, of a panel."""
    low, tall = cut.heights[-1] // 2, cut.heights[0]
    rows = [1, low, low + 1, 2 * low, tall, tall + 1, tall + low + 1, 3 * tall - 1]
    columns = [1, cut.lanes, cut.lanes + 1, cut.width, cut.width + 1, cut.columns + cut.lanes + 3]
    depths = [1, cut.lanes - 1, cut.lanes, cut.lanes + 1, cut.depth, cut.depth + 5]
    return rows, columns, depths


@pytest.mark.parametrize("b_lies", ["rows", "columns"])
@pytest.mark.parametrize("a_lies", ["rows", "columns"])
def test_values_at_every_border(product, a_lies, b_lies):
    """Sums of products have an error below depth · ε · Σ|a||b| (Higham, section 3.5)."""
    rng = np.random.default_rng(3)
    rows, columns, depths = sizes_around(product.cut)
    for m in rows:
        for n in columns:
            k = depths[rng.integers(len(depths))]
            a = numbers(rng, m, k, product.dtype, a_lies)
            b = numbers(rng, k, n, product.dtype, b_lies)
            held = np.full((m + 2, n + 2), np.nan, product.dtype)
            c = held[1:-1, 1:-1]
            old = c[:] = rng.standard_normal((m, n)).astype(product.dtype)
            product(-2.0, a, b, 0.5, c)
            exact = 0.5 * old - 2 * (a.astype(np.longdouble) @ b)
            scale = np.abs(old) + 2 * np.abs(a).astype(float) @ np.abs(b)
            assert (np.abs(c - exact) <= (k + 3) * np.finfo(product.dtype).eps * scale).all()
            assert np.isnan(held).sum() == held.size - c.size, "it wrote beside the result"


def test_products_too_large_to_be_read_as_they_lie(product):
    rng = np.random.default_rng(4)
    m, n, k = 3 * product.cut.heights[0] + 1, 2 * product.cut.columns + 7, product.cut.depth + 3
    k = max(k, SMALL // (m * n) + 1)
    a, b = (numbers(rng, *shape, product.dtype, "rows") for shape in ((m, k), (k, n)))
    c = np.full((m, n), np.nan, product.dtype)
    product(1.0, a, b, 0.0, c)
    np.testing.assert_allclose(c, a.astype(float) @ b, atol=1e-3 if c.itemsize == 4 else 1e-11)


@pytest.mark.parametrize("b_lies", ["rows", "columns"])
@pytest.mark.parametrize("a_lies", ["rows", "columns"])
def test_a_share_has_the_bits_of_the_whole(product, a_lies, b_lies):
    rng = np.random.default_rng(5)
    a = numbers(rng, 37, 700, product.dtype, a_lies)
    b = numbers(rng, 700, 90, product.dtype, b_lies)
    at_once, in_parts = (np.empty((37, 90), product.dtype) for _ in range(2))
    product(1.0, a, b, 0.0, at_once)
    for rows in (slice(0, 16), slice(16, 37)):
        for columns in (slice(0, 13), slice(13, 90)):
            product(1.0, a[rows], b[:, columns], 0.0, in_parts[rows, columns])
    np.testing.assert_array_equal(at_once, in_parts)


def test_a_factor_in_strips_gives_the_same_bits(product):
    """Columns that a last strip lacks may hold anything."""
    rng = np.random.default_rng(8)
    rows, columns, depths = sizes_around(product.cut)
    for m, n, k in zip(rows, cycle(columns), cycle(depths), strict=False):
        a, b = (numbers(rng, *shape, product.dtype, "rows") for shape in ((m, k), (k, n)))
        c, held = np.empty((m, n), product.dtype), np.full((m + 2, n + 2), np.nan, product.dtype)
        product(1.0, a, b, 0.0, c)
        product.in_strips(a, b, held[1:-1, 1:-1])
        np.testing.assert_array_equal(held[1:-1, 1:-1], c)
        assert np.isnan(held).sum() == held.size - c.size, "it wrote beside the result"


GUARDED = """
import ctypes, mmap, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from product_test import Product

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)

def at_the_end(x):
    "A copy of x whose last number is the last before a page that nobody may touch."
    pages = -(-x.nbytes // PAGE)
    room = mmap.mmap(-1, (pages + 1) * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    held = np.frombuffer(room, np.uint8)
    begin = pages * PAGE - x.nbytes
    copy = held[begin : pages * PAGE].view(x.dtype).reshape(x.shape[::-1] if x.flags.f_contiguous
                                                            and x.ndim == 2 else x.shape)
    copy = copy.T if x.flags.f_contiguous and copy.shape != x.shape else copy
    copy[...] = x
    assert libc.mprotect(ctypes.c_void_p(start + pages * PAGE), PAGE, 0) == 0
    return copy

rng = np.random.default_rng(6)
for vector in (32, 64):
    product = Product("float32", vector)
    for m, n, k in [(1, 1, 1), (9, 10, 32), (8, 33, 17), (30, 25, 65), (33, 70, 600)]:
        for order in ("C", "F"):
            a, b = (np.array(rng.standard_normal(s), "f", order=order) for s in ((m, k), (k, n)))
            c = at_the_end(np.full((m, n), np.nan, "f"))
            product(1.0, at_the_end(a), at_the_end(b), 0.0, c)
            np.testing.assert_allclose(c, a @ b, atol=1e-3)
print("whole")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guards pages by mprotect")
def test_nothing_behind_a_matrix_is_touched(request):
    here = str(request.path.parent)
    done = subprocess.run([sys.executable, "-c", GUARDED, here], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "whole"
