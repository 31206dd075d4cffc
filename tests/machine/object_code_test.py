"""Machine code does what the function does, in this process and in one without Numba."""

import ctypes
import subprocess
import sys
import threading

import numpy as np
import pytest

from pullback.errors import ConfigError, PullbackError
from pullback.machine.blas.matmul import products
from pullback.machine.object.arrays import array_at
from pullback.machine.object.compile import compile_object, load

numba = pytest.importorskip("numba")
carray = array_at()

AFFINE = ("float32*", "float32*", "float32*", "int64", "int64", "int64")


def affine():
    """out ← x wᵀ, and the number of its entries."""
    matmul = products().matmul

    def run(x_at, w_at, out_at, n, d, k):
        x, w, out = carray(x_at, (n, d)), carray(w_at, (k, d)), carray(out_at, (n, k))
        matmul(x, w.T, out)
        return n * k

    return run


@pytest.fixture(scope="module")
def affine_code():
    return compile_object(affine(), AFFINE, "affine")


def given():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)).astype("f"), rng.normal(size=(4, 3)).astype("f")
    return x, w, np.full((5, 4), np.nan, "f")


def test_code_computes_what_the_function_says(affine_code):
    x, w, out = given()
    assert load(affine_code, "affine", AFFINE)(x, w, out, 5, 3, 4) == 20
    np.testing.assert_allclose(out, x @ w.T, rtol=1e-6)


def test_code_runs_in_a_process_without_numba(affine_code, tmp_path):
    (tmp_path / "code").write_bytes(affine_code)
    script = f"""
import sys, pathlib, numpy as np
from pullback.machine.object.compile import load
code = pathlib.Path(sys.argv[1], "code").read_bytes()
x, w, out = np.ones((5, 3), "f"), np.full((4, 3), 2, "f"), np.zeros((5, 4), "f")
load(code, "affine", {AFFINE!r})(x, w, out, 5, 3, 4)
assert (out == 6).all(), out
assert not {{"numba", "sympy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_name_may_be_loaded_twice(affine_code):
    other = compile_object(lambda n: n + 1, ("int64",), "affine")
    first, second = load(affine_code, "affine", AFFINE), load(other, "affine", ("int64",))
    x, w, out = given()
    assert (first(x, w, out, 5, 3, 4), second(41)) == (20, 42)


def test_a_loop_with_views_and_mathematics_needs_nothing_from_numba():
    def run(x_at, n):
        x = carray(x_at, (n, 2))
        half = x[: n // 2]
        for i in range(half.shape[0]):
            half[i, 1] = np.exp(half[i, 0]) + np.sin(half.T[0, i])
        return half.size

    x = np.linspace(-1, 1, 12).reshape(6, 2)
    expected = np.exp(x[:3, 0]) + np.sin(x[:3, 0])
    kinds = ("float64*", "int64")
    function = load(compile_object(run, kinds, "fill"), "fill", kinds)
    assert function(x, 6) == 6
    np.testing.assert_allclose(x[:3, 1], expected, rtol=1e-15)


def test_fastmath_is_as_given():
    """0·x is 0 only where NaN need not be kept."""

    def run(x_at):
        x = carray(x_at, (1,))
        x[0] = x[0] * 0.0
        return 0

    for fastmath, expected in ((), np.nan), ({"nnan", "nsz"}, 0.0):
        x = np.array([np.nan])
        load(compile_object(run, ("float64*",), "zero", fastmath), "zero", ("float64*",))(x)
        np.testing.assert_equal(x[0], expected)


def test_division_follows_ieee():
    def run(x_at):
        x = carray(x_at, (2,))
        x[0] = x[0] / x[1]
        return 0

    x = np.array([1.0, 0.0])
    load(compile_object(run, ("float64*",), "ratio"), "ratio", ("float64*",))(x)
    assert x[0] == np.inf


def makes_an_array(n):
    return np.ones(n).size


def prints(n):
    print(n)
    return n


def misspelt(n):
    return n.no_such_attribute


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (makes_an_array, "wrong allocates"),
        (prints, "from outside"),
        (misspelt, "cannot be compiled"),
    ],
)
def test_what_is_not_plain_arithmetic_is_refused(function, reason):
    with pytest.raises(ConfigError, match=reason):
        compile_object(function, ("int64",), "wrong")


def test_a_global_array_of_this_process_is_refused():
    large = np.zeros((2000, 2000))[::2]  # strided: Numba refers to it by its address

    def run(n):
        return int(large[n, n])

    with pytest.raises(ConfigError, match="address of this process"):
        compile_object(run, ("int64",), "held")


def test_an_exception_is_reported():
    def run(n):
        if n < 0:
            raise ValueError("negative")
        return n

    function = load(compile_object(run, ("int64",), "root"), "root", ("int64",))
    assert function(3) == 3
    with pytest.raises(PullbackError, match="exception"):
        function(-3)


def test_arrays_of_another_kind_are_refused(affine_code):
    function = load(affine_code, "affine", AFFINE)
    x, w, out = given()
    for wrong in (x.astype("d"), x.T, x[:, ::2], [1.0]):
        with pytest.raises((TypeError, ctypes.ArgumentError)):
            function(wrong, w, out, 5, 3, 4)


def test_code_that_is_none_or_lacks_the_name_is_refused(affine_code):
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(affine_code, "another", AFFINE)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(b"not machine code at all", "affine", AFFINE)


def test_code_runs_without_the_lock_of_python():
    """A thread waits inside the code for what another thread writes with Python."""
    give_way = numba.types.ExternalFunction("sched_yield", numba.types.int32())

    def run(flag_at, most):
        flag = carray(flag_at, (1,))
        for k in range(most):
            if flag[0] == 1.0:
                return k
            give_way()
        return -1

    kinds = ("float64*", "int64")
    function = load(compile_object(run, kinds, "wait"), "wait", kinds)
    flag, found = np.zeros(1), []
    thread = threading.Thread(target=lambda: found.append(function(flag, 10**7)))
    thread.start()
    flag[0] = 1.0
    thread.join()
    assert found[0] >= 0, "the code held Python's lock"
