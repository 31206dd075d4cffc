"""The product of a few rows: values, borders, and one order of sums whoever comes together."""

import ctypes

import numpy as np
import pytest
from llvmlite import ir

from pullback.machine.blas.few import FEW, write_few
from pullback.machine.blas.matmul_code import DTYPES
from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code

WHOLE, PLACE = ctypes.c_int64, ctypes.c_void_p
VECTORS = (16, 32, 64)  # bytes; LLVM splits what the processor does not have


@pytest.fixture(scope="module", params=[(d, v) for d in DTYPES for v in VECTORS], ids=str)
def few(request):
    """The product a bᵀ, as a function that tells the dtype."""
    dtype, vector = request.param
    real = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    module = ir.Module("few")
    write_few(module, "few", real, vector // np.dtype(dtype).itemsize)
    library = linked(optimised_code(module), "few")
    kinds = [WHOLE, WHOLE, WHOLE, PLACE, WHOLE, PLACE, WHOLE, PLACE, WHOLE]
    call = ctypes.CFUNCTYPE(None, *kinds)(library["few"])

    def multiply(a, b, c):
        sizes = *c.shape, a.shape[1]
        given = [(each.ctypes.data, each.strides[0] // each.itemsize) for each in (a, b, c)]
        call(*sizes, *sum(given, ()))

    multiply.dtype, multiply.library = np.dtype(dtype), library
    return multiply


def test_values_borders_and_the_order_of_sums(few):
    rng = np.random.default_rng(0)
    for depth in (1, 3, 4, 7, 8, 16, 33, 100):
        for columns in (1, 2, 3, 4, 5, 8, 11):
            wide = rng.normal(size=(FEW + 1, depth + 3)).astype(few.dtype)
            a = wide[:, 1 : depth + 1]  # rows further apart than they are long
            b = rng.normal(size=(columns, depth + 1)).astype(few.dtype)[:, :depth]
            exact = a.astype(float) @ b.T.astype(float)
            first = None
            for rows in (FEW + 1, 1, 2, 3, 4, 5, 8, 15):
                held = np.full((rows + 1, columns + 2), 7, few.dtype)
                few(a[:rows], b, held[:rows, :columns])
                found = held[:rows, :columns].copy()
                limit = 1e-5 if few.dtype == np.float32 else 1e-13
                np.testing.assert_allclose(found, exact[:rows], rtol=0, atol=limit * depth)
                held[:rows, :columns] = 7
                assert (held == 7).all(), "something is written beside the product"
                first = found if first is None else first
                np.testing.assert_array_equal(found, first[:rows])
