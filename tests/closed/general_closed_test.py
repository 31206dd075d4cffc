"""Any graph has the product: its maps at one x carry δ as the calculus and the slow oracle do."""

import numpy as np
import pytest
from general_networks import GENERAL
from matrix_networks import BY_HAND, told
from zoo import close

import pullback as pb
from pullback.calculus import cotangents
from pullback.ir import Input
from pullback.ir.evaluate import evaluate


def sample(case):
    if case in BY_HAND:
        return case.data[0][0]
    return case.X[0] if isinstance(case.X, np.ndarray) else np.ones(3)


def by_the_oracle(form, case, x, delta, layer):
    """δ (rows, units) at a layer, by the interpreter, from δ (rows, outputs) on top."""
    chain = form.chain
    seed = Input("seed", (case.net.x.axes[0], *chain.axes))
    node = cotangents(chain.top, [chain.places[layer].node], seed)[chain.places[layer].node]
    rows = len(delta)
    values = {
        **case.params,
        case.net.x.name: np.broadcast_to(x, (rows, *x.shape)),
        "seed": delta.reshape(rows, *(axis.size for axis in chain.axes)),
    }
    return evaluate(node, values).reshape(rows, -1)


# why there is no answer, by name of the network
REFUSED = {
    "layer norm alone": "no Linear block",
    "unnamed alone": "no Linear block",
    "two inputs": "has the inputs u, v",
    "two inputs of two shapes": "has the inputs u, v",
    "batch mean": "depends on other samples",
}


@pytest.mark.parametrize("case", [*GENERAL, *BY_HAND], ids=repr)
def test_delta_of_every_layer_is_that_of_the_oracle(case):
    form, reason = told(lambda: pb.closed_form(case.net, case.params, sample(case)))
    if case.name in REFUSED:
        assert REFUSED[case.name] in reason
        return
    x, rng = sample(case), np.random.default_rng(0)
    delta = rng.normal(size=(3, form.outputs))
    for layer, place in enumerate(form.chain.places):
        expected = by_the_oracle(form, case, x, delta, layer)
        found = form.evaluate(delta, layer)
        assert found.shape == expected.shape == (3, place.width)
        close(found, expected, tight=1e-10)
        close(form.recursion(delta, layer), expected, tight=1e-10)
        paths = form.paths(layer, place.width - 1)
        if paths.count <= 200:
            close(paths.value(delta[0]), expected[0, -1], tight=1e-9)
    assert form.error < 1e-10
    assert max(map(len, form.text().splitlines())) <= 80
    assert "<math" in form._repr_html_()
    assert pb.closed_form(case.net).reason
