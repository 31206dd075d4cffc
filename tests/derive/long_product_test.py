"""Products too long for their derivatives to be read are refused at once, and have numbers."""

import numpy as np
import pytest

import pullback as pb
from pullback.derive.steps.length import MOST_FACTORS
from pullback.errors import ConfigError, ExpressionError


def product(factors):
    return pb.expr("*".join(f"sum(x + {at})" for at in range(factors)), x="n")


@pytest.mark.parametrize(("factors", "order"), [(MOST_FACTORS + 1, 1), (21, 2), (200, 2)])
def test_refused_with_how_many_terms_there_would_be(factors, order):
    with pytest.raises(ExpressionError, match=f"{factors**order:,} terms in its derivative"):
        pb.derive(product(factors), "x", order=order)


def test_nested_products_count_with_all_their_factors():
    chain = pb.expr("trace(" + "@".join("X" * 200) + ")", X="n n")
    with pytest.raises(ExpressionError, match="a product of 200 factors"):
        pb.derive(chain, "X")


def test_numbers_have_no_such_limit():
    e, x = product(70), np.zeros(1)
    x[0] = -3.0  # one factor is 0: its slope alone is left
    others = np.prod([float(at - 3) for at in range(70) if at != 3])
    np.testing.assert_allclose(e.derivative("x")(x=x), [others], rtol=1e-12)


def test_factors_that_do_not_depend_on_the_variable_do_not_count():
    others = "*".join(f"sum(y + {at})" for at in range(70))
    assert pb.derive(pb.expr(f"sum(x)*{others}", x="n", y="n"), "x").proof.ok


@pytest.mark.parametrize("order", [0, -1, 10**9, 2.5, "two"])
def test_an_unknown_order_is_named_at_once(order):
    with pytest.raises(ConfigError, match="order is"):
        pb.derive(product(3), "x", order=order)
