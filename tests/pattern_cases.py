"""Products with patterns: windows, strides, axes put together and apart, masks."""

from __future__ import annotations

from pullback.ir import Axis, Contract, Index, Input, Node, Pattern, Range, identity, rows
from pullback.ir.build import scalar_map
from pullback.ir.language.parse import parse_scalar

N, C, K, H, O, T, V = (
    Axis("n"), Axis("c", 2), Axis("k", 3), Axis("h", 7), Axis("o", 5), Axis("t", 3), Axis("v", 7),
)  # fmt: skip
P, Q, F, G = Axis("p", 4), Axis("q", 3), Axis("f", 14), Axis("g", 28)
c, h, o, t, v, p, q, f, g = (Index.on(axis) for axis in (C, H, O, T, V, P, Q, F, G))
x, w, z, u = Input("x", (N, C, H)), Input("w", (K, C, T)), Input("z", (N, K, O)), Input("u", (N, F))
s = Input("s", (H, V))
LEAVES = (x, w, z, u, s)


def pattern(*equations: Index, ranges: tuple[Range, ...] = ()) -> Pattern:
    found = {axis for each in (*equations, *(r.index for r in ranges)) for axis in each.axes}
    return Pattern(tuple(sorted(found)), equations, ranges)


VALID = pattern(h - o - t)
PADDED = pattern(h - v - t + 1)
STRIDED = pattern(h - 2 * p - t + 1)
DILATED = pattern(h - q - 2 * t)
OVERHANGING = pattern(h - 3 * p - t + 1)  # the last window reaches beyond
FLAT = pattern(f - 7 * c - h)
CAUSAL = pattern(ranges=(Range(h - v, 0),))
BANDED = pattern(ranges=(Range(h - v, -1, 1),))

CASES: dict[str, Node] = {
    "convolution": Contract((x, VALID, w), (N, K, O)),
    "padded": Contract((x, PADDED, w), (N, K, V)),
    "strided": Contract((x, STRIDED, w), (N, K, P)),
    "dilated": Contract((x, DILATED, w), (N, K, Q)),
    "overhanging": Contract((x, OVERHANGING, w), (N, K, P)),
    "transposed": Contract((z, VALID, w), (N, C, H)),
    "transposed, strided": Contract((x, pattern(v - 2 * p - t), Input("y", (N, K, P)), w), (N, V)),
    "the kernel's gradient": Contract((x, VALID, z), (K, C, T)),
    "the kernel's gradient, padded": Contract((x, PADDED, w, s), (N, V, T)),
    "windows themselves": Contract((x, STRIDED), (N, C, P, T)),
    "sum of windows": Contract((x, STRIDED), (N, C, P)),
    "ones in windows": Contract((STRIDED, w), (K, C, P)),
    "every second": Contract((x, pattern(h - 2 * p)), (N, C, P)),
    "backwards": Contract((x, pattern(h + v - 6)), (N, C, V)),
    "backwards and beyond": Contract((x, pattern(h + v - 8)), (N, C, V)),
    "put backwards": Contract((z, pattern(h + o - 5)), (N, K, H)),
    "shifted beyond": Contract((x, pattern(h - v - 2)), (N, C, V)),
    "put together": Contract((x, FLAT), (N, F)),
    "put apart": Contract((u, FLAT), (N, C, H)),
    "put together otherwise": Contract((x, pattern(f - 2 * h - c)), (N, F)),
    "put apart otherwise": Contract((u, pattern(f - 2 * h - c)), (N, C, H)),
    "together and multiplied": Contract((x, FLAT, Input("m", (K, F))), (N, K)),
    "windows of what is put apart": Contract((u, FLAT, STRIDED, w), (N, K, P)),
    "windows put together": Contract((x, pattern(h - 2 * p - t), pattern(g - 7 * p - v), s),
                                     (N, T, G)),
    "lower half": Contract((s, CAUSAL), (H, V)),
    "sum of the lower half": Contract((s, CAUSAL, x), (N, C, V)),
    "band": Contract((BANDED,), (V, H)),
    "a pattern itself": Contract((STRIDED,), (T, H, P)),
    "as a matrix": Contract((w, VALID), (K, O, C, H)),
    "as a matrix, strided": Contract((w, STRIDED), (K, P, C, H)),
    "with its axis": Contract((x, VALID, s), (N, O, V)),
    "with its axis, placed": Contract((x, VALID, z, s), (N, H, V)),
    "along a diagonal": Contract((Input("d", (O, H)), VALID), (O, T)),
    "put along a diagonal": Contract((Input("e", (O, T)), VALID), (O, H)),
    "two windows": Contract((x, VALID, pattern(v - o - t), w), (N, K, V)),
    "two windows of one axis": Contract((x, VALID, pattern(h - 2 * p - q), w), (N, K, O, P)),
    "a slice of windows": Contract((x, STRIDED, rows(Axis("r", 2), P, 1, 3), w), (N, Axis("r", 2))),
    "windows of a slice": Contract(
        (Contract((x, identity(V, H)), (N, C, V)),
         pattern(v - o - t), w), (N, K, O)),
    "of a function of 0": Contract((scalar_map(parse_scalar("cos(x)").expr, x), PADDED, w),
                                   (N, K, V)),
    "divided": Contract((scalar_map(parse_scalar("1/x").expr, x), PADDED, w), (N, K, V)),
    "in two directions": Contract(
        (Input("i", (N, C, H, V)), STRIDED, pattern(v - 2 * o - q + 1), Input("j", (K, C, T, Q))),
        (N, K, P, O)),
    "in two directions, transposed": Contract(
        (Input("l", (N, K, P, O)), STRIDED, pattern(v - 2 * o - q + 1), Input("j", (K, C, T, Q))),
        (N, C, H, V)),
    "the only place": Contract((Input("e", (N, Axis("one", 1))), pattern(Index.on(Axis("one", 1)))),
                               (N,)),
    "windows that only meet padding": Contract(
        (Input("e", (N, P)), pattern(p - 4 * Index.on(Axis("one", 1)) - q),
         pattern(Index.on(Axis("one", 1)) - 2 * o - 2 * t + 1), Input("b", (Q,))), (N, Q, O, T)),
    "an equation of no index": Contract((x, Pattern((V,), (Index(offset=1),))), (N, C, H, V)),
    "says nothing": Contract((x, Pattern((V,), ())), (N, C, H, V)),
}  # fmt: skip


def leaves_of(node: Node) -> tuple[Input, ...]:
    more = {each for each in node.args if isinstance(each, Input)} - {*LEAVES}
    return (*LEAVES, *sorted(more, key=lambda leaf: leaf.name))
