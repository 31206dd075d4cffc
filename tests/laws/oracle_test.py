"""The slow interpreter is the oracle of tests and gradient checks; what a user calls is emitted."""

import ast
import warnings
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.ir.evaluate import evaluate

PACKAGE = Path(pb.__file__).parent
CHECKS = {
    "train/check.py": "complex steps",
    "derive/proof.py": "complex steps at random points",
    "plan/elimination/entries.py": "the zeros and ones of a pattern, unrolled",
    "derive/neurons/graph.py": "δ of one sample, printed",
    "derive/formula/forms.py": "numbers that nothing changes, printed",
}


def imported(tree: ast.Module) -> set[str]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return modules | {alias.name for node in nodes for alias in node.names}


def test_only_checks_read_the_oracle():
    readers = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if "pullback.ir.evaluate" in imported(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert readers <= set(CHECKS)


@pytest.mark.parametrize(
    ("text", "arrays"),
    [
        ("sum(x/y)", {"x": [1.0, 0.0], "y": [0.0, 0.0]}),
        ("sum(log(x))", {"x": [0.0, -1.0]}),
        ("sum(exp(x))", {"x": [1000.0]}),
        ("sum(x*x)", {"x": [1e300, 1.0]}),
        ("max(x) + sum(maximum(x, y))", {"x": [1.0, 1.0], "y": [1.0, 0.0]}),
        ("outer(x[1:], rename(x[:-1], n='k'))", {"x": [1.0, 2.0, 3.0]}),
        ("trace(A @ rename(A, i='j', j='k'), 'i k')", {"A": [[1.0, 2.0], [3.0, 4.0]]}),
        ("1 + 2", {}),
    ],
)
def test_an_expression_is_what_the_oracle_says_without_warnings(text, arrays):
    axes = {name: ("", "n", "i j")[np.ndim(value)] for name, value in arrays.items()}
    e = pb.expr(text, **axes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = e(**arrays)
        if not e.node.axes and arrays:
            value, grads = e.function(wrt=list(arrays))(**arrays)
            np.testing.assert_array_equal(value, found)
            for name, slope in grads.items():
                assert slope.shape == np.shape(arrays[name])
                assert slope.dtype == np.float64
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, evaluate(e.node, arrays), rtol=1e-14)


def test_the_dtype_is_that_of_the_arrays():
    e = pb.expr("sum(a*x) + b", a="n", x="n", b="")
    single, double = np.ones(3, np.float32), np.ones(3)
    for x, dtype in ((single, np.float32), (double, np.float64), ([1, 1, 1], np.float64)):
        _, grads = e.function(wrt=["a", "b"])(a=single, x=x, b=2)
        assert {grad.dtype for grad in grads.values()} == {np.dtype(dtype)}


def test_a_variable_that_is_read_by_name_only_is_never_written_to():
    x = np.arange(3.0)
    for text in ("x", "x + 0", "2*x"):
        out = pb.expr(text, x="n")(x=x)
        out += 1
        assert x.tolist() == [0, 1, 2]
