"""Numbers with a power of two beside them, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.closed.power.scaled import ScaledArray, divided_differences, powers, running_products
from pullback.errors import NonFiniteError

NUMBERS = st.floats(-2, 2, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-3)


def exact(mantissa, exponent):
    return Fraction(float(mantissa)) * Fraction(2) ** int(exponent)


@settings(max_examples=80, deadline=None)
@given(NUMBERS, st.integers(0, 400))
def test_power_of_a_number(value, times):
    mantissa, exponent = powers(np.array([value]), times)
    expected = Fraction(value) ** times
    assert abs(exact(mantissa[0], exponent[0]) - expected) <= abs(expected) * Fraction(1, 10**12)


@settings(max_examples=80, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=1200))
def test_running_product(values):
    mantissa, exponent = running_products(np.array(values))
    product = Fraction(1)
    for at, value in enumerate(values):
        product *= Fraction(value)
        if at in (0, len(values) // 2, len(values) - 1):
            found = exact(mantissa[at + 1], exponent[at + 1])
            assert abs(found - product) <= abs(product) * Fraction(1, 10**12)
    assert (mantissa[0], exponent[0]) == (1.0, 0)


@settings(max_examples=80, deadline=None)
@given(NUMBERS, st.one_of(NUMBERS, st.floats(-1e-6, 1e-6)), st.integers(1, 60), st.booleans())
def test_divided_difference_is_the_sum_of_products(one, other, times, near):
    """Also where the two are so close that their difference has few digits."""
    if near:
        other = one + other * 1e-6
    mantissa, exponent = divided_differences(np.array([one, other]), times)
    a, b = Fraction(one), Fraction(other)
    expected = sum(a**k * b ** (times - 1 - k) for k in range(times))
    size = sum(abs(a) ** k * abs(b) ** (times - 1 - k) for k in range(times))
    for at in ((0, 1), (1, 0)):
        found = exact(mantissa[at], exponent[at])
        assert abs(found - expected) <= size * Fraction(1, 10**12)
    equal = exact(mantissa[0, 0], exponent[0, 0])
    assert abs(equal - times * a ** (times - 1)) <= abs(equal) * Fraction(1, 10**12)


def test_complex_divided_difference():
    values = np.array([0.3 + 0.4j, 0.3 - 0.4j, 0.3 + 0.4000001j])
    mantissa, exponent = divided_differences(values, 30)
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            expected = sum(a**k * b ** (29 - k) for k in range(30))
            np.testing.assert_allclose(mantissa[i, j] * 2.0 ** exponent[i, j], expected, rtol=1e-11)


def test_products_beyond_float64_come_back():
    huge = ScaledArray.of(np.array([[1e300]]))
    tiny = ScaledArray.of(np.array([[1e-300]]))
    found = huge @ huge @ tiny @ tiny
    np.testing.assert_allclose(found.value("it"), [[1.0]], rtol=1e-14)
    np.testing.assert_allclose((huge + tiny).value("it"), [[1e300]], rtol=1e-15)
    with pytest.raises(NonFiniteError, match=r"it is about 10\^600"):
        (huge @ huge).value("it")
    assert (tiny @ tiny).value("it").tolist() == [[0.0]]


def test_entries_with_scales_of_their_own():
    found = ScaledArray.gather(np.array([1.0, -3.0, 0.0]), np.array([5000, 4999, 9999]))
    assert found.exponent == 5001  # 3 = ¾ · 2²
    assert found.mantissa.tolist() == [0.5, -0.75, 0.0]
