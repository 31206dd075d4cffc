"""Products that are summed: a layer, a matrix product, a formula of axes by letters."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_letters
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.diagonals import diagonal
from pullback.interop.operators.elementwise import is_bias, joined, with_bias
from pullback.interop.operators.grouping import repeated_each
from pullback.interop.operators.masks import added, of_scores
from pullback.interop.operators.noise import dropped
from pullback.interop.operators.reductions import softmax
from pullback.interop.rows import Held
from pullback.interop.values import Dim, PlacedNode, axes_of
from pullback.ir import Axis, Contract, Node

Operand = PlacedNode | Held


def linear(b: Builder, input: Any, weight: Any, bias: Any = None) -> PlacedNode:
    """x Wᵀ + b over the last axis."""
    x = b.tensor(input)
    letters = ascii_letters[: len(x.dims)]
    found = product(b, [(x, letters), (_operand(weight), f"Z{letters[-1]}")], f"{letters[:-1]}Z")
    return _with_bias(b, found, bias)


def addmm(
    b: Builder, input: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1
) -> PlacedNode:
    """beta · input + alpha · mat1 @ mat2."""
    found = matmul(b, mat1, mat2)
    if (alpha, beta) == (1, 1) and not (isinstance(input, PlacedNode) and input.where):
        return _with_bias(b, found, input)
    scaled = found if alpha == 1 else joined(b, found, alpha, name="mul")
    term = input if beta == 1 else joined(b, input, beta, name="mul")
    value: PlacedNode = added(b, b.named(scaled), term)
    return value


def bilinear(b: Builder, input1: Any, input2: Any, weight: Any, bias: Any = None) -> PlacedNode:
    """xᵀ W y + b for each W of the weight (out, in, in)."""
    one, two = b.tensor(input1), b.tensor(input2)
    lead = ascii_letters[: len(one.dims) - 1]
    operands = [(one, f"{lead}I"), (_operand(weight), "OIJ"), (two, f"{lead}J")]
    return _with_bias(b, product(b, operands, f"{lead}O"), bias)


def _with_bias(b: Builder, found: PlacedNode, bias: Any) -> PlacedNode:
    if bias is None:
        return found
    if is_bias(b, found, bias):
        return with_bias(b, found, bias)
    value: PlacedNode = joined(b, found, bias, name="add")
    return value


def matmul(b: Builder, input: Any, other: Any) -> PlacedNode:
    """The product over the last axis of the first and the second-to-last of the second."""
    left, right = _operand(input), _operand(other)
    one, two = len(_dims(left)), len(_dims(right))
    if not one or not two:
        raise ConversionError("it multiplies a number without an axis")
    rank = max(one, two, 2)
    batches = ascii_letters[: rank - 2]
    a = batches[len(batches) - max(one - 2, 0) :] + ("NK" if one > 1 else "K")
    c = batches[len(batches) - max(two - 2, 0) :] + ("KM" if two > 1 else "K")
    out = batches + ("N" if one > 1 else "") + ("M" if two > 1 else "")
    return product(b, [(left, a), (right, c)], out)


def einsum(b: Builder, equation: Any, *operands: Any) -> PlacedNode:
    """A formula of letters, as NumPy has it."""
    flat = operands[0] if len(operands) == 1 and isinstance(operands[0], tuple) else operands
    if not isinstance(equation, str):
        raise ConversionError("it names its axes by something else than letters")
    inputs, arrow, out = equation.replace(" ", "").partition("->")
    letters = inputs.split(",")
    if "..." in inputs:
        letters, out, arrow = _spelled_out(letters, out, bool(arrow), flat)
    if not arrow:
        every = "".join(letters)
        out = "".join(sorted(each for each in set(every) if every.count(each) == 1))
    if len(letters) != len(flat):
        raise ConversionError(f"it has {len(flat)} operands for {len(letters)} names")
    each_once = [_with_each_once(b, x, ls) for x, ls in zip(flat, letters, strict=True)]
    return product(b, each_once, out)


def _spelled_out(
    letters: list[str], out: str, arrow: bool, operands: Any
) -> tuple[list[str], str, str]:
    """The letters with others in the place of an ellipsis."""
    free = [each for each in ascii_letters if each not in "".join((*letters, out))]
    counts = [
        len(_dims(_operand(x))) - len(ls.replace("...", "")) if "..." in ls else 0
        for x, ls in zip(operands, letters, strict=True)
    ]
    lead = "".join(free[: max(counts)])
    found = [
        ls.replace("...", lead[len(lead) - n :]) for ls, n in zip(letters, counts, strict=True)
    ]
    if arrow:
        return found, out.replace("...", lead), "->"
    every = "".join(letters).replace("...", "")
    return found, lead + "".join(sorted(e for e in set(every) if every.count(e) == 1)), "->"


def _with_each_once(b: Builder, value: Any, letters: str) -> tuple[Operand, str]:
    """An operand whose letters differ: a letter that stands there twice is its diagonal."""
    while twice := next((each for each in letters if letters.count(each) > 1), None):
        one, two = letters.index(twice), letters.rindex(twice)
        value = diagonal(b, b.tensor(value), 0, one, two)
        letters = f"{letters[:one]}{letters[one + 1 : two]}{letters[two + 1 :]}{twice}"
    return _operand(value), letters


def attention(
    b: Builder, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: Any = None, enable_gqa: bool = False,
) -> PlacedNode:  # fmt: skip
    """softmax(Q Kᵀ/√d) V, the weights with dropout in training."""
    q, k, v = map(b.tensor, (query, key, value))
    if enable_gqa:
        k, v = (repeated_each(b, x, b.known(q.dims[-3]) // b.known(x.dims[-3]), -3) for x in (k, v))
    share = b.known(q.dims[-1]) ** -0.5 if scale is None else scale
    turned = k.seen((*k.dims[:-2], k.dims[-1], k.dims[-2]))
    scores = matmul(b, q, turned)
    scaled: PlacedNode = joined(b, scores, share, name="mul")
    named = PlacedNode(b.equation("z", scaled.node, part="scores"), scaled.dims)
    weights = softmax(b, of_scores(b, named, attn_mask, is_causal), -1)
    held = PlacedNode(b.equation("a", weights.node, part="weights"), weights.dims)
    left = dropped(b, held, dropout_p, part="weights")
    if left is not held:
        held = PlacedNode(b.equation("a", left.node, part="dropped"), left.dims)
    return replace(matmul(b, held, v), row=None)


def product(b: Builder, operands: list[tuple[Operand, str]], out: str) -> PlacedNode:
    """The product of operands whose axes have letters, summed over those that ``out`` has not.

    A length of one meets any length. Raises ConversionError for lengths that differ.
    """
    axes = _axes(b, operands)
    if any(letter not in axes for letter in out) or len(set(out)) < len(out):
        raise ConversionError(f"its result {out!r} has an axis that no operand has, or one twice")
    nodes: list[Node] = []
    for operand, letters in operands:
        targets = tuple(axes[letter] for letter in letters)
        if isinstance(operand, Held):
            nodes.append(b.fitted(operand, targets))
        else:
            nodes.append(b.brought(operand, targets))
    dims = tuple(axes[letter] for letter in out)
    over = axes_of(dims)
    return PlacedNode(Contract(tuple(nodes), over), dims, b.row, role="z")


def _axes(b: Builder, operands: list[tuple[Operand, str]]) -> dict[str, Dim]:
    """The axis of each letter: that of the first value which has one; weights have new ones."""
    axes: dict[str, Dim] = {}
    for operand, letters in sorted(operands, key=lambda each: isinstance(each[0], Held)):
        if len(letters) != len(_dims(operand)):
            raise ConversionError(f"it has {len(_dims(operand))} axes; expected {len(letters)}")
        if len(set(letters)) < len(letters):
            raise ConversionError("it reads a diagonal")
        for letter, dim in zip(letters, _dims(operand), strict=True):
            known = axes.get(letter)
            size = dim if isinstance(operand, Held) else b.size(dim)
            if letter in axes and (size == 1 or b.size(known) != 1):
                if isinstance(operand, Held) and known is not None:
                    _meet(b, known, dim, operand)
                continue
            if isinstance(operand, Held):
                axes[letter] = b.fresh("units", dim)
            elif isinstance(dim, Axis) and dim in axes.values():
                axes[letter] = b.fresh(dim.name, b.known(dim))
            else:
                axes[letter] = dim
    return axes


def _meet(b: Builder, axis: Dim, size: int, held: Held) -> None:
    if b.has_batch(axis) and size != 1:
        raise ConversionError(f"it multiplies {held.name!r} from the left, along the batch")
    if isinstance(axis, Axis) and axis != b.batch and (size != 1 or b.size(axis) is None):
        b.meet(axis, size)


def _operand(value: Any) -> Operand:
    if not isinstance(value, (PlacedNode, Held)):
        raise ConversionError("it multiplies something else than tensors")
    return value


def _dims(operand: Operand) -> tuple[Any, ...]:
    return operand.shape if isinstance(operand, Held) else operand.dims
