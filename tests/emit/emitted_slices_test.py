"""Slices, their transposes and traces in every target are what the slow interpreter says."""

from __future__ import annotations

import numpy as np
import pytest
from contraction_test import close, in_target

from pullback.ir import Add, Axis, Contract, Input, Named, Node, Rename, identity, rows
from pullback.ir.build import scalar_map
from pullback.ir.evaluate import evaluate_all
from pullback.ir.language.parse import parse_scalar
from pullback.ir.pick import Slices, entry, pick
from pullback.net.program import compile_program

N, I, J, K, L = Axis("n"), Axis("i", 6), Axis("j", 6), Axis("k", 3), Axis("l", 1)
M = Axis("m")  # as long as n
x, y, w = Input("x", (N, I)), Input("y", (I, J)), Input("w", (K,))
z, u = Input("z", (I, K, N)), Input("u", (M, N))
LEAVES = (x, y, w, z, u)


def part(start, stop, axis=I, row=K):
    return rows(row, axis, start, stop)


def second_slice() -> Node:
    slices = Slices()
    first = slices.pick(x, N, 1, None)
    return slices.pick(first, first.axes[0], None, -1)


CASES: dict[str, Node] = {
    "slice": pick(x, I, 1, 4),
    "slice from behind": pick(x, I, -3, None),
    "slice of an open axis": pick(x, N, 1, -1),
    "slice of a slice": second_slice(),
    "the last ones of an open axis": pick(x, N, -2, None),
    "entry": entry(x, I, 2),
    "last entry": entry(x, N, -1),
    "entry of an entry": entry(entry(y, I, 0), J, -1),
    "slice of a formula": pick(scalar_map(parse_scalar("tanh(x)").expr, x), I, 2, 5),
    "slices that meet": Contract((x, part(0, 3), z, part(3, 6)), (N,)),
    "slice and product": Contract((x, part(1, 4), w), (N,)),
    "diagonal of a slice": Contract((z, part(2, 5)), (N, K)),
    "sum of a slice": Contract((x, part(1, 4)), (N,)),
    "ones": Contract((part(1, 4), w), (I,)),
    "padded": Contract((w, part(1, 4)), (I,)),
    "padded and multiplied": Contract((w, part(1, 4), y), (J, I)),
    "padded along an open axis": Contract((pick(x, N, 1, None), rows(Axis("n-1"), N, 1, None)),
                                          (I, N)),
    "padded before": Contract((pick(x, N, None, -1), rows(Axis("n-1"), N, None, -1)), (N, I)),
    "one entry padded": Contract((x, rows(L, J, 2, 3)), (N, I, J)),
    "a number padded": Contract((w, w, rows(L, J, 2, 3)), (J,)),
    "mask": Contract((x, part(1, 4)), (N, I)),
    "rows of an identity": Contract((part(2, 5),), (K, I)),
    "identity with both axes": Contract((x, part(1, 4), w), (K, N, I)),
    "two slices of one axis": Contract((w, part(0, 3), rows(Axis("p", 4), I, 2, 6)),
                                       (Axis("p", 4),)),
    "two identities": Contract((part(0, 3), rows(Axis("p", 4), I, 2, 6)),
                               (K, Axis("p", 4))),
    "slice that is shifted": Contract((x, part(0, 3), rows(K, J, 1, 4)), (J, N)),
    "trace": Contract((y, identity(I, J)), ()),
    "diagonal": Contract((y, identity(I, J)), (I,)),
    "diagonal matrix": Contract((w, identity(K, Axis("q", 3))), (K, Axis("q", 3))),
    "identity": Contract((identity(I, J),), (J, I)),
    "trace of an open axis": Contract((u, identity(M, N)), ()),
    "diagonal of an open axis": Contract((u, identity(N, M), x), (N, I)),
    "renamed by an identity": Contract((x, identity(I, J)), (J, N)),
    "identity multiplied": Contract((x, identity(I, J), y), (N, J)),
    "length of an identity": Contract((identity(I, J), w), (K,)),
    "renamed rows": Contract((x, Rename(part(1, 4), ((K, Axis("q", 3)),))), (N, Axis("q", 3))),
    "added": Add((Contract((x, part(1, 4)), (K, N)), w)),
    "an identity by itself": Add((identity(I, J), y)),
    "a named slice": Named("s", pick(x, I, 1, 4)),
    "a named slice that is read": Contract((Named("s", pick(x, I, 1, 4)), x), (Axis("i:3", 3), I)),
}  # fmt: skip


def values(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    return {leaf.name: rng.normal(size=[axis.size or n for axis in leaf.axes]) for leaf in LEAVES}


def expected(node: Node, given: dict[str, np.ndarray]) -> np.ndarray:
    return evaluate_all((*LEAVES, node), given)[node]


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("name", CASES)
def test_the_program_that_runs(name, n):
    found = compile_program({"out": CASES[name]}, name, leaves=LEAVES)({}, values(n))
    close(found["out"], expected(CASES[name], values(n)))


def test_all_in_one_program():
    """Arrays are written again when they are free, and no view is of one that was."""
    roots = {
        f"r{at}": node for at, node in enumerate(CASES.values()) if not isinstance(node, Named)
    }
    found = compile_program(roots, "All.", leaves=LEAVES)({}, values(4))
    for name, node in roots.items():
        close(found[name], expected(node, values(4)))


@pytest.mark.parametrize("more", [(), (y,)], ids=["alone", "and another term"])
def test_parts_of_one_array_are_added_where_they_lie(more):
    """The transpose of three slices that overlap fills one array with zeros, not three."""
    squares = scalar_map(parse_scalar("x**2").expr, w)
    parts = [Contract((squares, z, part(at, at + 3, J)), (I, J, N)) for at in range(4)]
    total = Contract((Add((*parts, *more)),), (I, J))
    compiled = compile_program({"out": total, "all": Add(tuple(parts))}, "Parts.", leaves=LEAVES)
    found = compiled({}, values(4))
    close(found["out"], expected(total, values(4)))
    close(found["all"], expected(Add(tuple(parts)), values(4)))
    single = compile_program({"all": Add((*parts, *more))}, "Parts.", leaves=LEAVES)
    close(single({}, values(4))["all"], expected(Add((*parts, *more)), values(4)))
    assert single.source.count("fill(0.0)") == 1


def test_an_array_is_kept_while_a_view_of_it_is_read():
    """Whatever the order: the first, the second or the last of four arrays is sliced."""
    tanh = parse_scalar("tanh(x)").expr
    chain = [Named("a0", scalar_map(tanh, x))]
    for at in range(1, 5):
        chain.append(Named(f"a{at}", scalar_map(tanh + at, chain[-1])))
    for first in range(4):
        parts = pick(chain[first], I, 0, 3), pick(chain[4], I, 3, 6)
        node = Contract(parts, (N, Axis("i:3", 3)))
        early = Add((scalar_map(tanh, Named("s", parts[0])), node))
        for out in (node, early, Contract((parts[0], node), (N,))):
            found = compile_program({"out": out}, "Chain.", leaves=LEAVES)({}, values(4))
            close(found["out"], expected(out, values(4)))


@pytest.mark.parametrize("target", ["numpy", "numba", "torch", "jax"])
def test_every_target(target, loops_in_python):
    cases = [({"out": node}, LEAVES) for node in CASES.values()]
    for function, node in zip(in_target(target, cases), CASES.values(), strict=True):
        close(function(values(4))["out"], expected(node, values(4)))
