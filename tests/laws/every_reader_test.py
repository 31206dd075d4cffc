"""The matrix law: every network × every reader × every engine is right, or refused with a reason.

Right is what torch says. A refusal is a ``PullbackError``; any other exception fails the cell.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matrix_networks import BY_HAND, CANCELLING, DEGENERATE, Case, told
from zoo import close

import pullback as pb
from pullback.errors import NotApplicableError, PullbackError
from pullback.ir.evaluate import evaluate, evaluate_all

EVERY = [*BY_HAND, *DEGENERATE]
# the compiled engine over networks that differ in code path: it takes a second for each
COMPILED = (
    "gated linear unit", "one weight at three steps", "softmax inside", "gate", "branches added",
    "scale, without equations", "layer norm", "temperature, an equation of its own kind", "maxout",
    "branches joined", "batch mean", "x**0", "x-3", "residual of nothing", "two in a row",
    "convolution", "attention",
)  # fmt: skip


def over(cases):
    """A cell for each case."""
    return pytest.mark.parametrize("case", cases, ids=repr)


def refused(case: Case) -> bool:
    """May a reader of Jacobians of parameters refuse this network?"""
    return case.name in {"no parameters", "a constant", "batch mean"}


@over(EVERY)
def test_value_and_gradient(case):
    value, grads = case.net.value_and_grad(case.params, *case.data)
    expected, truth = case.truth_of_training
    assert value == pytest.approx(expected, rel=1e-12)
    assert list(grads) == list(case.params)
    largest = max((np.abs(g).max() for g in truth.values()), default=0.0)
    for name, grad in grads.items():
        assert grad.shape == case.params[name].shape
        np.testing.assert_allclose(grad, truth[name], atol=1e-12 * max(largest, 1.0), rtol=1e-11)


@over(EVERY)
def test_the_slow_interpreter_agrees(case):
    """By a complex step."""
    X, Y = case.data
    _, truth = case.truth_of_training
    rng = np.random.default_rng(0)
    along = {name: rng.normal(size=value.shape) for name, value in case.params.items()}
    moved = {name: value + 1e-30j * along[name] for name, value in case.params.items()}
    slope = evaluate(case.net.total, {**moved, "x": X, "target": Y}).imag / 1e-30
    assert slope == pytest.approx(sum(np.sum(truth[n] * along[n]) for n in truth), abs=1e-11)
    net = case.net
    found = evaluate_all((net.x, *net.gradients.values()), {**case.params, "x": X, "target": Y})
    for name, node in net.gradients.items():
        close(found[node], truth[name], tight=1e-9)


@over(EVERY)
def test_predict_and_trace(case):
    expected = case.truth(torch.tensor(case.data[0])).detach()
    close(case.net.predict(case.params, case.data[0]), expected)
    trace = case.net.trace(case.params, *case.data)
    for name, grad in case.truth_of_training[1].items():
        close(trace.gradient[name], grad, tight=1e-9)
    assert set(trace.delta) <= {*trace.z, *(f"a.{name}" for name in trace.a)}
    assert trace.text()
    assert trace.to_dict()


@over(EVERY)
def test_training_and_what_is_watched(case):
    if not case.params:
        with pytest.raises(PullbackError, match="no parameters"):
            pb.fit(case.net, *case.data, batch_size=None, progress=False, watch=True)
        return
    options = dict(params=case.params, epochs=2, batch_size=None, progress=False, shuffle=False)
    result = pb.fit(case.net, *case.data, optimizer=pb.optim.SGD(0.01), watch=True, **options)
    by_hand = case.params
    for _ in range(2):
        _, grads = case.net.value_and_grad(by_hand, *case.data)
        by_hand = {name: value - 0.01 * grads[name] for name, value in by_hand.items()}
    for name, value in result.params.items():
        close(value, by_hand[name])
    watched = result.watched
    assert {len(sizes) for sizes in watched.rms_delta.values()} <= {3}
    assert {len(sizes) for sizes in watched.update.values()} <= {2}
    assert all(row[0] in watched.text() for row in watched._rows())


@pytest.mark.parametrize("formula", CANCELLING)
def test_what_cancels_has_an_error_of_zero_and_dead_units(formula):
    case = next(case for case in DEGENERATE if case.name == formula)
    result = pb.fit(case.net, *case.data, params=case.params, epochs=1, batch_size=None,
                    progress=False, watch=True)  # fmt: skip
    assert result.watched.rms_delta["0"] == [0.0, 0.0]
    assert result.watched.dead["0"] == [1.0, 1.0]
    assert result.watched.update["0"] == [0.0]
    assert not case.net.trace(case.params, *case.data).delta["0"].any()


@over([case for case in EVERY if case.name in COMPILED])
def test_the_compiled_engine_trains_like_numpy(case):
    options = dict(params=case.params, epochs=1, batch_size=2, progress=False,
                   optimizer=pb.optim.SGD(0.01, momentum=0.5))  # fmt: skip
    found, expected = (
        pb.fit(case.net, *case.data, engine=engine, **options).params
        for engine in ("compiled", "numpy")
    )
    for name, value in found.items():
        close(value, expected[name], tight=1e-10)


@over(EVERY)
def test_jacobian_of_the_input(case):
    if case.name == "batch mean":
        with pytest.raises(PullbackError, match="depends on other samples"):
            pb.jacobian(case.net, case.params, case.data[0])
        return
    J = pb.jacobian(case.net, case.params, case.data[0])
    truth = case.jacobian_of_input
    close(J.dense(), truth, tight=1e-10)
    close(J.gram(), truth @ truth.transpose(0, 2, 1), tight=1e-10)
    close(J @ np.ones(truth.shape[2]), truth.sum(2), tight=1e-10)
    assert J.plan() is not None
    assert np.isfinite(J.solve(np.ones(truth.shape[:2]), damping=0.1)).all()


@over(EVERY)
def test_jacobian_kernel_and_curvature_of_the_parameters(case):
    X, Y = case.data
    if refused(case):
        for reader in (
            lambda: pb.jacobian(case.net, case.params, X, wrt="params"),
            lambda: pb.ntk(case.net, case.params, X),
            lambda: pb.laplace(case.net, case.params, X, Y, structure="full").predictive(X),
            lambda: pb.ggn_vector_product(case.net, case.params, X, Y, case.params),
        ):
            with pytest.raises(PullbackError, match=r"parameter|other samples"):
                getattr(reader(), "dense", lambda: None)()
        return
    truth = case.jacobian
    J = pb.jacobian(case.net, case.params, X, wrt="params")
    close(J.dense(), truth, tight=1e-10)
    close(pb.ntk(case.net, case.params, X), truth @ truth.T, tight=1e-10)
    along = np.random.default_rng(0).normal(size=truth.shape[1])
    close(J @ along, truth @ along, tight=1e-10)
    close(J.T @ (truth @ along), truth.T @ (truth @ along), tight=1e-10)
    found = pb.ggn_vector_product(case.net, case.params, X, Y, along)
    close(found, truth.T @ (truth @ along) / len(X), tight=1e-10)
    _, covariance = pb.laplace(case.net, case.params, X, Y, structure="full").predictive(X)
    by_sample = truth.reshape(*Y.shape, -1)
    inverse = np.linalg.inv(truth.T @ truth + np.eye(truth.shape[1]))
    close(covariance, by_sample @ inverse @ by_sample.transpose(0, 2, 1), tight=1e-8)
    mean, _ = pb.laplace(case.net, case.params, X, Y).predictive(X)
    close(mean, case.net.predict(case.params, X))


# what a finite-width law says of δ = 0 is for the laws of the forecast
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@over(EVERY)
def test_forecast(case):
    """Of a block by hand by draws, as no law is known; what cancels has δ = 0."""
    X, Y = case.data
    without_z = case.name in ("layer norm alone", "unnamed alone") or not case.params
    for methods in (("coupled", "exact", "independence"), ("monte_carlo",)):
        options = dict(methods=methods, draws=20, progress=False)
        found, reason = told(lambda given=options: pb.forecast(case.net, X, Y, **given))
        if without_z:
            assert "no δ to forecast" in reason
        elif reason and case in BY_HAND:
            assert "no law is known" in reason
            assert methods != ("monte_carlo",)
        elif reason:
            assert case.name.endswith("first"), reason
        else:
            assert found.text()
            assert (case in BY_HAND) == (found.setting.laws is None)
            if case.name in CANCELLING and methods != ("monte_carlo",):
                assert float(found.layers[0].delta_ms["coupled"]) == 0


WITHOUT_Z = ("layer norm alone", "unnamed alone", "no parameters", "a constant")


@over(EVERY)
def test_closed_form(case):
    """δ of the first layer is that of the trace; what cancels has δ = 0."""
    X, Y = case.data
    found, reason = told(lambda: pb.closed_form(case.net, case.params, X[0]))
    if case.name in WITHOUT_Z or case.name == "batch mean":
        assert ("other samples" if case.name == "batch mean" else "no Linear block") in reason
        return
    first, last = (each.name for each in (found.chain.places[0], found.chain.places[-1]))
    trace = case.net.trace(case.params, X[:1], Y[:1])
    if found.chain.top.role == "z":
        close(found.evaluate(trace.delta[last].reshape(1, -1), 0)[0], trace.delta[first].ravel())
    assert found.latex()
    assert found.reason
    assert found.error < 1e-9
    delta = found.evaluate(np.ones(found.outputs), 0)
    if case.name in CANCELLING:
        assert not delta.any()
    assert pb.closed_form(case.net).reason


def test_a_network_without_parameters_is_refused_with_a_reason():
    net, X = pb.Network(pb.Tanh(), loss=pb.SquaredError()), np.ones((3, 4))
    for reader in (
        lambda: pb.derive(net),
        lambda: pb.jacobian(net, {}, X, wrt="params"),
        lambda: pb.laplace(net, {}, X, X),
    ):
        with pytest.raises(NotApplicableError, match="no parameters"):
            reader()


class Cancels(torch.nn.Module):
    """Two layers with a function between them, terms of which cancel."""

    def __init__(self, function):
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


@pytest.mark.parametrize(
    "function",
    [
        lambda h: 0.0 * h + torch.tanh(h),
        lambda h: torch.tanh(h) + (h - h),
        lambda h: 2 * torch.tanh(h) + 0 * h,
        lambda h: h + 0.0 * torch.tanh(h),
    ],
)
def test_a_torch_module_whose_terms_cancel(function):
    torch.manual_seed(0)
    module = Cancels(function).double()
    net, params = pb.from_torch(module, loss=pb.MSELoss())
    X, Y = np.random.default_rng(0).normal(size=(5, 4)), np.zeros((5, 3))
    loss = ((module(torch.tensor(X)) - torch.tensor(Y)) ** 2).mean()
    loss.backward()
    value, grads = net.value_and_grad(params, X, Y)
    assert value == pytest.approx(float(loss.detach()), rel=1e-12)
    for name, parameter in module.named_parameters():
        close(grads[name], parameter.grad.numpy())


@pytest.mark.parametrize(
    "text",
    ["sum(0*w + x)", "sum(w**0*x)", "sum(w/w*x)", "sum(w*x) - sum(w*x) + sum(x)", "sum(w - w)"],
)
def test_an_expression_whose_variable_cancels_has_the_gradient_zero(text):
    e = pb.expr(text, w="d", x="d") if "x" in text else pb.expr(text, w="d")
    found = pb.derive(e, wrt="w", order=2)
    assert found.steps[2].lines[0].text() == "∂L/∂w = 0"
    for target, ones in (("numpy", np.ones), ("torch", torch.ones)):
        space = {}
        exec(found.code(target), space)  # noqa: S102  that is what is tested
        _, grads = space["value_and_grad"](*(ones(3) for _ in e.leaves))
        assert grads["w"].tolist() == [0, 0, 0]
