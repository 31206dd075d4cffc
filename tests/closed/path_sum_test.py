"""The sum over all paths is the recursion, and the number of paths is exact."""

from itertools import pairwise, product

import numpy as np
import pytest
from zoo import FLOAT64, close, named

import pullback as pb

SMALL = [case for case in FLOAT64 if "depth" not in case.name and "row" not in case.name]


@pytest.mark.parametrize("case", SMALL, ids=repr)
def test_sum_over_paths_is_delta(case):
    form = pb.closed_form(case.net, case.params(), case.data()[0][0])
    delta = np.random.default_rng(3).normal(size=form.outputs)
    for layer, place in enumerate(form.chain.places):
        whole = form.evaluate(delta, layer)
        sums = [form.paths(layer, unit) for unit in range(place.width)]
        close([each.value(delta) for each in sums], whole)
        assert all(len(each.terms) == each.count for each in sums)
        assert form.path_count(layer) == sum(each.count for each in sums)


def test_number_of_paths_is_the_product_of_widths():
    widths = [3, 50, 60, 70, 80, 4]
    blocks = [b for n, m in pairwise(widths) for b in (pb.Linear(n, m), pb.Tanh())]
    form = pb.closed_form(pb.Network(pb.Sequential(*blocks), loss=pb.SquaredError()))
    assert form.path_count(0) == 50 * 60 * 70 * 80 * 4
    assert form.paths(0).count == 60 * 70 * 80 * 4
    assert form.path_count(4) == 4


def test_number_of_paths_is_exact_where_floats_are_not():
    blocks = [pb.Linear(37, 37)] * 60
    form = pb.closed_form(pb.Network(pb.Sequential(*blocks), loss=pb.SquaredError()))
    assert form.path_count(0) == 37**60
    assert form.paths(0).count == 37**59
    assert "about 3.3" in form.paths(0).text()
    with pytest.raises(pb.errors.NotApplicableError, match="up to 10,000"):
        form.paths(0).value(np.ones(37))


def test_skips_are_paths_as_well():
    """One unit, three residual blocks: each is passed through or by."""
    block = pb.Residual(pb.Linear(1, 1))
    net = pb.Network(pb.Sequential(pb.Linear(1, 1), block, block, block), loss=pb.SquaredError())
    form = pb.closed_form(net)
    assert form.paths(0).count == len(list(product(["by", "through"], repeat=3))) == 8


def test_formula_of_the_neuron_question():
    """v2 = t(d2 + b2)(w7 v3 + w8 v4), in the notation of layers."""
    net = pb.Network(
        pb.Sequential(pb.Linear(2, 2), pb.Sigmoid(), pb.Linear(2, 2)), loss=pb.SquaredError()
    )
    paths = pb.closed_form(net).paths(0, 1)
    assert paths.text().splitlines()[1:] == [
        "    f′(z₂⁽¹⁾) w₁,₂⁽²⁾ δ₁",
        "  + f′(z₂⁽¹⁾) w₂,₂⁽²⁾ δ₂",
    ]
    assert paths.latex().endswith(
        r"f'\left(z^{(1)}_{2}\right)\, w^{(2)}_{1,2}\, \delta_{1} + "
        r"f'\left(z^{(1)}_{2}\right)\, w^{(2)}_{2,2}\, \delta_{2}"
    )
    with pytest.raises(pb.errors.NotApplicableError, match="give params and one x"):
        paths.value([1.0, 1.0])


def test_paths_of_a_recurrence():
    W = np.array([[0.5, -0.9], [0.3, 0.2]])
    r = pb.Recurrence(W, 5, "tanh", state=[1.0, -0.5])
    form = pb.closed_form(r)
    assert form.path_count(0) == 2**6
    delta = np.array([1.0, -2.0])
    close([form.paths(0, unit).value(delta) for unit in (0, 1)], r.delta(delta, 0))


def test_record_is_plain_data():
    case = named("Tanh()")
    paths = pb.closed_form(case.net, case.params(), case.data()[0][0]).paths(0)
    plain = paths.to_dict()
    assert (plain["count"], len(plain["paths"])) == (3, 3)
    assert "sum over 3 paths" in paths._repr_html_()
