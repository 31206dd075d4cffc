"""Slices of arrays that compile quickly.

A slice in Python may have a step, may count from the end and may reach beyond it; Numba writes
code for all of that, some two hundred lines of it. Where none of it happens, a slice is an address
and a length.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from typing import Any

from pullback.machine.object.arrays import array_parts, array_value

# the names by which a rewritten source calls the two
VIEW, TRANSPOSED = "view_of", "transposed"


def with_views(source: str) -> ast.Module:
    """The syntax of a source whose slices have no step and lie inside their arrays, as views.

    >>> print(ast.unparse(with_views("y = f(x[:n, a:b].T, x[a:b], x[i])")))
    y = f(transposed(view_of(x, ((0, n), (a, b)))), view_of(x, ((a, b),)), x[i])
    """
    syntax = ast.parse(source)
    _Slices().visit(syntax)
    return ast.fix_missing_locations(syntax)


class _Slices(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if node.attr != "T":
            return node
        return ast.Call(ast.Name(TRANSPOSED, ast.Load()), [node.value], [])

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        axes = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        slices = [axis for axis in axes if isinstance(axis, ast.Slice)]
        if isinstance(node.ctx, ast.Store) or len(slices) < len(axes):
            return node
        bounds = ast.Tuple([_bounds(each) for each in slices], ast.Load())
        return ast.Call(ast.Name(VIEW, ast.Load()), [node.value, bounds], [])


def _bounds(each: ast.Slice) -> ast.expr:
    """(begin, end), or None for all."""
    if each.lower is None and each.upper is None and each.step is None:
        return ast.Constant(None)
    if each.upper is None or each.step is not None:
        raise ValueError(f"{ast.unparse(each)} is no slice from here to there")
    return ast.Tuple([each.lower or ast.Constant(0), each.upper], ast.Load())


@cache
def views() -> dict[str, Any]:
    """What a rewritten source calls, by name; Numba loads here.

    ``view_of`` takes an array and for each axis None or (begin, end); ``transposed`` an array.
    """
    types, intrinsic = import_module("numba.types"), import_module("numba.extending").intrinsic
    cgutils: Any = import_module("numba.core.cgutils")
    unpack_tuple, bytes_at = cgutils.unpack_tuple, cgutils.voidptr_t

    @intrinsic  # type: ignore[untyped-decorator]
    def view_of(typing_context: Any, array: Any, bounds: Any) -> Any:
        in_one_piece = array.layout == "C" and all(part == types.none for part in bounds[1:])
        kind = array.copy(layout="C" if in_one_piece else "A")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data, shape, strides = array_parts(context, builder, array, args[0])
            address = builder.bitcast(data, bytes_at)
            given = unpack_tuple(builder, args[1])
            for axis, (each, kinds) in enumerate(zip(given, bounds, strict=True)):
                if kinds == types.none:
                    continue
                ends = zip(unpack_tuple(builder, each), kinds, strict=True)
                begin, end = (context.cast(builder, x, of, types.intp) for x, of in ends)
                address = builder.gep(address, [builder.mul(begin, strides[axis])])
                shape[axis] = builder.sub(end, begin)
            data = builder.bitcast(address, data.type)
            return array_value(context, builder, kind, data, shape, strides)

        return kind(array, bounds), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def transposed(typing_context: Any, array: Any) -> Any:
        kind = array.copy(layout={"C": "F", "F": "C", "A": "A"}[array.layout])

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data, shape, strides = array_parts(context, builder, array, args[0])
            return array_value(context, builder, kind, data, shape[::-1], strides[::-1])

        return kind(array), generate

    return {VIEW: view_of, TRANSPOSED: transposed}
