"""Piecewise linear networks: one matrix on the region of x, and the region is what it says."""

from itertools import pairwise

import jax
import jax_peer
import numpy as np
import pytest
from zoo import Case, close, named

import pullback as pb
from pullback.closed.network.pieces import pieces

S, L = pb.Sequential, pb.Linear
KINKED = ["ReLU()", "LeakyReLU(slope=0.2)", "depth 8, relu", "no bias", "residual, scaled"]
KINKED.append("Activation(formula='maximum(x, 0.1*x) - abs(x)/7')")
KINKED.append("skipped")
EVERY = pytest.mark.parametrize("name", KINKED)

FORMULAS = [
    "x", "2*x - 3", "relu(x)", "-relu(-x)", "abs(x - 1)", "maximum(x, 0)", "minimum(x, 6) + 1",
    "relu(relu(x) - 1) - abs(x/2)", "maximum(minimum(x, 1), -1)", "sign(x)", "step(x - 2)*x",
    "where(x > 1, 3*x, x)", "where(x*2 <= 1, 0, x - 2)", "relu(x)*step(x)",
    "abs(abs(abs(x) - 1) - 1)", "maximum(x, -x/3) - minimum(2*x, 1)",
]  # fmt: skip
BENT = ["tanh(x)", "x**2", "relu(x)*x", "exp(x)", "abs(x)*relu(x)", "maximum(x, x**2)", "1/x"]


BENDS = pb.Activation("maximum(minimum(x, 1), -1) + abs(x - 2)/3")  # at −1, 1 and 2
SKIPPED = S(L(3, 4), pb.Residual(S(L(4, 4), BENDS, L(4, 4)), 0.7), BENDS, L(4, 5), BENDS, L(5, 2))


def at(name):
    """A network, its parameters and a sample; those of the zoo, and one with bends and skips."""
    case = Case(name, SKIPPED) if name == "skipped" else named(name)
    return case, case.params(), case.data()[0][0]


@pytest.mark.parametrize("text", FORMULAS)
def test_pieces_are_the_function(text):
    f = pb.Activation(text).function
    found = pieces(f)
    z = np.random.default_rng(0).uniform(-8, 8, 400)
    lines = np.array(found.lines)[found.index(z)]
    close(lines[:, 0] * z + lines[:, 1], f(z))
    close(lines[:, 0], np.broadcast_to(f.partial(0)(z), z.shape))
    assert list(found.breaks) == sorted(set(found.breaks))


@pytest.mark.parametrize("text", FORMULAS)
def test_every_break_is_one(text):
    found = pieces(pb.Activation(text).function)
    assert all(a != b for a, b in pairwise(found.lines))


@pytest.mark.parametrize("text", BENT)
def test_what_bends_has_no_pieces(text):
    assert pieces(pb.Activation(text).function) is None


def test_pieces_of_the_named_activations():
    assert pieces(pb.ReLU().function).lines == ((0.0, 0.0), (1.0, 0.0))
    assert pieces(pb.Identity().function).breaks == ()
    bent = (pb.Tanh(), pb.GELU(), pb.ELU(), pb.SELU(), pb.Softplus(), pb.Sigmoid(), pb.SiLU())
    assert not any(pieces(block.function) for block in bent)


@EVERY
def test_any_delta_and_any_x_inside(name):
    case, params, x = at(name)
    form = pb.closed_form(case.net, params, x)
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = rng.normal(size=x.shape)
        other = x + 0.99 * form.region.distance * step / np.linalg.norm(step)
        delta = rng.normal(size=(3, form.outputs))
        again = pb.closed_form(case.net, params, other)
        for layer in range(form.last + 1):
            found = form.evaluate(delta, layer, x=other)
            close(found, again.recursion(delta, layer))
            close(found, form.evaluate(delta, layer))


@EVERY
def test_every_face_is_a_bend_next_to_z(name):
    """|z − bend| / ‖∂z/∂x‖ for the bends on both sides of each unit's z, ∂z/∂x by differences."""
    case, params, x = at(name)
    region = pb.closed_form(case.net, params, x).region
    step = 0.5 * region.distance

    def z(point):
        return pb.closed_form(case.net, params, point).point.z

    pairs = [(z(x + step * e), z(x - step * e)) for e in np.eye(len(x))]
    expected = {}
    for item in region.chain.slopes:
        bends = np.array([-np.inf, *pieces(item.function).breaks, np.inf])
        for unit, value in enumerate(region.point.z[item.path]):
            slope = [
                (up[item.path][unit] - down[item.path][unit]) / (2 * step) for up, down in pairs
            ]
            length = np.linalg.norm(slope)
            for bend in (bends[bends < value].max(), bends[bends > value].min()):
                if np.isfinite(bend) and length > 1e-9:
                    expected[item.path, unit, bend] = abs(value - bend) / length
    found = {(face.path, face.unit, face.bend): face.distance for face in region.faces}
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[key] for key in expected], [*expected.values()], rtol=1e-7)
    assert region.distance == min(found.values())


@EVERY
def test_region_ends_at_its_nearest_face(name):
    """Along the normal of the nearest face: inside just before it, outside just behind it."""
    case, params, x = at(name)
    form = pb.closed_form(case.net, params, x)
    face = form.region.faces[0]
    step = 0.5 * face.distance

    def z(point):
        return pb.closed_form(case.net, params, point).point.z[face.path][face.unit]

    slope = np.array([z(x + step * e) - z(x - step * e) for e in np.eye(len(x))])
    towards = np.sign(face.bend - z(x)) * face.distance * slope / np.linalg.norm(slope)
    assert x + (1 - 1e-7) * towards in form.region
    beyond = x + (1 + 1e-7) * towards
    assert beyond not in form.region
    with pytest.raises(pb.errors.NotApplicableError, match="another activation region"):
        form.evaluate(np.ones(form.outputs), 0, x=beyond)


@EVERY
def test_no_face_is_nearer_in_any_direction(name):
    case, params, x = at(name)
    region = pb.closed_form(case.net, params, x).region
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(300, len(x)))
    steps *= region.distance / np.linalg.norm(steps, axis=1, keepdims=True)
    assert all(x + 0.999 * step in region for step in steps)


@pytest.mark.parametrize("name", KINKED[:-1])  # the peers do not know the formula of the last
def test_one_matrix_is_the_jacobian_of_jax(name):
    case, params, x = at(name)
    form = pb.closed_form(case.net, params, x)
    weight = form.chain.places[0].name + ".weight"

    def output(W):
        return jax_peer.apply(case.model, params | {weight: W}, x[None])[0]

    # the first layer's ∂output/∂W = δ xᵀ for each output
    J = np.asarray(jax.jacrev(output)(params[weight]))
    for k, delta in enumerate(np.eye(form.outputs)):
        close(np.outer(form.evaluate(delta, 0), x), J[k])


def test_dead_network_has_no_face_to_meet():
    net = pb.Network(S(L(2, 3), pb.ReLU(), L(3, 1)), loss=pb.SquaredError())
    params = {
        "0.weight": np.zeros((3, 2)), "0.bias": -np.ones(3),
        "2.weight": np.ones((1, 3)), "2.bias": np.zeros(1),
    }  # fmt: skip
    form = pb.closed_form(net, params, [1.0, 2.0])
    assert form.region.distance == np.inf
    assert "whole space" in form.reason
    assert form.evaluate([1.0], 0).tolist() == [0.0, 0.0, 0.0]
    assert form.to_dict()["region"]["distance"] is None


def test_x_on_a_face_is_said():
    net = pb.Network(S(L(2, 1), pb.ReLU(), L(1, 1)), loss=pb.SquaredError())
    params = {
        "0.weight": np.array([[3.0, 4.0]]), "0.bias": np.zeros(1),
        "2.weight": np.ones((1, 1)), "2.bias": np.zeros(1),
    }  # fmt: skip
    assert "x lies on a face" in pb.closed_form(net, params, [0.0, 0.0]).reason
    form = pb.closed_form(net, params, [3.0, 4.0])
    assert form.region.distance == 5.0  # the line 3 x + 4 y = 0
    assert form.region.faces[0].path == "1"
    assert form.region.pattern["1"].tolist() == [1]
    assert form.evaluate([2.0], 0).tolist() == [2.0]


def test_relu_recurrence_holds_on_the_region_of_its_first_state():
    W = np.array([[0.9, -0.7], [0.4, 0.3]])
    inputs = np.random.default_rng(4).normal(size=(5, 2)) + 0.3
    r = pb.Recurrence(W, 5, pb.LeakyReLU(0.1), inputs=inputs, state=[1.0, -0.2])
    form, delta = pb.closed_form(r), np.array([1.0, 2.0])
    assert form.method == "region"
    for layer in range(6):
        close(form.evaluate(delta, layer), r.delta(delta, layer))
    near = r.state + 0.9 * form.region.distance * np.array([0.6, 0.8])
    moved = pb.Recurrence(W, 5, pb.LeakyReLU(0.1), inputs=inputs, state=near)
    close(form.evaluate(delta, 0, x=near), moved.delta(delta, 0))


def test_region_without_numbers_asks_for_them():
    form = pb.closed_form(named("ReLU()").net, named("ReLU()").params())
    assert form.exists
    with pytest.raises(pb.errors.NotApplicableError, match="params and one x"):
        form.evaluate(np.ones(3), 0)


POOLED = {
    "windows": (
        S(pb.Conv2d(1, 2, 3), pb.ReLU(), pb.MaxPool2d(2), pb.Flatten(), L(18, 2)),
        "channels=1 height=8 width=8",
    ),
    "padded, overlapping": (
        S(pb.Conv1d(1, 2, 3), pb.MaxPool1d(3, 1, 1), pb.Conv1d(2, 1, 2)), "channels=1 length=9",
    ),
    "of everything": (
        S(pb.Conv1d(1, 3, 2), pb.LeakyReLU(0.2), pb.AdaptiveMaxPool1d(1), pb.Flatten(), L(3, 2)),
        "channels=1 length=7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLED)
def test_a_max_pool_has_a_region_whose_faces_are_ties(name):
    model, axes = POOLED[name]
    net = pb.Network(model, pb.SquaredError(), x=axes)
    params = net.init(seed=0)
    rng = np.random.default_rng(5)
    x = rng.normal(size=[axis.size for axis in net.x.axes[1:]])
    c = pb.closed_form(net, params, x)
    assert c.method == "region"
    assert c.error < 1e-12
    face, rest = c.region.faces[0], c.region.faces[1].distance
    assert any(each.rival is not None for each in c.region.faces)
    # just before the nearest face nothing changes, just behind it one thing does
    for _ in range(20):
        step = rng.normal(size=x.shape)
        near = x + 0.999 * face.distance * step / np.linalg.norm(step)
        assert near in c.region
    beyond = [x + d * min(1.001 * face.distance, rest) for d in _directions(c, face)]
    assert any(each not in c.region for each in beyond)


def _directions(c, face):
    """Unit vectors across a face, both ways."""
    (item,) = (i for i in c.chain.kinks if i.path == face.path)
    arriving = c.region.point.arriving(c.chain.items)[item]
    normal = arriving[face.unit]
    if face.rival is not None:
        places = item.rivals.table[face.unit]
        chosen = places[item.rivals.chosen(c.region.point.z[face.path])[face.unit]]
        normal = arriving[face.rival] - arriving[chosen]
    unit = (normal / np.linalg.norm(normal)).reshape(c.region.point.x.shape)
    return unit, -unit
