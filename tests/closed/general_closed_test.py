"""Any graph has the product: its maps at one x carry δ as the slow oracle's backward pass does."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from blocks_by_hand import Cells, Centred, Highway, Maxout, Scale, Softmax, Tied
from general_networks import GENERAL, Attention, Frozen, Gated
from matrix_networks import BY_HAND, told
from zoo import close

import pullback as pb
from pullback.calculus import cotangents, jacobian
from pullback.ir import Axis, Contract, Input, Rename, fn, symbol
from pullback.ir.build import scalar_map
from pullback.ir.evaluate import evaluate
from pullback.net.build import built, outlined
from pullback.nn import Block, Scope

S, L, R, E = pb.Sequential, pb.Linear, pb.Residual, pb.errors


def sample(case):
    if case in BY_HAND:
        return case.data[0][0]
    if isinstance(case.X, dict):
        return {name: each[0] for name, each in case.X.items()}
    return case.X[0]


def by_the_oracle(form, case, x, delta, layer):
    """δ (rows, units) at a layer, by the interpreter, from δ (rows, outputs) on top."""
    chain = form.chain
    seed = Input("seed", (Axis("batch"), *chain.axes))
    node = cotangents(chain.top, [chain.places[layer].node], seed)[chain.places[layer].node]
    rows = len(delta)
    inputs = x if isinstance(x, dict) else {"x": x}
    whole = {name: each for name, each in inputs.items() if case.net.xs[name].whole}
    real = [each.ravel() for name, each in inputs.items() if name not in whole]
    if len(real) > 1:  # one behind the other
        inputs = {"inputs": np.concatenate(real), **whole}
    values = {
        **case.params,
        **{name: np.broadcast_to(each, (rows, *each.shape)) for name, each in inputs.items()},
        "seed": delta.reshape(rows, *(axis.size for axis in chain.axes)),
    }
    return evaluate(node, values).reshape(rows, -1)


# why there is no answer, by name of the network
REFUSED = {
    "layer norm alone": "no Linear block",
    "unnamed alone": "no Linear block",
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


def network(model, x="features"):
    net = pb.Network(model, loss=pb.SquaredError(), x=x)
    rng = np.random.default_rng(4)
    return net, {s.name: rng.normal(size=s.shape) / np.sqrt(s.n_in) for s in net.specs}


TOKENS = "tokens=3 features=4"


def test_layers_over_tokens_are_one_matrix_for_all_x():
    net, params = network(S(L(4, 5), L(5, 2)), TOKENS)
    form = pb.closed_form(net, params)
    assert (form.exists, form.method, form.form) == (
        True, "one matrix", "δ₁ = W₂ᵀ δ_out, one matrix for all x"
    )  # fmt: skip
    delta = np.random.default_rng(0).normal(size=(3, 2))
    close(form.evaluate(delta.ravel(), 0).reshape(3, 5), delta @ params["1.weight"])
    assert form.cost.recursion == 3 * 5 * 2
    assert form.path_count(0) == 15 * 2
    assert "flattened" in form.text()
    assert "(tokens=3, units.0=5)" in form.text()


class Turned(Block):
    """tanh x with its last two axes swapped."""

    def build(self, x, at):
        batch, one, other = x.axes
        return at.a(Contract((scalar_map(fn("tanh")(symbol(0)), x),), (batch, other, one)))


def test_axes_that_change_places_are_followed():
    net, params = network(S(L(3, 3), Turned(), L(3, 2)), "tokens=3 features=3")
    x, rng = np.random.default_rng(0).normal(size=(3, 3)), np.random.default_rng(1)
    case, form = SimpleNamespace(net=net, params=params), pb.closed_form(net, params, x)
    delta = rng.normal(size=(2, form.outputs))
    close(form.evaluate(delta, 0), by_the_oracle(form, case, x, delta, 0))


def test_weight_that_is_used_again_is_a_power():
    net, params = network(S(L(4, 4), Shared(4)))
    form = pb.closed_form(net, params)
    assert "^3 δ by" in form.form
    delta = np.ones(4)
    close(form.evaluate(delta, 0), np.linalg.matrix_power(params["1.weight"].T, 3) @ delta)


@dataclass(frozen=True)
class Shared(Block):
    """W W W x."""

    n: int

    def build(self, x, at):
        f, out = x.axes[-1], at.axis("units", self.n)
        weight = at.parameter("weight", (out, f))
        for step in "012":
            x = at.z(Contract((x, weight), (*x.axes[:-1], out)), step)
            x = x if step == "2" else Rename(x, ((out, f),))
        return x


@pytest.mark.parametrize(
    ("model", "x", "method"),
    [
        (S(L(4, 5), pb.ReLU(), R(S(L(5, 5), pb.ReLU())), L(5, 2)), TOKENS, "region"),
        (S(L(4, 5), Scale(5), pb.ReLU(), L(5, 2)), "features", "product"),  # its end is no f alone
        (S(Scale(4), L(4, 5), pb.ReLU(), L(5, 2)), "features", "region"),
        (S(pb.LayerNorm(4), L(4, 5), pb.ReLU(), L(5, 2)), "features", "product"),
        (S(pb.Tanh(), L(4, 5), L(5, 2)), "features", "one matrix"),
        (S(L(4, 5), Maxout(5), L(5, 2)), "features", "region"),
        (S(Scale(4), R(S(L(4, 4), pb.ReLU(), L(4, 4)), 0.0)), "features", "product"),
        (S(pb.ReLU(), L(4, 5), pb.ReLU(), L(5, 2)), "features=4:index", "product"),
    ],
    ids=repr,
)
def test_method_is_what_the_factors_are(model, x, method):
    net, params = network(model, x)
    shape = [axis.size for axis in net.x.axes[1:]]
    point = np.random.default_rng(5).normal(size=shape)
    form = pb.closed_form(net, params, np.arange(4) if net.x.whole else point)
    assert form.method == method
    assert form.error < 1e-12
    if method == "region":
        near = point + 0.9 * form.region.distance * np.ones(shape) / np.sqrt(point.size)
        again = pb.closed_form(net, params, near)
        delta = np.random.default_rng(6).normal(size=form.outputs)
        for layer in range(form.last + 1):
            close(form.evaluate(delta, layer, x=near), again.recursion(delta[None], layer)[0])
        step = 0.5 * form.region.distance
        face = form.region.faces[0]
        slope = [
            (
                pb.closed_form(net, params, point + step * e.reshape(shape)).point.z[face.path]
                - form.point.z[face.path]
            )[face.unit]
            / step
            for e in np.eye(point.size)
        ]
        far = abs(form.point.z[face.path][face.unit] - face.bend) / np.linalg.norm(slope)
        assert face.rival is not None or face.distance == pytest.approx(far)


@pytest.mark.parametrize(
    ("model", "x", "error", "says"),
    [
        (S(pb.LayerNorm(4), L(4, 2)), "tokens features=4", E.NotApplicableError,
         "the axis 'tokens' has no size"),
        (S(Centred(4), L(4, 2)), "features", E.NotApplicableError, "other samples"),
        (pb.LayerNorm(4), TOKENS, E.ConfigError, "no Linear block"),
    ],
)  # fmt: skip
def test_what_has_no_product_says_why(model, x, error, says):
    with pytest.raises(error) as raised:
        pb.closed_form(pb.Network(model, loss=pb.SquaredError(), x=x))
    assert says in str(raised.value)


def test_one_sample_has_the_axes_of_the_input():
    net, params = network(S(L(4, 2)), TOKENS)
    with pytest.raises(E.ShapeError, match=r"expected \(3, 4\): one sample"):
        pb.closed_form(net, params, np.ones(4))
    assert pb.closed_form(net, params, np.ones((1, 3, 4))).exists


def test_a_matrix_that_is_too_large_is_refused_before_it_is_built():
    net, params = network(S(L(8, 8), pb.LayerNorm(8), L(8, 1)), "tokens=600 features=8")
    assert "∂a.1.normalised/∂z₁" in pb.closed_form(net).form
    with pytest.raises(E.NotApplicableError, match="has 23,040,000 entries"):
        pb.closed_form(net, params, np.ones((600, 8)))


def test_a_jacobian_is_the_complex_step():
    """Also where the node has both an axis and its primed one."""
    n, t = Axis("batch"), Axis("t", 3)
    x = Input("x", (n, t))
    other = Rename(x, ((t, t.primed),))
    root = Contract((x, other, other), (n, t.primed))
    values = np.random.default_rng(0).normal(size=(2, 3))
    found = evaluate(jacobian(root, x), {"x": values})
    for at in np.ndindex(2, 3):
        moved = values.astype(complex)
        moved[at] += 1e-30j
        close(found[(..., *at)], evaluate(root, {"x": moved}).imag / 1e-30)


AT_REST = [
    (Attention(), (3, 4)), (pb.LayerNorm(4), (4,)), (Gated(4), (4,)), (Frozen(4), (4,)),
    (Highway(4), (4,)), (Tied(4), (4,)), (Softmax(4), (4,)),
    (S(R(S(L(4, 4), pb.Tanh()), -0.5), pb.LayerNorm(4), L(4, 4)), (2, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("block", "shape"), AT_REST, ids=repr)
def test_fixed_point_of_any_block_that_keeps_its_axes(block, shape):
    """δ solves δ = Jᵀ δ + g with J by complex steps, and ∂L/∂θ is what a small push is worth."""
    axes = [Axis(f"a{at}", n) for at, n in enumerate(shape)]
    z = Input("z", (Axis("batch"), *axes))
    rng = np.random.default_rng(7)
    specs = outlined(block, {"x": z}, ours=False).specs
    params = {s.name: rng.normal(size=s.shape) / 5 for s in specs}
    point = pb.FixedPoint(block, params=params, start=np.ones(shape))
    form, out = pb.closed_form(point), built(block, {"x": z}, Scope())
    rest = point.value
    assert rest.shape == shape

    def stepped(**moved):
        return evaluate(out, {**params, "z": rest[None], **moved})[0].ravel()

    close(stepped(), rest.ravel(), tight=1e-10)
    columns = [
        stepped(z=(rest + 1e-30j * e.reshape(shape))[None]).imag / 1e-30 for e in np.eye(rest.size)
    ]
    J, g = np.stack(columns, 1), rng.normal(size=rest.size)
    delta = np.linalg.solve(np.eye(rest.size) - J.T, g)
    close(form.evaluate(g, 0), delta, tight=1e-9)
    gradient = form.gradient(g)
    assert list(gradient) == [s.name for s in specs if s.trained]
    for name, value in gradient.items():
        along = rng.normal(size=value.shape)
        slope = stepped(**{name: params[name] + 1e-30j * along}).imag / 1e-30
        assert np.sum(value * along) == pytest.approx(delta @ slope, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    ("block", "start", "error", "says"),
    [
        (Gated(5), np.ones(4), E.ShapeError, "makes 5 units of 4"),
        (pb.Softmax(), None, E.ConfigError, "give start"),
        (Centred(4), np.ones(4), E.NotApplicableError, "other samples"),
        (L(4, 4), np.ones((2, 3)), E.ShapeError, "start has shape (2, 3)"),
        (L(4, 4), 1.0, E.ShapeError, "start has shape ()"),
    ],
)
def test_what_is_no_map_onto_itself_is_refused(block, start, error, says):
    params = {"value.weight": np.ones((5, 4)), "gate.weight": np.ones((5, 4))}
    given = params if isinstance(block, Gated) else {}
    with pytest.raises(error) as raised:
        pb.FixedPoint(block, params=given, start=start)
    assert says in str(raised.value)


def test_activation_of_a_recurrence_is_read_off_its_equations():
    W, state = [[0.5, 0.1], [0.2, -0.3]], [1.0, 2.0]
    whole = pb.Recurrence(W, 5, pb.Activation("2*tanh(x) + x/2"), state=state)
    blocks = S(R(S(pb.Tanh(), pb.Activation("4*x"))), pb.Activation("x/2"))
    parts = pb.Recurrence(W, 5, blocks, state=state)
    close(parts.states, whole.states)
    for key, value in whole.gradient([1.0, -1.0]).items():
        close(parts.gradient([1.0, -1.0])[key], value)
    for block in (L(2, 2), Softmax(2), Centred(2)):
        with pytest.raises(E.ConfigError, match="acts entry by entry"):
            pb.Recurrence(W, 5, block)


def test_very_many_steps_are_multiplied_in_a_row():
    rng = np.random.default_rng(8)
    W = rng.normal(size=(3, 3))
    r = pb.Recurrence(W, 1500, "tanh", state=rng.normal(size=3))
    form = pb.closed_form(r)
    assert not form.exists
    assert form.condition >= 1


def test_cells_of_many_steps_are_one_product():
    """Routes double at each step, and so would a product that is written out way by way."""
    net, params = network(S(Cells(3, 40), L(3, 2)), "features=3")
    x = np.random.default_rng(1).normal(size=3)
    form = pb.closed_form(net, params, x)
    delta = np.random.default_rng(2).normal(size=(2, form.outputs))
    case = SimpleNamespace(net=net, params=params)
    for layer in (0, 61, form.last):
        expected = by_the_oracle(form, case, x, delta, layer)
        close(form.evaluate(delta, layer), expected, tight=1e-10)
    assert form.error < 1e-10
