"""What each equation is, read from its node alone, over networks that are no stacks."""

import pytest
from general_networks import GENERAL

from pullback.ir import Axis, Constant, Contract, Graph, Input, Named, Parameter, flow, symbol
from pullback.ir.build import add, multiply, scalar_map, scale
from pullback.ir.flow import form
from pullback.ir.forms import Affine, Join, Normalise, Softmax

FORMS = {
    "linear over tokens": "z.0 Affine, a.1 Pointwise, z.2 Affine",
    "layer norm": "z.0 Affine, stat.1.mean Reduce, stat.1.inverse Opaque, "
    "a.1.normalised Normalise, a.1 Affine, "
    "a.2 Pointwise, z.3 Affine",
    "gated": "z.0.value Affine, z.0.gate Affine, a.0.gate Pointwise, a.0 Gate, z.1 Affine",
    "one weight twice": "z.code Affine, a.code Pointwise, z.back Affine",
    "two inputs": "z.0.u Affine, z.0.v Affine, a.0 Join, z.1 Affine",
    "attention over tokens": "z.0.query Affine, z.0.key Affine, z.0.scores Opaque, "
    "stat.0.total Reduce, a.0.weights Softmax, z.0.value Affine, a.0 Opaque, z.1 Affine",
    "one number a sample": "z.0 Affine, a.1 Pointwise, z.2.sum Reduce",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_equation_has_its_form(name):
    (case,) = [case for case in GENERAL if case.name == name]
    forms = flow(Graph({"output": case.net.output}))
    found = ", ".join(f"{each.name} {type(held).__name__}" for each, held in forms.items())
    assert found == FORMS[name]


batch, i, o = Axis("batch"), Axis("in", 3), Axis("out", 3)
x, y = Input("x", (batch, i)), Input("y", (batch, i))
W, b, g = Parameter("W", (o, i)), Parameter("b", (o,)), Parameter("g", (i,))
mean = Named("stat.mean", scale(1 / 3, Contract((x,), (batch,))), "stat")
factor = Named("stat.factor", scalar_map(1 / symbol(0), Contract((x, x), (batch,))), "stat")


def of(node):
    return form(Named("a.0", node, "a"))


def test_an_affine_form_says_what_is_summed_and_shared():
    found = of(add(Contract((x, W), (batch, o)), b))
    assert found == Affine(W, b, x, (i,), (), 1.0)
    assert (found.n_in, found.n_out, found.is_matrix) == (3, 3, True)
    diagonal = of(Contract((x, g, Constant(2.0)), x.axes))
    assert isinstance(diagonal, Affine)
    assert (diagonal.shared, diagonal.summed, diagonal.is_matrix) == ((i,), (), False)
    assert (diagonal.scale, of(Contract((x, W, Constant(0.5)), (batch, o))).scale) == (2.0, 0.5)


def test_a_join_says_its_weights_where_it_is_a_sum():
    found = of(add(x, scale(0.5, y)))
    assert isinstance(found, Join)
    assert dict(zip(found.args, found.weights, strict=True)) == {x: 1.0, y: 0.5}
    assert of(scalar_map(symbol(0) + symbol(1) ** 2, x, y)).weights is None


def test_a_norm_says_its_parts():
    centred = add(x, scale(-1.0, mean))
    assert of(multiply(centred, factor)) == Normalise(x, (i,), factor, mean)
    bias = Parameter("b", (i,))
    whole = of(add(multiply(centred, factor, g), bias))
    assert whole == Normalise(x, (i,), factor, mean, g, bias)
    assert of(multiply(x, factor, g)) == Normalise(x, (i,), factor, gain=g)
    assert not isinstance(of(multiply(centred, factor, factor)), Normalise)


def test_a_softmax_may_have_named_row_sums():
    (case,) = [case for case in GENERAL if case.name == "attention over tokens"]
    found = [f for f in flow(case.net.graph).values() if isinstance(f, Softmax)]
    assert [(each.axis.name, each.total.name) for each in found] == [
        ("tokens.other", "stat.0.total")
    ]
    assert found[0].args == (found[0].arg, found[0].total)
