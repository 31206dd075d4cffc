"""The law of diagrams: the contraction that the picture describes is the number that it stands for.

Lines are computed from the picture's data alone, by einsum, and compared with the slow interpreter.
"""

import re

import numpy as np
import pytest
from contracted import contracted
from cookbook import EXAMPLES, IDENTITIES, SQUARE
from general_networks import GENERAL
from zoo import ZOO, Case

import pullback as pb
from pullback.derive import EquationList, Text
from pullback.diagram.label import stripped
from pullback.ir import Input, Parameter, walk
from pullback.ir.evaluate import evaluate_all
from pullback.ir.sizes import axis_sizes
from pullback.net.checks import checked_batch

SIZES = {"n": 4, "m": 3, "d": 2, "e": 5, "k": 3}
FURTHER = [
    ("softmax(Q@K.T, axis='m')@V", "Q", {"Q": "n d", "K": "m d", "V": "m e"}),
    ("softmax(Q@K.T, axis='m')@V", "K", {"Q": "n d", "K": "m d", "V": "m e"}),
    ("mean(log(1+exp(-y*(X@w))))", "w", {"X": "n d", "y": "n", "w": "d"}),
    ("-mean(sum(Y*log(softmax(X@W, axis='k')), axis='k'))", "W",
     {"X": "n d", "Y": "n k", "W": "d k"}),
    ("mean((X@w-y)**2) + 0.1*sum(w**2)", "w", {"X": "n d", "y": "n", "w": "d"}),
    ("sum(x[:3]*x[1:])", "x", {"x": "n"}),
    ("sum(diag(X)*v)", "X", {"X": "n n", "v": "n"}),
    ("sum(exp(A - A.T)*B)", "A", {"A": "n n", "B": "n n"}),
    ("max(A@x, axis='m')", "x", {"A": "m d", "x": "d"}),
    ("cumsum(x)@y", "x", {"x": "n", "y": "n"}),
    ("sum(tanh(A)) + c + mean(A)*3", "A", {"A": "n d", "c": ""}),
    ("where(x > y, x*y, x)", "x", {"x": "n", "y": "n"}),
    ("x/norm(x)", "x", {"x": "n"}),
    ("tr(X)*eye(n) - 2", "X", {"X": "n n"}),
    ("kron(A, X)", "X", {"A": "m k", "X": "n d"}),
    ("vec(A@X)", "X", {"A": "m n", "X": "n d"}),
    ("vech(X@X.T)", "X", {"X": "n d"}),
    ("sum(exp(vec(X)))", "X", {"X": "n d"}),
    ("x*y*x*x*x*x", "x", {"x": "n", "y": "n"}),
]  # fmt: skip


# whose second derivative is 0 along axes that no variable has, or is refused
ONCE = ("kron(A, X)", "vec(A@X)", "sum(x[:3]*x[1:])")


def declared(text, more):
    letters = dict.fromkeys(re.findall(r"(?<![.\w])[A-Za-z]\b", text))
    known = SQUARE | more
    return {letter: known[letter] for letter in letters if letter in known}


def lengths(roots, values):
    """How long every axis is."""
    return axis_sizes(walk(roots), {name: np.shape(value) for name, value in values.items()})


BOOK = [(text, wrt, declared(text, more)) for _, text, wrt, _, more in (*IDENTITIES, *EXAMPLES)]


def drawn(axes):
    rng = np.random.default_rng(0)
    found = {}
    for name, words in axes.items():
        over = [SIZES[word] for word in words.split() if word in SIZES]
        square = len(set(over)) < len(over)
        found[name] = rng.uniform(0.5, 1.5, over) + (np.eye(over[0]) if square else 0)
        if "sym" in words:
            found[name] = found[name] + found[name].T
        if "diag" in words:
            found[name] = np.diag(np.diag(found[name]))
    return found


@pytest.mark.parametrize(("text", "wrt", "axes"), [*BOOK, *FURTHER])
def test_an_expression_and_its_derivatives(text, wrt, axes):
    e, values = pb.expr(text, **axes), drawn(axes)
    for each in (e, e.derivative(wrt), *([] if text in ONCE else [e.derivative(wrt, order=2)])):
        found = contracted(each.diagram(), lengths((*e.leaves, each.node), values), values)[""]
        np.testing.assert_allclose(found, each(**values), rtol=1e-9, atol=1e-9)


def test_a_derivation_of_an_expression():
    axes = {"X": "n d", "y": "n", "w": "d"}
    values = drawn(axes) | {"v_w": np.array([0.3, -2.0])}
    d = pb.derive(pb.expr("mean(tanh(X@w)*y)", **axes), wrt="w", order=2)
    found = contracted(d.diagram(), lengths(d.roots.values(), values), values)
    names = {"L": "value", "∂L/∂w": "gradient.w", "∂²L/∂w∂w": "hessian.w.w",
             "(H v)": "hessian_vector_product.w"}  # fmt: skip
    expected = evaluate_all(tuple(d.roots.values()), values)
    assert set(names) <= set(found)
    for line, root in names.items():
        np.testing.assert_allclose(found[line], expected[d.roots[root]], rtol=1e-9)


CLOSE = {"rtol": 1e-9, "atol": 1e-11}
NETWORKS = [*ZOO[::6], *GENERAL]


@pytest.mark.parametrize("case", NETWORKS, ids=repr)
def test_every_equation_of_a_network(case):
    net = case.net
    given = case.values() if isinstance(case, Case) else given_to(case)
    listing = EquationList.of(
        net.equations.values(), leaves=[*net.inputs, *net.parameters.values()]
    )
    nodes = tuple(each.node for each in listing.equations)
    arrays = evaluate_all((*net.inputs, *nodes), given)
    diagram = pb.derive(net).diagram()
    found = contracted(diagram, lengths(arrays, given), leaves_of(diagram, given))
    close = {"rtol": 1e-4, "atol": 1e-5} if getattr(case, "dtype", float) == np.float32 else CLOSE
    for node in nodes:
        name = Text()(listing.notation.symbols[node])
        np.testing.assert_allclose(found[name], arrays[node], **close, err_msg=name)


def given_to(case):
    batch = checked_batch(case.net, case.X, case.Y)
    return {**case.params, **batch}


def leaves_of(diagram, given):
    """The arrays of leaves by the names that they have in the picture."""
    tensors = [t for line in diagram.lines for term in line.terms for t in term.tensors]
    read = [(stripped(node), name) for t in tensors for node, name in t.reads]
    return {n: given[leaf.name] for leaf, n in read if isinstance(leaf, (Input, Parameter))}
