"""An equation that is constant along an axis is written out along it before anything sums it."""

import numpy as np

import pullback as pb
from pullback.ir.build import sum_over
from pullback.nn import Block


class SumOfTokens(Block):
    """Σ over the tokens: the δ of each token is the same."""

    def build(self, x, at):
        return at.a(sum_over(x, x.axes[1:2]))


def test_the_bias_of_a_layer_whose_tokens_are_summed_counts_every_token():
    model = pb.Sequential(pb.Linear(3, 4), SumOfTokens(), pb.Linear(4, 2))
    net = pb.Network(model, pb.SquaredError(), x="tokens=5 features=3")
    rng = np.random.default_rng(0)
    X, Y, params = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 2)), net.init(seed=0)
    _, grads = net.value_and_grad(params, X, Y)
    residual = net.predict(params, X) - Y
    np.testing.assert_allclose(grads["0.bias"], 5 * residual.mean(0) @ params["2.weight"])
    assert pb.check(net, params, X, Y).ok
