"""Printed formulas computed, as matrices or entry by entry, where every index is a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from formula_law_test import RELATIONS, Computation
from scipy.special import logsumexp

from pullback.derive.formula.forms import pattern_symbol
from pullback.derive.formula.text import Text
from pullback.derive.formula.tree import (
    AppliedFormula,
    Blocks,
    Call,
    CasesFormula,
    Formula,
    Hadamard,
    Indexed,
    IndexSum,
    Indicator,
    Negative,
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
    walk,
)
from pullback.derive.program import batch_program, sample_program
from pullback.ir import Contract, Named, OneHot, Pattern
from pullback.ir import walk as walk_nodes
from pullback.ir.evaluate import evaluate, evaluate_all
from pullback.ir.scalar.primitives import PRIMITIVES

Place = Mapping[str, int]


def indices_of(left: Formula, right: Formula) -> tuple[str, ...] | None:
    """The indices of a left side, or None for an equation of matrices."""
    found = (part.indices for part in walk(left) if isinstance(part, Indexed))
    by_entries = any(isinstance(part, Indexed) for part in walk(right))
    return next(found, () if by_entries else None)


@dataclass(frozen=True)
class Entries:
    """What symbols stand for, by their text; tensors have their axes in the order of indices."""

    symbols: Mapping[str, Any]

    def value(self, formula: Formula, at: Place) -> float:
        of = lambda part: self.value(part, at)  # noqa: E731
        match formula:
            case Number(value):
                return float(value)
            case Indexed(Symbol("I"), (row, column)):
                return float(at[row] == at[column])
            case Indexed(Symbol("S", str(span)), (row, column)) if ":" in span:
                return float(at[column] == at[row] + int(span.partition(":")[0] or 0))
            case Indexed(Blocks(blocks), (index,)):
                return of(blocks[at[index]])
            case Indexed(symbol, indices):
                array = self.symbols[Text()(symbol)]
                places = [at[i] if isinstance(i, str) else int(of(i)) for i in indices]
                moved = zip(indices, places, array.shape, strict=True)
                if any(isinstance(i, Formula) and not 0 <= k < length for i, k, length in moved):
                    return 0.0
                return array[tuple(places)]
            case Symbol("π"):
                return np.pi
            case Symbol() if Text()(formula) in at:
                return float(at[Text()(formula)])
            case Symbol():
                return float(self.symbols[Text()(formula)])
            case IndexSum(indices, body):
                lengths = [range(self.length(body, index)) for index in indices]
                return sum(
                    self.value(body, {**at, **dict(zip(indices, place, strict=True))})
                    for place in product(*lengths)
                )
            case Negative(arg):
                return -of(arg)
            case Sum(terms):
                return sum(map(of, terms))
            case ScaledFormula() | ProductFormula() | Hadamard():
                # a condition that does not hold comes first: most of a sum over windows is 0
                parts = sorted(formula.parts, key=lambda part: not isinstance(part, Indicator))
                total = 1.0
                for part in parts:
                    total = total * of(part) if total else 0.0
                return float(total)
            case Quotient(over, under):
                return of(over) / of(under)
            case Power(base, exponent):
                return of(base) ** of(exponent)
            case Root(arg):
                return np.sqrt(of(arg))
            case Indicator(relation):
                return float(self.holds(relation, at))
            case CasesFormula(branches):
                held = (part for part, holds in branches if holds is None or self.holds(holds, at))
                return of(next(held))
            case AppliedFormula(Symbol("detach"), (arg,)):
                return of(arg)
            case Call("max" | "argmax" | "logsumexp" as name, (arg, *where), over=index) if index:
                places = [{**at, index: k} for k in range(self.length(formula, index))]
                kept = [k for k in places if all(self.value(each, k) > 0 for each in where)]
                line = [self.value(arg, k) for k in kept]
                if name == "argmax":
                    return kept[int(np.argmax(line))][index] if kept else 0
                total = max if name == "max" else logsumexp
                return float(total(line)) if line else 0.0
            case Call("max" | "min" as name, (one, other)):
                return (max if name == "max" else min)(of(one), of(other))
            case Call("softmax", (arg,), over=index):
                line = np.array(
                    [self.value(arg, {**at, index: k}) for k in range(self.length(arg, index))]
                )
                total = np.log(np.sum(np.exp(line)))
                return float(np.exp(of(arg) - total))
            case Call("before" | "after" as name, (arg,), over=index):
                place = at[index] + (1 if name == "after" else -1)
                inside = 0 <= place < self.length(arg, index)
                return self.value(arg, {**at, index: place}) if inside else 0.0
            case Call(name, (arg,)):
                return float(PRIMITIVES[name].compute(of(arg)))
        raise AssertionError(f"no value for {formula}")

    def holds(self, relation: Relation, at: Place) -> bool:
        """Does a comparison hold there?"""
        left, right = self.value(relation.left, at), self.value(relation.right, at)
        return RELATIONS[relation.sign](left, right)

    def length(self, formula: Formula, index: str) -> int:
        """How far an index runs, from the tensors that have it."""
        found = {
            self.symbols[Text()(part.symbol)].shape[part.indices.index(index)]
            for part in walk(formula)
            if isinstance(part, Indexed) and index in part.indices
            if Text()(part.symbol) in self.symbols
        }
        # what no tensor has stands in a condition that says how far it runs
        found = found or {
            int(high.value) + 1 for part in walk(formula) for high in _ends(part, index)
        }
        found |= {rows for part in walk(formula) for rows in _rows(part, index)}
        return min(found)  # an index of a part runs along the part, also in the whole


def _rows(formula: Formula, index: str) -> list[int]:
    match formula:
        case Indexed(Symbol("S", str(span)), (row, _)) if row == index:
            start, _, stop = span.partition(":")
            return [int(stop) - int(start or 0)] if stop else []
    return []


def _ends(formula: Formula, index: str) -> list[Number]:
    match formula:
        case Relation(Symbol(letter), "≤", Number() as high) if letter == index:
            return [high]
    return []


class Matrices(Computation):
    """Products of matrices, with diagonal ones; 𝟏ᵀ at the right end is as wide as is asked for."""

    def value(self, formula):
        match formula:
            case Call("diag", (arg,)):
                return np.diag(self.value(arg).ravel())
            case Call("before" | "after" as name, (arg,)):
                rows = self.value(arg)
                start = np.zeros_like(rows[:1])
                moved = (rows[1:], start) if name == "after" else (start, rows[:-1])
                return np.concatenate(moved)
            case ProductFormula((*factors, Transpose(Ones()))):
                return self.product(factors)
            case Sum(terms):
                return sum(map(self.value, terms))
            case Blocks(blocks, stacked=True):
                return np.vstack([np.atleast_2d(self.value(block)) for block in blocks])
        return super().value(formula)


def laid_out(notation, node, value):
    """A column, or a matrix as the convention has it."""
    if value.ndim != 2:
        return value[:, None] if value.ndim == 1 else value
    axes = [axis for axis in node.axes if axis != notation.dropped]
    return value.transpose([axes.index(axis) for axis in notation.form.shown(node.axes)])


def letters_at(notation, node, places, at):
    """What each letter of a left side is at a place; z[k + 2j] has a k and a j for each place."""
    letters = {each: k for each, k in zip(places, at, strict=True) if isinstance(each, str)}
    merged = notation.merged(node) if len(letters) < len(places) else None
    for each, k in zip(places, at, strict=True):
        if not isinstance(each, str):
            form, found = merged
            for axis, step in found.index.terms:
                letters[form.letters[axis]] = k // step % axis.size
    return letters


def check_printed(net, params, data, convention):
    """Each right side of a program, given what its symbols stand for, is what its node is."""
    rows = convention == "rows" or bool(net.several)
    program = (
        batch_program(net, convention, samples=True) if rows else sample_program(net, convention)
    )
    notation, batch, count = program.notation, program.batch, 2 if rows else 1
    known = {**params, **{name: array[:count] for name, array in data.items()}}
    values = evaluate_all((*net.inputs, *(each.node for each in program.equations)), known)
    values |= {leaf: known[leaf.name] for leaf in program.leaves}
    given = {
        node: value if rows or batch not in node.axes else value.squeeze(node.axes.index(batch))
        for node, value in values.items()
    }
    # an update has the symbol of its state, which is what it reads
    read = (n for n in notation.symbols if not (isinstance(n, Named) and n.role == "update"))
    keys = {node: Text()(notation.symbols[node]) for node in read}
    plain = {"N": np.asarray(float(count))}
    slices: dict[str, dict[tuple[int, ...], Any]] = {}
    for node in walk_nodes([each.node for each in program.equations]):
        if isinstance(node, Pattern) and node.slice is not None:
            picked = evaluate(Contract((node,), node.slice.axes), {})
            name = Text()(pattern_symbol(node.slice))
            slices.setdefault(name, {})[picked.shape] = picked
        elif isinstance(node, OneHot) and node.index in keys:
            hits = evaluate(node, known)
            plain[f"onehot({keys[node.index]})"] = hits if rows else hits.squeeze(0)
    # one that is taken of axes of several lengths is known by its indices alone
    plain |= {name: next(iter(of.values())) for name, of in slices.items() if len(of) == 1}
    tensors = {keys[node]: given[node] for node in keys} | plain
    matrices = {keys[node]: laid_out(notation, node, given[node]) for node in keys} | plain
    for layer in notation.thetas.values():
        blocks = [matrices[keys[p]] for p in (layer.bias, layer.weight) if p is not None]
        matrices[Text()(notation.theta(layer))] = np.hstack(blocks)
    for each in program.equations:
        (left, right), expected = notation.sides(each), given[each.node]
        places = indices_of(left, right)
        if places is None:
            expected = laid_out(notation, each.node, expected)
            long = len(expected) if batch in each.node.axes and expected.ndim else count
            found = Matrices(matrices, long).value(right)
            assert np.shape(found) in (expected.shape, ()), each.name  # a number broadcasts
        else:
            found = [
                Entries(tensors).value(right, letters_at(notation, each.node, places, at))
                for at in product(*map(range, expected.shape))
            ]
            found = np.reshape(found, expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=each.name)
