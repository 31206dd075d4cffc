"""Names are data: whatever stands in one, emitted source computes the same, and nothing else."""

from __future__ import annotations

import ast
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.emit import lower
from pullback.emit.expression.quote import docstring, literal
from pullback.emit.names import Names
from pullback.emit.target import inplace, jax, numba, torch
from pullback.emit.target import numpy as readable
from pullback.emit.target.language import Task
from pullback.ir import Axis, Contract, Input, Map, Named, Parameter, fn, symbol
from pullback.ir.build import add, scalar_map, scale
from pullback.ir.scalar.function import Scalar
from pullback.net.program import compile_program, execute

HOSTILE = [
    '" + str(open("owned", "w")) + ".weight',
    "' + str(open('owned', 'w')) + '",
    '"] + [open("owned", "w"), "',
    '"""\nopen("owned", "w")\n"""',
    "\\",
    '\\"',
    "a\nimport os",
    "a\rb",
    "\u2028open('owned','w')",
    "{x}",
    "{0}",
    "%s",
    "\0",
    "\ud800",
    "0.weight",
    " ",
    "class",
    "None",
    "np",
    "params",
    "value",
    "max",
    "range",
    "__import__('os')",
    "ﬁ",
    "fi",
    "ſ",
    "δ",
    "n",
    "n_n",
    "t",
    "i0",
    "A0",
    "run",
    "x" * 5000,
]


def roots(name: str, other: str):
    """tanh of X w, and the sum over both axes, under two names."""
    n, d = Axis("rows"), Axis(other)
    x, w = Input(name + "x", (n, d)), Parameter(name, (d,))
    product = Contract((x, w), (n,))
    return {
        name: Map(Scalar.of(symbol(0) ** 2), (product,)),
        other + "2": Contract((x, w), ()),
    }, (x, w)


def values(name: str, other: str):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 3)), rng.normal(size=3)
    return x, w, {name: (x @ w) ** 2, other + "2": np.sum(x @ w)}


PAIRS = [(a, b) for a, b in zip(HOSTILE, HOSTILE[7:] + HOSTILE[:7], strict=True)]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir()), "a name was executed"


@pytest.mark.parametrize("target", [readable, numba, jax, torch], ids=lambda t: t.__name__[14:])
def test_emitted_modules(target):
    """One module a pair, one with all of them: they run, and give what they should."""
    for name, other in PAIRS if target in (readable, torch) else PAIRS[:4]:
        nodes, leaves = roots(name, other)
        program = lower(nodes, target.RESERVED | {"f"}, leaves)
        task = Task("f", f"{name} and {other}", program, {key: key for key in nodes})
        names = execute(target.emit([task], [name, other]), {})
        x, w, expected = values(name, other)
        convert = __import__("torch").as_tensor if target is torch else np.asarray
        found = names["f"]({name: convert(w)}, convert(x))
        assert set(found) == set(expected)
        for key, value in expected.items():
            np.testing.assert_allclose(np.asarray(found[key]), value, rtol=1e-5)


def test_the_program_that_runs():
    for name, other in PAIRS:
        nodes, _ = roots(name, other)
        x, w, expected = values(name, other)
        found = compile_program(nodes, name)({name: w}, {name + "x": x})
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-12)


def test_literals_and_docstrings_read_back():
    for text in (*HOSTILE, *('"' * k + "'" * j for k, j in permutations(range(5), 2))):
        assert ast.literal_eval(literal(text)) == text
        assert ast.literal_eval(docstring(text)) == text
        assert all(c == "\n" or c.isprintable() for c in docstring(text))


def test_identifiers_are_identifiers_and_differ():
    names = Names(frozenset({"np"}))
    given = [names.of(name) for name in HOSTILE]
    assert all(each.isidentifier() for each in given)
    # Python reads these letters as the plain ones
    plain = [ast.parse(each, mode="eval").body.id for each in given]
    assert plain == given
    assert len(set(plain)) == len(HOSTILE)


def test_no_name_takes_one_that_an_emitter_makes_on_the_way():
    made = ["A0", "A12", "i3", "s0", "s0_1", "A1_2_3"]
    assert all(name in inplace.RESERVED for name in made)
    given = [Names(inplace.RESERVED).of(name) for name in [*made, *HOSTILE]]
    assert not any(name in inplace.RESERVED for name in given)


def test_axes_with_quotes_do_not_end_a_docstring(tmp_path: Path):
    e = pb.expr(
        "sum(x)",
        x="""n
    """,
    )
    source = pb.derive(e, wrt="x").code("numpy")
    assert "value_and_grad" in execute(source, {})


def test_an_input_a_parameter_and_an_equation_of_one_name_are_three():
    n = Axis("n")
    x, w = Input("x", (n,)), Parameter("x", (n,))
    node = Contract((Named("x", Map(Scalar.of(2 * symbol(0)), (x,))), w), ())
    given = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert compile_program({"s": node}, "s")({"x": given[1]}, {"x": given[0]})["s"] == 22


@pytest.mark.parametrize("target", ["numpy", "jax", "torch"])
def test_a_target_that_would_broadcast_is_refused_by_emitted_code(target):
    net = pb.Network(pb.Linear(2, 1), pb.MSELoss())
    convert = __import__("torch").as_tensor if target == "torch" else np.asarray
    run = execute(pb.derive(net).code(target), {})["value_and_grad"]
    params = {"weight": convert(np.ones((1, 2))), "bias": convert(np.zeros(1))}
    X, y = convert(np.arange(8.0).reshape(4, 2)), convert(np.arange(4.0))
    assert float(run(params, X, y[:, None])[0]) == 41.5
    with pytest.raises(ValueError, match="target is not of shape"):
        run(params, X, y)


def test_two_equations_of_one_name_are_two_arrays():
    x = Input("x", (Axis("b", 3),))
    one, other = (Named("z.0", scalar_map(fn(f)(symbol(0)), x), "z") for f in ("tanh", "sin"))
    roots = {"one": scale(2.0, one), "other": scale(3.0, other), "sum": add(one, other)}
    X = np.arange(3.0)
    found = compile_program(roots, "Two of one name.")({}, {"x": X})
    np.testing.assert_allclose(found["one"], 2 * np.tanh(X))
    np.testing.assert_allclose(found["other"], 3 * np.sin(X))
    np.testing.assert_allclose(found["sum"], np.tanh(X) + np.sin(X))
