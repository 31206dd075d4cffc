"""Bad input: an error of ours before any work, which names the thing and what was expected."""

import numpy as np
import pytest

import pullback as pb

E = pb.errors
W = np.array([[0.5, 0.1], [0.0, 0.4]])
NET = pb.Network(pb.Sequential(pb.Linear(3, 2), pb.Tanh(), pb.Linear(2, 2)), loss=pb.SquaredError())


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pb.Recurrence(np.ones((2, 3)), 5), E.ShapeError, "W has shape (2, 3)"),
        (lambda: pb.Recurrence(np.ones((2, 2, 2)), 5), E.ShapeError, "is square"),
        (lambda: pb.Recurrence(np.ones((0, 0)), 5), E.ShapeError, "empty"),
        (lambda: pb.Recurrence([[1, "a"]], 5), E.DTypeError, "W has dtype"),
        (lambda: pb.Recurrence([[1], [1, 2]], 5), E.DTypeError, "W is not an array"),
        (lambda: pb.Recurrence([[1j]], 5), E.DTypeError, "complex128"),
        (lambda: pb.Recurrence([[np.nan]], 5), E.DataError, "W holds nan, first at [0, 0]"),
        (lambda: pb.Recurrence(W, 0), E.ConfigError, "steps is 0"),
        (lambda: pb.Recurrence(W, 2.5), E.ConfigError, "steps is 2.5"),
        (lambda: pb.Recurrence(W, 5, "tahn"), E.UnknownNameError, "did you mean 'tanh'"),
        (lambda: pb.Recurrence(W, 5, 3), E.ConfigError, "activation is 3"),
        (lambda: pb.Recurrence(W, 5, inputs=np.ones(3)), E.ShapeError, "expected (2,) or (5, 2)"),
        (lambda: pb.Recurrence(W, 5, state=np.ones(3)), E.ShapeError, "state has shape (3,)"),
        (lambda: pb.Recurrence(W, 5).gradient([1.0, 2]), E.NotApplicableError, "give state="),
        (lambda: pb.FixedPoint(np.ones((2, 3))), E.ShapeError, "F has shape (2, 3)"),
        (lambda: pb.FixedPoint(W, inputs=[1.0]), E.ShapeError, "inputs has shape (1,)"),
        (lambda: pb.FixedPoint(W, start=[1.0]), E.ShapeError, "start has shape (1,)"),
        (lambda: pb.FixedPoint(W, params={}), E.ConfigError, "params go with a block"),
        (lambda: pb.FixedPoint(pb.Linear(2, 3), params={}), E.ConfigError, "no 'weight'"),
        (lambda: pb.FixedPoint(pb.Tanh()), E.ConfigError, "no Linear block"),
        (
            lambda: pb.FixedPoint(
                pb.Linear(2, 3), params={"weight": np.ones((3, 2)), "bias": np.ones(3)}
            ),
            E.ShapeError,
            "makes 3 units of 2",
        ),
        (
            lambda: pb.FixedPoint(pb.Linear(2, 2), params={"wieght": W}),
            E.UnknownNameError,
            "did you mean 'weight'",
        ),
        (lambda: pb.closed_form(W), E.ConfigError, "expected a Network, a Recurrence"),
        (lambda: pb.closed_form(NET, x=np.ones(3)), E.ConfigError, "x was given without params"),
        (lambda: pb.closed_form(pb.Recurrence(W, 5), {}), E.ConfigError, "holds its own numbers"),
        (lambda: pb.closed_form(NET, NET.init(), np.ones(4)), E.ShapeError, "expected (3,)"),
        (lambda: pb.closed_form(NET, NET.init(), np.ones((2, 3))), E.ShapeError, "one sample"),
        (lambda: pb.closed_form(NET, {"0.weight": W}), E.PullbackError, "0.weight"),
        (
            lambda: pb.closed_form(pb.Network(pb.Tanh(), loss=pb.SquaredError())),
            E.ConfigError,
            "no Linear block",
        ),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error) as raised:
        make()
    assert says in str(raised.value)


FORMS = {
    "power": lambda: pb.closed_form(pb.Recurrence(W, 5, state=[1.0, 2.0])),
    "components": lambda: pb.closed_form(pb.Recurrence([0.5, 0.1], 5, "tanh", state=[1.0, 2.0])),
    "product": lambda: pb.closed_form(NET, NET.init(), np.ones(3)),
    "implicit": lambda: pb.closed_form(pb.FixedPoint(W)),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_wrong_delta_or_layer_is_named(make):
    form = make()
    good = np.ones(form.outputs)
    for delta, error, says in (
        (np.ones(3), E.ShapeError, "expected (…, 2)"),
        (1.0, E.ShapeError, "delta_out has shape ()"),
        ([np.inf, 1.0], E.DataError, "delta_out holds inf, first at [0]"),
        (["a", "b"], E.DTypeError, "expected real numbers"),
    ):
        with pytest.raises(error) as raised:
            form.evaluate(delta, 0)
        assert says in str(raised.value)
    for layer in (-1, form.last + 1, 1.5, "0", True):
        with pytest.raises(E.ConfigError, match=f"layer is .*0 to {form.last}"):
            form.evaluate(good, layer)


def test_gradient_of_a_batch_is_refused():
    for form in (FORMS["power"](), FORMS["components"](), FORMS["implicit"]()):
        with pytest.raises(E.ShapeError, match=r"expected \(2,\)"):
            form.gradient(np.ones((4, 2)))


def test_unknown_way_to_a_gradient():
    with pytest.raises(E.UnknownNameError, match="did you mean 'block power'"):
        FORMS["power"]().gradient([1.0, 2.0], method="blok power")
    jordan = pb.closed_form(pb.Recurrence([[1.0, 1.0], [0.0, 1.0]], 5, state=[1.0, 2.0]))
    with pytest.raises(E.NotApplicableError, match="eigenvectors are of no use"):
        jordan.gradient([1.0, 2.0], method="divided differences")


def test_states_that_run_away_are_named():
    r = pb.Recurrence([[1e200]], 5, "tanh", inputs=[0.0], state=[1.0])
    assert np.isfinite(r.states).all()
    far = pb.Recurrence([[1e200]], 5, state=[1.0])
    with pytest.raises(E.DataError, match="not finite from step 2 on"):
        _ = far.states


def test_paths_of_a_unit_that_there_is_not():
    form = pb.closed_form(NET)
    with pytest.raises(E.ConfigError, match="unit is 2; layer 0 has 2"):
        form.paths(0, 2)
    with pytest.raises(E.ConfigError, match="layer is 5"):
        form.paths(5)
