"""What a playground trains with is what the library derives, at any width."""

import itertools
import json
import re

import numpy as np
import pytest
from node_peer import started

import pullback as pb
from pullback.errors import ConfigError, UnknownNameError
from pullback.explore.play import NAMES, playground, policy, script
from pullback.explore.programs import ENDINGS, program
from pullback.nn.activation import BY_NAME

MODELS = {
    "cross_entropy": (pb.CrossEntropy(), ()),
    "squares": (pb.SquaredError(), ()),
    "softmax_twice": (pb.CrossEntropy(), (pb.Softmax(),)),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("widths", [(2, 3), (2, 4, 3), (5, 3, 4, 2, 3)])
def test_a_program_is_that_of_the_network(widths, ending):
    loss, last = MODELS[ending]
    name = list(NAMES)[len(widths)]
    blocks = [
        each
        for into, out in itertools.pairwise(widths)
        for each in (pb.Linear(into, out), BY_NAME[name]())
    ]
    net = pb.Network(pb.Sequential(*blocks[:-1], *last), loss=loss)
    params, rng = net.init(0), np.random.default_rng(1)
    X, Y = rng.normal(size=(7, widths[0])), np.eye(3)[rng.integers(0, 3, 7)]
    value, slopes = net.value_and_grad(params, X, Y)
    given = {f"{'Wb'[at % 2]}{at // 2 + 1}": p for at, p in enumerate(params.values())}
    with started() as node:
        found_value, found = node(program(len(widths) - 2, name, ending), "trace", given, X, Y)
        forward = node(program(len(widths) - 2, name, ending), "forward", given, X)
    assert found_value == pytest.approx(value, rel=1e-12)
    for key, slope in zip(given, slopes.values(), strict=True):
        np.testing.assert_allclose(found[key], slope.ravel(), rtol=1e-9, atol=1e-12)
    trace = net.trace(params, X, Y)
    for k in range(1, len(widths)):
        delta = trace.delta[str(2 * (k - 1))]
        np.testing.assert_allclose(found[f"delta{k}"], delta.ravel(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(forward["output"], net.predict(params, X).ravel(), rtol=1e-12)


@pytest.mark.parametrize(
    ("wanted", "error", "told"),
    [
        ((41, "tanh", "squares"), ConfigError, "up to 40 layers"),
        ((2, "tahn", "squares"), UnknownNameError, "did you mean 'tanh'"),
        ((2, "tanh", "square"), UnknownNameError, "did you mean 'squares'"),
        (("2", "tanh", "squares"), ConfigError, "hidden"),
    ],
)
def test_what_there_is_no_program_of_is_named(wanted, error, told):
    with pytest.raises(error, match=told):
        program(*wanted)


def test_the_page_is_one_file_that_loads_nothing():
    page = playground({"0-tanh-squares": program(0, "tanh", "squares")})
    assert not re.search(r"@[A-Z]+@", page)
    assert re.findall(r'https?:[^"]*', page) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<link[^>]*stylesheet|<script[^>]*src|@import|url\(", page)


def test_the_policy_lets_the_page_run():
    assert json.loads(re.match(r"const PACKED = (.*);", script(False))[1]) is False
    assert policy().count("sha256-") == 1
    assert "unsafe-eval" not in policy()
