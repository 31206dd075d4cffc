"""Matt Mazur, "A Step by Step Backpropagation Example" (2015), with his mattm/simple-neural-network
(MIT, commit d7b7f478): a 2-2-2 sigmoid network on one sample, its biases never updated.

The post's numbers after training come from a wrong rule: the hidden gradient was computed with
output weights that had been updated already. Its author mended the script, not the post.
"""

import numpy as np
import pytest

import pullback as pb

NET = pb.Network(
    pb.Sequential(pb.Linear(2, 2), pb.Sigmoid(), pb.Linear(2, 2), pb.Sigmoid()),
    loss=pb.SquaredError(),
)
X, T = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
RATE = 0.5
published = {"rel": 0, "abs": 5.5e-9}


def start():
    return {
        "0.weight": np.array([[0.15, 0.20], [0.25, 0.30]]),
        "0.bias": np.full(2, 0.35),
        "2.weight": np.array([[0.40, 0.45], [0.50, 0.55]]),
        "2.bias": np.full(2, 0.60),
    }


def train(rounds):
    """Gradient descent on the weights alone, all of them at once."""
    params = start()
    for _ in range(rounds):
        _, grads = NET.value_and_grad(params, X, T)
        for name in ("0.weight", "2.weight"):
            params[name] -= RATE * grads[name]
    return params


def test_forward():
    trace = NET.trace(start(), X, T)
    assert trace.a["1"][0] == pytest.approx([0.593269992, 0.596884378], **published)
    assert trace.a["3"][0] == pytest.approx([0.75136507, 0.772928465], **published)
    assert trace.loss == pytest.approx(0.298371109, **published)
    assert trace.loss == pytest.approx(0.2983711087600027, rel=1e-15)


def test_gradient():
    trace = NET.trace(start(), X, T)
    assert trace.delta["2"][0, 0] == pytest.approx(0.138498562, **published)
    into_hidden = trace.delta["2"] @ start()["2.weight"]
    assert into_hidden[0, 0] == pytest.approx(0.036350306, **published)
    assert trace.gradient["2.weight"][0, 0] == pytest.approx(0.082167041, **published)
    assert trace.gradient["0.weight"][0, 0] == pytest.approx(0.000438568, **published)
    # all eight, in double precision, by another program
    expected = {
        "0.weight": [[0.0004385677344743465, 0.000877135468948693],
                     [0.0004977127352608599, 0.0009954254705217198]],
        "2.weight": [[0.08216704056423077, 0.08266762784753325],
                     [-0.02260254047747507, -0.022740242215978222]],
    }  # fmt: skip
    _, grads = NET.value_and_grad(start(), X, T)
    for name, value in expected.items():
        np.testing.assert_allclose(grads[name], value, rtol=1e-14)


def test_one_update():
    params = train(1)
    hidden = [0.149780716, 0.19956143, 0.24975114, 0.29950229]
    output = [0.35891648, 0.408666186, 0.51130127, 0.561370121]
    assert params["0.weight"].ravel() == pytest.approx(hidden, **published)
    assert params["2.weight"].ravel() == pytest.approx(output, **published)
    assert NET.loss(params, X, T) == pytest.approx(0.29102777369359933, rel=1e-14)


def test_training():
    """The post prints 0.0000351085 for the error: the right rule's after 9,999 rounds."""
    params = train(9_999)
    assert NET.loss(params, X, T) == pytest.approx(3.51085e-05, abs=5.5e-11)
    _, grads = NET.value_and_grad(params, X, T)
    for name in ("0.weight", "2.weight"):
        params[name] -= RATE * grads[name]
    expected = [0.01591362044355068, 0.9840642735146238]
    np.testing.assert_allclose(NET.predict(params, X)[0], expected, rtol=1e-11)
    assert NET.loss(params, X, T) == pytest.approx(3.510187782978859e-05, rel=1e-10)


def train_one_after_the_other(rounds):
    """The wrong rule: δ of the hidden layer with the new output weights."""
    params = start()
    for _ in range(rounds):
        trace = NET.trace(params, X, T)
        params["2.weight"] = params["2.weight"] - RATE * trace.gradient["2.weight"]
        a = trace.a["1"]
        delta = (trace.delta["2"] @ params["2.weight"]) * a * (1 - a)
        params["0.weight"] = params["0.weight"] - RATE * delta.T @ X
    return params


def test_the_published_ending_is_the_wrong_rules():
    published = {"rel": 0, "abs": 5.5e-10}
    after_one = NET.loss(train_one_after_the_other(1), X, T)
    assert after_one == pytest.approx(0.291027924, **published)
    assert after_one != pytest.approx(0.29102777369359933, **published)
    outputs = NET.predict(train_one_after_the_other(10_000), X)[0]
    assert outputs == pytest.approx([0.015912196, 0.984065734], **published)
