"""The law: a printed formula, computed with matrices, has its node's value and shape."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pytest
from printed import ZOO, Roots
from scipy.special import logsumexp

from pullback.derive import EquationList
from pullback.derive.formula.text import Text
from pullback.derive.formula.tree import (
    AppliedFormula,
    Call,
    CasesFormula,
    Formula,
    Hadamard,
    Indicator,
    InverseFormula,
    Kronecker,
    MatrixPower,
    Negative,
    Norm,
    Number,
    Ones,
    Power,
    ProductFormula,
    Quotient,
    Relation,
    Root,
    ScaledFormula,
    Sum,
    Symbol,
    Transpose,
)
from pullback.ir import (
    Input,
    Node,
    Parameter,
    walk,
)
from pullback.ir.evaluate import evaluate_all
from pullback.ir.scalar.primitives import PRIMITIVES

Array = np.ndarray
SAMPLES = 5
RELATIONS = {">": operator.gt, "<": operator.lt, "≥": operator.ge, "≤": operator.le}
RELATIONS |= {"=": operator.eq, "≠": operator.ne}


@pytest.mark.parametrize("name", ZOO)
def test_rows_computed_as_matrices_are_their_nodes(name):
    check_formulas(ZOO[name](), "rows", SAMPLES)


@pytest.mark.parametrize("name", ZOO)
def test_columns_computed_for_one_sample_are_their_nodes(name):
    check_formulas(ZOO[name](), "columns", 1)


def test_a_wrong_transpose_is_rejected():
    z = EquationList.of(ZOO["tanh"](), "rows")["z.0"]
    x, W = np.ones((SAMPLES, 4)), np.ones((4, 3))
    symbols = {"X": x, "W₁": W, "b₁": np.ones((3, 1))}
    assert Computation(symbols, SAMPLES).value(z.right).shape == (SAMPLES, 3)
    with pytest.raises(ValueError, match="matmul"):
        Computation(symbols | {"W₁": W.T}, SAMPLES).value(z.right)
    with pytest.raises(AssertionError, match="differ"):
        Computation(symbols | {"b₁": np.ones((4, 1))}, SAMPLES).value(z.right)


def check_formulas(roots: Roots, convention: str, samples: int) -> None:
    """Each right side, given the symbols of the others, has its node's value and shape."""
    listing = EquationList.of(roots, convention)
    notation, batch = listing.notation, listing.notation.batch
    rng = np.random.default_rng(0)
    leaves = {node for node in walk(roots) if isinstance(node, (Input, Parameter))}
    given = {
        leaf.name: rng.uniform(
            0.2, 0.8, [samples if axis == batch else axis.size or 3 for axis in leaf.axes]
        )
        for leaf in sorted(leaves, key=lambda leaf: leaf.name)
    }
    values = evaluate_all((*roots, *(each.node for each in listing.equations)), given)

    def shown(node: Node) -> Array:
        value = values[node]
        if convention == "columns" and batch in node.axes:
            value = value.squeeze(node.axes.index(batch))
        else:
            value = value.transpose([node.axes.index(a) for a in notation.form.shown(node.axes)])
        return value[:, None] if value.ndim == 1 else value

    symbols = {Text()(s): shown(node) for node, s in notation.symbols.items()}
    computation = Computation(symbols | {"N": np.asarray(float(samples))}, samples)
    for equation, line in zip(listing.equations, listing, strict=True):
        found, expected = computation.value(line.right), shown(equation.node)
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=line.text())
        assert found.shape == expected.shape, line.text()


@dataclass(frozen=True)
class Computation:
    """Formulas computed as matrices and columns, strictly: only scalars broadcast."""

    symbols: Mapping[str, Array]
    samples: int

    def value(self, formula: Formula) -> Array:
        of = self.value
        match formula:
            case Number(value):
                return np.asarray(float(value))
            case Symbol("π"):
                return np.asarray(np.pi)
            case Ones():  # outside a product it is one long, or the shape of the result is wrong
                return np.ones((1, 1))
            case Symbol():
                return self.symbols[Text()(formula)]
            case Negative(arg):
                return -of(arg)
            case Sum(terms):
                return sum(alike(of(term) for term in terms))
            case Call("mean", (arg,)):
                column = of(arg)
                assert column.shape[1:] == (1,)
                return np.asarray(column.mean())
            case ScaledFormula():
                *scalars, last = map(of, formula.parts)
                assert not any(scalar.shape for scalar in scalars)
                return np.prod(scalars) * last
            case ProductFormula(factors):
                return self.product(factors)
            case Hadamard(factors):
                return np.prod(alike(of(factor) for factor in factors), axis=0)
            case Quotient(over, under):
                above, below = alike([of(over), of(under)])
                return above / below
            case Power(base, exponent):
                return of(base) ** of(exponent)
            case MatrixPower(base, exponent):
                return np.linalg.matrix_power(of(base), exponent)
            case Root(arg):
                return np.sqrt(of(arg))
            case Transpose(arg):
                return of(arg).T
            case Norm(arg):
                return np.sqrt(np.sum(of(arg) ** 2))
            case Indicator(Relation(left, sign, right)):
                return np.asarray(RELATIONS[sign](of(left), of(right))).astype(float)
            case CasesFormula((*chosen, (otherwise, None))):
                found = of(otherwise)
                for value, holds in reversed(chosen):
                    chosen_here = RELATIONS[holds.sign](of(holds.left), of(holds.right))
                    found = np.where(chosen_here, of(value), found)
                return found
            case InverseFormula(arg):
                return np.linalg.inv(of(arg))
            case Call("det" | "tr" as name, (arg,)):
                return np.asarray(np.linalg.det(of(arg)) if name == "det" else np.trace(of(arg)))
            case Call("vec", (arg,)):
                return of(arg).T.reshape(-1, 1)
            case Call("diag", (arg,)):
                inner = of(arg)
                return np.diag(inner[:, 0]) if inner.shape[1] == 1 else np.diag(inner)[:, None]
            case Kronecker(left, right):
                return np.kron(of(left), of(right))
            case Call("max" | "min" as name, (one, other)):
                return (np.maximum if name == "max" else np.minimum)(of(one), of(other))
            case Call("softmax" | "logsumexp" | "max" as name, (arg,)):
                return along_rows(name, of(arg))
            case AppliedFormula(Symbol("detach"), (arg,)):
                return of(arg)
            case AppliedFormula():
                return self.symbols[Text()(formula)]
            case Call(name, (arg,)):
                return PRIMITIVES[name].compute(of(arg))
        raise AssertionError(f"no value for {formula}")

    def product(self, factors: Sequence[Formula]) -> Array:
        """The matrix product; ones are as long as their neighbour asks, or as there are samples."""
        values: list[Array] = []
        for at, factor in enumerate(factors):
            if factor == Transpose(Ones()):
                after = factors[at + 1 : at + 2]
                length = len(self.value(after[0])) if after else self.samples
                values.append(np.ones((1, length)))
            elif factor == Ones():
                values.append(np.ones((values[-1].shape[1] if values else self.samples, 1)))
            else:
                values.append(self.value(factor))
        result = reduce(np.matmul, values)
        return result.reshape(()) if result.shape == (1, 1) else result


def alike(values: Iterable[Array]) -> list[Array]:
    """Values of one shape, and scalars."""
    known = list(values)
    shapes = {value.shape for value in known if value.shape}
    assert len(shapes) <= 1, f"{shapes} differ"
    return known


def along_rows(name: str, value: Array) -> Array:
    """Softmax, logsumexp or the largest entry of each row, or of a column."""
    axis = 0 if value.shape[1] == 1 else 1
    if name == "max":
        return value.max(axis=axis, keepdims=True)
    total = logsumexp(value, axis=axis, keepdims=True)
    if name == "softmax":
        return np.exp(value - total)
    return total.reshape(()) if total.shape == (1, 1) else total
