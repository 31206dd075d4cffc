"""What stands in the nodes of a picture, in front of products, and in its description in words."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import sympy as sp

import pullback as pb
from pullback.diagram.label import function_label
from pullback.ir import Axis, Input, symbol
from pullback.ir.build import scalar_map

A, B = symbol(0), symbol(1)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("expr", "label"),
    [
        (A**25 * B, "a²⁵·b"),
        (A ** sp.Rational(3, 2) * B, "a^(3/2)·b"),
        (B / A**3, "b/a³"),
        ((A + B) ** -2, "(a + b)⁻²"),
        (A**2.5 + B, "a^2.5 + b"),
        (A * B + 1e-5, "a·b + 1e−5"),
        (1e20 * A + B, "1e20·a + b"),
        (A**B, "a^b"),
        (A / B ** sp.Rational(3, 2), "a/b^(3/2)"),
        ((A * B) ** sp.Rational(-3, 2), "1/(a·b)^(3/2)"),
    ],
)
def test_powers_and_numbers_are_written_as_people_do(expr, label):
    n = Axis("n")
    assert function_label(scalar_map(expr, Input("a", (n,)), Input("b", (n,))), ["a", "b"]) == label


def test_a_function_of_an_identity_and_an_outer_product_is_two_products():
    _, result = pb.expr("x/norm(x)", x="n").derivative("x").diagram().lines
    labels = [[tensor.label for tensor in term.tensors] for term in result.terms]
    assert labels == [["1/√①"], ["x", "1/①^(3/2)", "x"]]
    assert [term.coefficient for term in result.terms] == [1, -1]


def test_one_over_a_whole_number_is_a_fraction():
    e = pb.expr("sum(x)/196", x="n")
    assert ">1/196<" in e.diagram().svg
    assert ">0.3<" in pb.expr("0.3*sum(x)", x="n").diagram().svg


def test_a_long_meaning_goes_on_set_in():
    e = pb.expr("tanh(exp(sin(cos(x)+v*a)-log(1+x**2)))*v", x="n", v="n", a="n")
    texts = [each for each in ElementTree.fromstring(e.derivative("x").diagram().svg).iter()
             if each.tag == f"{SVG}text"]  # fmt: skip
    assert [each.get("x") for each in texts][-2:] == ["16.0", "16.0"]


def test_the_picture_says_itself_in_words_and_needs_no_identifier():
    svg = pb.expr("A@exp(x)", A="m n", x="n").derivative("x").diagram().svg
    root = ElementTree.fromstring(svg)
    title, words = root.find(f"{SVG}title").text, root.find(f"{SVG}desc").text
    assert title == root.get("aria-label")
    assert words == "result[m, n] = A[m, n] exp(x)[n]"
    assert not re.search(r"\bid=|<script|url\(", svg)


def test_the_words_are_the_number():
    """The indices in words, taken as an einsum."""
    rng = np.random.default_rng(0)
    arrays = {"A": rng.standard_normal((3, 4)), "B": rng.standard_normal((4, 3))}
    e = pb.expr("tr(A@B)", A="m n", B="n m")
    words = ElementTree.fromstring(e.diagram().svg).find(f"{SVG}desc").text
    indices = dict(re.findall(r"([AB])\[(.*?)\]", words))
    letters = {name: each.replace("m′", "m").replace(", ", "") for name, each in indices.items()}
    found = np.einsum(f"{letters['A']},{letters['B']}->", arrays["A"], arrays["B"])
    assert words.startswith("result = sum over n, m′ of ")
    np.testing.assert_allclose(found, e(**arrays))
