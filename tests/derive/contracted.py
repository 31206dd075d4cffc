"""What a diagram says, computed from its data alone: einsum for each product, sums of them."""

from __future__ import annotations

import numpy as np

from pullback.ir import Input
from pullback.ir.evaluate import evaluate_all
from pullback.ir.lift import lifted
from pullback.ir.lookup import is_whole


def contracted(diagram, sizes, values):
    """The value of every line, by its name; ``values`` are the arrays of the leaves."""
    known = dict(values) | {f"|{axis.name}|": np.array(float(n)) for axis, n in sizes.items()}
    for line in diagram.lines:
        shape = [sizes.of(axis) for axis in line.axes]
        total = np.zeros(shape)
        for term in line.terms:
            total = total + product(term, len(line.axes), known, sizes)
        known[line.name] = total
    return known


def product(term, rank, known, sizes):
    letters = {end: at for at, wire in enumerate(term.wires) for end in wire.ends}
    operands, out, front = [], [0] * rank, term.coefficient
    for at, tensor in enumerate(term.tensors):
        array = of_tensor(tensor, known, sizes)
        operands += [array, [letters[at, leg] for leg in range(len(tensor.legs))]]
    for at, wire in enumerate(term.wires):
        length = sizes.of(wire.axis)
        if wire.is_length:
            front = front * length
        elif not wire.free:
            continue
        for extra, place in enumerate(wire.free):
            letter = len(term.wires) + extra + 8 * at if extra else at
            out[place] = letter
            if extra:
                operands += [np.eye(length), [at, letter]]
        if not wire.ends:
            operands += [np.ones(length), [at]]
    return front * np.einsum(*squeezed(operands, out)) if operands else front


def squeezed(operands, out):
    """Letters as small as einsum wants them."""
    used = sorted({letter for each in operands[1::2] for letter in each} | set(out))
    small = {letter: at for at, letter in enumerate(used)}
    told = [[small[x] for x in each] if at % 2 else each for at, each in enumerate(operands)]
    return [*told, [small[x] for x in out]]


def of_tensor(tensor, known, sizes):
    node = tensor.node
    if len(tensor.reads) == 1 and tensor.reads[0][0] is node:
        return known[tensor.reads[0][1]]
    held = {
        arg: Input(f"read {at}", arg.axes, is_whole(arg))
        for at, (arg, _) in enumerate(tensor.reads)
    }
    arrays = {
        leaf.name: known.get(name, None) if name in known else float(name)
        for leaf, (_, name) in zip(held.values(), tensor.reads, strict=True)
    }
    arrays = {
        leaf.name: np.broadcast_to(arrays[leaf.name], [sizes.of(a) for a in leaf.axes])
        for leaf in held.values()
    }
    (instead,) = lifted([node], held)
    carriers = [
        Input(f"axis {axis.name}", (axis,)) for axis in node.axes
    ]  # they say how long it is
    arrays |= {each.name: np.zeros(sizes.of(each.axes[0])) for each in carriers}
    return evaluate_all((*carriers, instead), arrays)[instead]
